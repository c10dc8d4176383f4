"""Metadata of `raw_documents`: the state of each source, and model usage for recordings and pictures."""

from collections.abc import Iterable, Sequence, Set
from typing import Any

import dagster as dg

from rag_assets.defs.metadata.documents import quarantine_table
from rag_assets.defs.metadata.tables import column, table
from rag_assets.ingestion.media_models import ModelUsage
from rag_assets.ingestion.source_reports import (
    SourceReport,
    failed_parts,
    files_left_out,
    metadata_left_out,
    skipped_files,
    unreadable_sources,
    without_name,
)
from rag_assets.records import DocumentState
from rag_assets.text.wording import counted

UNREADABLE_KEY = "unreadable_sources"
NEWLY_UNREADABLE_KEY = "newly_unreadable_sources"


def ingestion_metadata(
    reports: Sequence[SourceReport],
    quarantined: Iterable[DocumentState],
    known_failures: Set[tuple[str, str]],
) -> dict[str, Any]:
    """Counts, sources and quarantined documents of one reading.

    Args:
        known_failures: `failed_parts` of the previous refresh. They trigger no second alert.
    """
    problems, skipped = unreadable_sources(reports), skipped_files(reports)
    less_metadata = metadata_left_out(reports)
    newly_failed = {source for source, _ in failed_parts(reports) - known_failures}
    new_problems = {source: problem for source, problem in problems.items() if source in newly_failed}
    return {
        "num_documents": sum(report.num_listed for report in reports),
        "num_read": sum(report.num_read for report in reports),
        "num_parsed": sum(report.num_parsed for report in reports),
        "num_quarantined": sum(report.num_quarantined for report in reports),
        "num_unreadable_sources": len(problems),
        "num_skipped_files": sum(sum(endings.values()) for endings in skipped.values()) or None,
        "skipped_files": dg.MetadataValue.json(skipped) if skipped else None,
        "metadata_left_out": dg.MetadataValue.json(less_metadata) if less_metadata else None,
        "sources": source_table(reports),
        UNREADABLE_KEY: dg.MetadataValue.json(problems) if problems else None,
        NEWLY_UNREADABLE_KEY: dg.MetadataValue.json(new_problems) if new_problems else None,
        "quarantined": quarantine_table(quarantined),
    }


def source_table(reports: Iterable[SourceReport]) -> dg.TableMetadataValue:
    rows = ({"source": report.source, "listing": _listing(report)} for report in reports)
    return table(
        rows,
        column("source"),
        column(
            "listing",
            description="read: with a changed version token, parsed: with new bytes. Nothing of a source, or of its part, is "
            "deleted while it is incomplete",
        ),
    )


def _listing(report: SourceReport) -> str:
    if not report.problems:
        return f"complete, {_counts(report)}"
    return f"incomplete, {_counts(report)}: {without_name(report.source, report.problems)}"


def _counts(report: SourceReport) -> str:
    """Return for example `72 listed, 3 read, 1 parsed`, without zeros after the first."""
    counts = {
        "read": report.num_read,
        "parsed": report.num_parsed,
        "quarantined": report.num_quarantined,
        "still being written": len(report.unsettled),
    }
    return ", ".join(
        [f"{report.num_listed:,} listed", *(f"{count:,} {what}" for what, count in counts.items() if count)]
    )


def media_metadata(usages: Iterable[ModelUsage], reports: Iterable[SourceReport]) -> dict[str, Any]:
    """Model usage for recordings and pictures, and files skipped without a model."""
    usages, left_out = list(usages), files_left_out(reports)
    costs = [usage.cost_usd for usage in usages]
    asked = {
        "num_asked": sum(usage.num_documents for usage in usages),
        "audio_seconds": sum(usage.audio_seconds for usage in usages),
        "num_tokens": sum(usage.tokens for usage in usages),
        "cost_usd": "unknown" if None in costs else sum(cost or 0 for cost in costs),
        "models": _media_table(usages),
    }
    return {
        **(asked if usages else {}),
        "num_left_out": sum(left_out.values()) or None,
        "left_out": dg.MetadataValue.json(left_out) if left_out else None,
    }


def _media_table(usages: Iterable[ModelUsage]) -> dg.TableMetadataValue:
    rows = (
        {
            "model": usage.model,
            "usage": f"{usage.num_documents:,} asked, {usage.audio_seconds:,.1f} s, {counted(usage.tokens, 'token')}",
            "cost_usd": usage.cost_usd,
        }
        for usage in usages
    )
    return table(
        rows,
        column("model"),
        column("usage", description="recordings and pictures answered, with billed seconds and tokens"),
        column("cost_usd", "float", "empty if the price is unknown"),
    )
