"""A dry run of the next refresh with the refresh's own code. It writes nothing.

Figures are grouped by asset and named as in the metadata of the assets. The form of `plan --json` is stable.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from rag_assets.changes.change_set import Change, DocumentChange, count_changes
from rag_assets.changes.content_changes import content_changes
from rag_assets.chunking import chunk_contents
from rag_assets.effective_settings import names_of
from rag_assets.errors import MENDED_BY_REBUILD, ApprovalNeeded, DeletionRefused
from rag_assets.evaluation.benchmark import fitting_problem, reading_problem
from rag_assets.fingerprint import fingerprint_difference
from rag_assets.ingestion.source_reports import (
    files_left_out,
    metadata_left_out,
    require_a_readable_source,
    skipped_files,
    unreadable_sources,
    unsettled_documents,
)
from rag_assets.inspection.dry_run import UNKNOWN_DIMENSIONS, dry_run
from rag_assets.inspection.holds import described_hold, hold_lines
from rag_assets.inspection.lines import (
    degraded_lines,
    ignored_lines,
    knowledge_base_line,
    labeled,
    metadata_lines,
    quarantined_text,
    skipped_lines,
    unconfigured_lines,
    unsettled_entries,
    unsettled_lines,
)
from rag_assets.inspection.pending_approvals import pending_approvals, pending_lines
from rag_assets.inspection.unconfigured_sources import ignored_sources, unconfigured_sources
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import Chunk
from rag_assets.refresh.approvals import approvals_of
from rag_assets.refresh.decision import Decision, decide
from rag_assets.refresh.embedding_estimate import estimate_embedding
from rag_assets.refresh.staging_plan import staging_plan_for
from rag_assets.settings import Settings
from rag_assets.text.wording import counted, usd

_MOST_DOCUMENTS = 1000
_MOST_LINES = 10


def plan(settings: Settings) -> dict[str, Any]:
    """Return the next refresh as JSON-compatible data. The keys are documented in docs/cli.md.

    Raises:
        SourceUnavailable, RefusedError: a refresh would stop before deciding anything.
    """
    with dry_run(settings) as knowledge_base:
        ingestion = knowledge_base.ingestion()
        documents = list(ingestion.documents())
        require_a_readable_source(ingestion.reports)
        complete = frozenset(report.source for report in ingestion.reports if report.complete)
        outages = [outage for report in ingestion.reports for outage in report.outages]
        skipped = skipped_files(ingestion.reports)
        decision = decide(knowledge_base, documents, complete, outages, skipped)
        held = [] if decision.rebuild else decision.production
        staging = staging_plan_for(knowledge_base, decision.base, held, decision.documents)
        new_contents = [change.content_hash for change in staging.changes if not change.was_held]
        chunked = {"num_contents": len(new_contents), "num_chunks": 0, "num_tokens": 0}
        chunks = chunk_contents(new_contents, staging.text_of, knowledge_base.chunker)
        embedded = _embeddings(knowledge_base, _counting(chunks, chunked))
        approvals = approvals_of(knowledge_base, decision)
        # Others are for documents that have returned: the refresh ends them.
        pending = (
            {outage.token for outage in outages}
            | {error.token for error in approvals.needed}
            | approvals.used
        )
        return {
            "knowledge_base": names_of(settings),
            "base_generation": decision.base_name,
            "pending_approvals": [
                one for one in pending_approvals(knowledge_base) if one["token"] in pending
            ],
            "raw_documents": {
                "num_documents": len(documents),
                "num_read": sum(report.num_read for report in ingestion.reports),
                "num_parsed": sum(report.num_parsed for report in ingestion.reports),
                "num_quarantined": sum(report.num_quarantined for report in ingestion.reports),
                "unreadable_sources": unreadable_sources(ingestion.reports),
                "unconfigured_sources": unconfigured_sources(settings, decision.production),
                "ignored_sources": ignored_sources(settings),
                "to_ask": [
                    {
                        "model": usage.model,
                        "num_documents": usage.num_documents,
                        "num_bytes": usage.num_bytes,
                    }
                    for usage in ingestion.media.usage.values()
                ],
                "left_out": files_left_out(ingestion.reports),
                "skipped_files": skipped,
                "metadata_left_out": metadata_left_out(ingestion.reports),
                "unsettled": unsettled_entries(
                    unsettled_documents(ingestion.reports), {it.document_id for it in decision.production}
                ),
            },
            "deduped_documents": _deduped_documents(knowledge_base, decision, approvals.needed),
            "chunks": chunked,
            "embeddings": embedded,
            "staging_collection": {
                "written": decision.rebuild or bool(staging.changes),
                "num_documents": len(decision.documents),
            },
            "eval_report": {
                "no_benchmark": reading_problem(settings.benchmark_file) or None,
                "benchmark_does_not_fit": fitting_problem(settings.benchmark_file, decision.documents)
                or None,
            },
            "production_collection": described_hold(knowledge_base.vector_store.production_state()),
        }


def _counting(chunks: Iterator[Chunk], counts: dict[str, int]) -> Iterator[Chunk]:
    for chunk in chunks:
        counts["num_chunks"] += 1
        counts["num_tokens"] += chunk.token_count
        yield chunk


def _deduped_documents(
    knowledge_base: KnowledgeBase, decision: Decision, needed: Sequence[ApprovalNeeded]
) -> dict[str, Any]:
    refusals = {
        "deletion_refused" if isinstance(error, DeletionRefused) else "rebuild_refused": {
            "message": str(error),
            "token": error.token,
        }
        for error in needed
    }
    if knowledge_base.embedder.model.dimensions == UNKNOWN_DIMENSIONS and "rebuild_refused" in refusals:
        # A token is for one dimension, and only the endpoint knows it.
        refusals["rebuild_refused"] = {
            "message": "the refresh stops before this rebuild, with its estimate and a token for `rag-assets approve`",
            "token": "",
        }
    return {
        **count_changes(decision.changes),
        "num_near_duplicates": sum(len(group.document_ids) for group in decision.near_duplicates),
        "num_contents": len(content_changes((), decision.documents)),
        "num_contents_changed": decision.num_contents_changed,
        "num_payload_updates": decision.num_payload_updates,
        "full_rebuild": decision.rebuild,
        "differing_settings": _differing_settings(knowledge_base),
        "deletion_refused": refusals.get("deletion_refused"),
        "rebuild_refused": refusals.get("rebuild_refused"),
        "documents": _document_lists(decision.changes),
    }


def _differing_settings(knowledge_base: KnowledgeBase) -> list[str]:
    try:
        manifest = knowledge_base.production_manifest()
    except MENDED_BY_REBUILD:
        return []
    return fingerprint_difference(manifest.fingerprint, knowledge_base.fingerprint()) if manifest else []


def _document_lists(changes: Sequence[DocumentChange]) -> dict[str, list[dict[str, Any]]]:
    first_of_content: dict[str | None, str] = {}
    for change in changes:
        if change.change is not Change.DUPLICATE:
            first_of_content.setdefault(change.content_hash, change.document_id)
    lists: dict[str, list[dict[str, Any]]] = {
        kind.value: [] for kind in Change if kind is not Change.UNCHANGED
    }
    for change in changes:
        if change.change is Change.UNCHANGED or len(lists[change.change]) == _MOST_DOCUMENTS:
            continue
        entry: dict[str, Any] = {"document_id": change.document_id}
        if change.change is Change.MOVED:
            entry["moved_from"] = change.moved_from
        elif change.change is Change.DUPLICATE:
            entry["duplicate_of"] = first_of_content.get(change.content_hash)
        elif change.change is Change.OMITTED:
            entry["near_duplicate_of"] = change.near_duplicate_of
        elif change.change is Change.QUARANTINED:
            entry["reason"] = change.quarantine_reason
            entry["detail"] = change.quarantine_detail
            entry["last_good_version_served"] = change.content_hash is not None
        lists[change.change].append(entry)
    return lists


def _embeddings(knowledge_base: KnowledgeBase, chunks: Iterator[Chunk]) -> dict[str, Any]:
    embedder = knowledge_base.embedder
    estimate = estimate_embedding(chunks, embedder, knowledge_base.ledger)
    # The dimension is part of the cache's keys: without it the number of cached texts is unknown.
    dimensions = embedder.model.dimensions
    known = dimensions != UNKNOWN_DIMENSIONS or not estimate.num_texts
    return {
        "embedding_model": embedder.model.model,
        "dimensions": dimensions if dimensions != UNKNOWN_DIMENSIONS else None,
        "endpoint_not_asked": embedder.model.endpoint or None,
        "num_texts": estimate.num_texts,
        "num_cached": estimate.num_texts - estimate.num_embedded if known else None,
        "num_embedded": estimate.num_embedded if known else None,
        "num_tokens": estimate.num_tokens if known else None,
        "estimated_cost_usd": estimate.cost_usd if known else None,
    }


def describe(report: dict[str, Any]) -> str:
    """Return the plan as text for a person."""
    raw, deduped, chunked = report["raw_documents"], report["deduped_documents"], report["chunks"]
    lines = [
        knowledge_base_line(report),
        labeled("production", report["base_generation"] or "nothing yet"),
        labeled(
            "sources",
            f"{counted(raw['num_documents'], 'document')} listed, {raw['num_read']:,} to read, "
            f"{raw['num_parsed']:,} to parse",
        ),
    ]
    lines.extend(degraded_lines(raw["unreadable_sources"]))
    lines.extend(unconfigured_lines(raw["unconfigured_sources"]))
    lines.extend(ignored_lines(raw["ignored_sources"]))
    lines.extend(
        labeled(
            "to ask",
            f"{asked['model']} about {counted(asked['num_documents'], 'document')} "
            f"({asked['num_bytes'] / 1e6:,.1f} MB); price and contents are known only afterwards and are in no figure "
            "below",
        )
        for asked in raw["to_ask"]
        if asked["num_documents"]
    )
    lines.extend(
        labeled("left out", f"{counted(count, 'file')} that only a model can read: set {variable}")
        for variable, count in raw["left_out"].items()
    )
    lines.extend(skipped_lines(raw["skipped_files"]))
    lines.extend(metadata_lines(raw["metadata_left_out"]))
    lines.extend(unsettled_lines(raw["unsettled"]))
    lines.extend(_change_lines(deduped))
    if deduped["full_rebuild"] and report["base_generation"]:
        differing = deduped["differing_settings"]
        why = f"{', '.join(differing)} changed" if differing else "production is damaged"
        lines.append(labeled("REBUILD", f"in full: {why}"))
    if deduped["num_payload_updates"]:
        updates = counted(deduped["num_payload_updates"], "document text")
        lines.append(labeled("to update", f"{updates}: location or metadata only, nothing is embedded"))
    texts = counted(chunked["num_contents"], "document text")
    chunks, tokens = counted(chunked["num_chunks"], "chunk"), counted(chunked["num_tokens"], "token")
    lines.append(labeled("to chunk", f"{texts}: {chunks}, {tokens}"))
    lines.append(labeled("to embed", _embedding_text(report["embeddings"])))
    if report["embeddings"]["endpoint_not_asked"]:
        lines.append(labeled("", "the model was not asked: the refresh compares it with production first"))
    staged = report["staging_collection"]
    candidate = (
        counted(staged["num_documents"], "document")
        if staged["written"]
        else "none: production is up to date"
    )
    lines.append(labeled("candidate", candidate))
    lines.extend(
        labeled("REFUSED", deduped[key]["message"])
        for key in ("deletion_refused", "rebuild_refused")
        if deduped[key]
    )
    lines.extend(pending_lines(report["pending_approvals"], lines))
    for label, key in (("NO BENCHMARK", "no_benchmark"), ("BENCHMARK", "benchmark_does_not_fit")):
        if report["eval_report"][key]:
            problem = report["eval_report"][key]
            lines.append(labeled(label, f"the gate would block this refresh: {problem}"))
    lines.extend(hold_lines(report["production_collection"]))
    return "\n".join(lines)


def _change_lines(deduped: dict[str, Any]) -> Iterator[str]:
    counts = {kind.value: deduped[f"num_{kind.value}"] for kind in Change}
    yield labeled("changes", ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count))
    for kind, entries in deduped["documents"].items():
        for entry in entries[:_MOST_LINES]:
            yield labeled(f"  {kind}", _entry_text(entry))
        if counts[kind] > _MOST_LINES:
            yield labeled(f"  {kind}", f"and {counts[kind] - _MOST_LINES:,} more")


def _entry_text(entry: dict[str, Any]) -> str:
    if "reason" in entry:
        return quarantined_text(entry)
    text = str(entry["document_id"])
    if "moved_from" in entry:
        text += f" (from {entry['moved_from']})"
    if entry.get("duplicate_of"):
        text += f" (of {entry['duplicate_of']})"
    if "near_duplicate_of" in entry:
        text += f" (near-duplicate of {entry['near_duplicate_of']}, which is kept)"
    return text


def _embedding_text(embedded: dict[str, Any]) -> str:
    model, texts = embedded["embedding_model"], embedded["num_texts"]
    if embedded["num_embedded"] is None:
        return f"at most {counted(texts, 'text')} with {model}, whose dimension only its endpoint knows"
    cost = embedded["estimated_cost_usd"]
    dimensions = f", {embedded['dimensions']} dimensions" if embedded["dimensions"] else ""
    price = "at an unknown price" if cost is None else usd(cost) if cost else "free"
    return (
        f"{counted(embedded['num_embedded'], 'text')} with {model}{dimensions} "
        f"({embedded['num_cached']:,} more in the cache), "
        f"{counted(embedded['num_tokens'], 'token')}, {price}"
    )
