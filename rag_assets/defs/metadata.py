"""Counts, tables and small pictures for the Dagster UI: what each asset shows, in one vocabulary.

No document text, no secrets. Tables, and bars made of text in them, since Dagster shows a table at once wherever it
shows metadata, but Markdown only behind a link. Long tables are cut and say so: the whole is in the artefact.
"""

import shlex
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from rag_assets.changes.change_set import Change, ContentChange, DocumentChange, DocumentState, count_changes
from rag_assets.evaluation.evaluate import EvalReport, QueryResult, Scores, worst_queries
from rag_assets.generations.staging import StagedGeneration
from rag_assets.ingestion.ingestion import SourceReport, files_left_out, unreadable_sources
from rag_assets.ingestion.media_models import ModelUsage
from rag_assets.records import GenerationManifest, ProductionState
from rag_assets.refresh.decision import NearDuplicateDocuments

_BAR_CELLS = 10
_SIZE_CLASSES = 8
_NAMES_IN_CELL = 6

# What a person has to look at comes first.
_CHANGES_SHOWN = (
    Change.QUARANTINED,
    Change.DELETED,
    Change.OMITTED,
    Change.UPDATED,
    Change.MOVED,
    Change.DUPLICATE,
    Change.ADDED,
)


def shown(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing: None, and tables without a row."""
    return {
        key: value
        for key, value in metadata.items()
        if value is not None and not (isinstance(value, dg.TableMetadataValue) and not value.records)
    }


def bar(share: float) -> str:
    """Draw a share, 0 to 1, to an eighth of a character."""
    full, eighths = divmod(round(share * _BAR_CELLS * 8), 8)
    return ("█" * full + " ▏▎▍▌▋▊▉"[eighths].strip()).ljust(_BAR_CELLS, "░")


def _column(name: str, column_type: str = "string", description: str | None = None) -> dg.TableColumn:
    return dg.TableColumn(name, column_type, description)


def _table(
    rows: Iterable[dict[str, Any]], *columns: dg.TableColumn, most_rows: int = 20
) -> dg.TableMetadataValue:
    every = list(rows)
    records = [dg.TableRecord(row) for row in every[:most_rows]]
    if len(every) > most_rows:
        first, *others = (column.name for column in columns)
        note = {first: f"… {len(every) - most_rows} more"}
        records.append(dg.TableRecord(note | dict.fromkeys(others)))
    return dg.MetadataValue.table(records, dg.TableSchema(list(columns)))


def breakdown(part: str, counts: Mapping[str, int]) -> dg.TableMetadataValue:
    """How a whole divides into parts, as bars; parts that are empty are left out.

    Args:
        part: what a part is called, the head of the first column.
    """
    total = sum(counts.values())
    rows = (
        {part: name, "count": count, "share": bar(count / total)} for name, count in counts.items() if count
    )
    return _table(rows, _column(part), _column("count", "int"), _column("share"))


UNREADABLE_KEY = "unreadable_sources"
NEWLY_UNREADABLE_KEY = "newly_unreadable_sources"


def ingestion_metadata(
    reports: Sequence[SourceReport], quarantined: Iterable[DocumentState], known_problems: Container[str]
) -> dict[str, Any]:
    """What the sources gave.

    Args:
        known_problems: sources that the refresh before could not read either; they are not told to anybody again.
    """
    problems = unreadable_sources(reports)
    new_problems = {source: problem for source, problem in problems.items() if source not in known_problems}
    return {
        "num_documents": sum(report.num_listed for report in reports),
        "num_read": sum(report.num_read for report in reports),
        "num_parsed": sum(report.num_parsed for report in reports),
        "num_quarantined": sum(report.num_quarantined for report in reports),
        "num_unreadable_sources": sum(not report.complete for report in reports),
        "sources": source_table(reports),
        UNREADABLE_KEY: dg.MetadataValue.json(problems) if problems else None,
        NEWLY_UNREADABLE_KEY: dg.MetadataValue.json(new_problems) if new_problems else None,
        "quarantined": quarantine_table(quarantined),
    }


def media_metadata(usages: Iterable[ModelUsage], reports: Iterable[SourceReport]) -> dict[str, Any]:
    """What models were asked about recordings and pictures, and what was left out for want of a model."""
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
            "num_asked": usage.num_documents,
            "audio_seconds": usage.audio_seconds,
            "num_tokens": usage.tokens,
            "cost_usd": usage.cost_usd,
        }
        for usage in usages
    )
    return _table(
        rows,
        _column("model"),
        _column("num_asked", "int", "recordings or pictures that it gave an answer for"),
        _column("audio_seconds", "float", "billed, where seconds are"),
        _column("num_tokens", "int", "billed, where tokens are"),
        _column("cost_usd", "float", "empty if the price is not known"),
    )


def source_table(reports: Iterable[SourceReport]) -> dg.TableMetadataValue:
    rows = (
        {
            "source": report.source,
            "listing": "complete" if report.complete else f"incomplete: {report.problem}",
            "num_documents": report.num_listed,
            "num_read": report.num_read,
            "num_parsed": report.num_parsed,
            "num_quarantined": report.num_quarantined,
        }
        for report in reports
    )
    return _table(
        rows,
        _column("source"),
        _column("listing", description="of an incomplete source nothing is deleted"),
        _column("num_documents", "int", "that it lists"),
        _column("num_read", "int", "whose version token moved"),
        _column("num_parsed", "int", "whose bytes were never seen before"),
        _column("num_quarantined", "int", "without usable text"),
    )


def quarantine_table(states: Iterable[DocumentState | DocumentChange]) -> dg.TableMetadataValue:
    rows = (
        {
            "document_id": state.document_id,
            "reason": state.quarantine_reason,
            "detail": state.quarantine_detail,
            "last_good_version": "served" if state.content_hash else "none",
        }
        for state in states
    )
    return _table(
        rows, _column("document_id"), _column("reason"), _column("detail"), _column("last_good_version")
    )


def trace_hint(document_ids: Sequence[str]) -> dict[str, dg.TextMetadataValue]:
    """The command that explains what the table beside it names; nothing for an empty table.

    As a metadata value, not a string: then it is shown, and not repeated in the log.
    """
    if not document_ids:
        return {}
    return {"trace": dg.MetadataValue.text(f"rag-assets trace {shlex.quote(document_ids[0])}")}


def change_table(changes: Iterable[DocumentChange]) -> dg.TableMetadataValue:
    """The documents that change; unchanged ones are left out, and those that were omitted before."""
    changing = sorted(
        (
            change
            for change in changes
            if change.change in _CHANGES_SHOWN and (change.change is not Change.OMITTED or change.is_served)
        ),
        key=lambda change: (_CHANGES_SHOWN.index(change.change), change.document_id),
    )
    rows = (
        {"change": it.change.value, "document_id": it.document_id, "moved_from": it.moved_from}
        for it in changing
    )
    return _table(rows, _column("change"), _column("document_id"), _column("moved_from"))


def near_duplicate_metadata(
    groups: Sequence[NearDuplicateDocuments], changes: Iterable[DocumentChange]
) -> dict[str, Any]:
    """Which documents say nearly the same, and which of them are not in the index for that."""
    omitted = {change.document_id for change in changes if change.change is Change.OMITTED}

    def names(document_ids: Iterable[str]) -> str | None:
        every = list(document_ids)
        more = f" … {len(every) - _NAMES_IN_CELL} more" if len(every) > _NAMES_IN_CELL else ""
        return (", ".join(every[:_NAMES_IN_CELL]) + more) or None

    rows = (
        {
            "documents": names(one for one in group.document_ids if one not in omitted),
            "omitted": names(one for one in group.document_ids if one in omitted),
            "similarity": group.similarity,
        }
        for group in groups
    )
    return {
        "num_near_duplicates": sum(len(group.document_ids) for group in groups),
        "near_duplicates": _table(
            rows,
            _column("documents", description="that say nearly the same"),
            _column("omitted", description="not in the index, for RAG_NEAR_DUPLICATES is keep_one"),
            _column(
                "similarity", "float", "estimated share of three-word phrases in common, of the least alike"
            ),
        ),
    }


def change_metadata(changes: Sequence[DocumentChange]) -> dict[str, Any]:
    """What a refresh does to documents: as bars, as counts, and each that changes by name."""
    counts = Counter(change.change for change in changes)
    quarantined = [change for change in changes if change.quarantine_reason]
    return {
        "documents": breakdown("documents", {kind.value: counts[kind] for kind in Change}),
        "changes": change_table(changes),
        "quarantined": quarantine_table(quarantined),
        **trace_hint([change.document_id for change in quarantined]),
        **count_changes(changes),
    }


def flagged_table(flagged: Mapping[str, int], changes: Iterable[ContentChange]) -> dg.TableMetadataValue:
    """The documents whose text seems to speak to a model: which, never what it says.

    Args:
        flagged: content hash -> flagged chunks.
        changes: where each content is.
    """
    rows = sorted(
        (
            {"document_id": location.document_id, "num_flagged_chunks": flagged[change.content_hash]}
            for change in changes
            if change.content_hash in flagged
            for location in change.locations
        ),
        key=lambda row: str(row["document_id"]),
    )
    return _table(rows, _column("document_id"), _column("num_flagged_chunks", "int"))


def chunk_size_breakdown(token_counts: Counter[int], chunk_size: int) -> dg.TableMetadataValue:
    """How long the chunks are.

    Args:
        token_counts: tokens -> chunks of that many.
    """
    width = -(-chunk_size // _SIZE_CLASSES)
    classes: Counter[int] = Counter()
    for tokens, chunks in token_counts.items():
        classes[(max(tokens, 1) - 1) // width] += chunks
    return breakdown(
        "tokens",
        {f"{number * width + 1} to {(number + 1) * width}": classes[number] for number in sorted(classes)},
    )


def staging_metadata(staged: StagedGeneration) -> dict[str, Any]:
    """Where the points of a candidate come from, and how many of production it has no more."""
    manifest, added, relocated = staged.manifest, staged.num_points_added, staged.num_points_relocated
    points = {
        "as in production": manifest.points_count - added - relocated,
        "added": added,
        "relocated": relocated,
        "deleted": staged.num_points_deleted,
    }
    return {
        "written": staged.written,
        "points": breakdown("points", points),
        "num_documents": manifest.documents_count,
        "num_points": manifest.points_count,
        "num_points_added": added,
        "num_points_deleted": staged.num_points_deleted,
        "num_points_relocated": relocated,
    }


def rollback_metadata(manifest: GenerationManifest, state: ProductionState) -> dict[str, Any]:
    """What serves since a person went back, under the names that production_collection has for it."""
    return shown(
        {
            "promoted": False,
            "num_documents": manifest.documents_count,
            "num_points": manifest.points_count,
            "generation": manifest.generation,
            "held_generation": state.held,
            "index": index_table(manifest.fingerprint),
            "digest": manifest.digest,
            "refresh_id": manifest.refresh_id,
        }
    )


def index_table(fingerprint: Mapping[str, Any]) -> dg.TableMetadataValue:
    """With what the points were made; a change of any of these rebuilds all."""

    def text(value: Any) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{key} {part}" for key, part in value.items() if part != "")
        return str(value)

    rows = ({"setting": name, "value": text(value)} for name, value in fingerprint.items())
    return _table(rows, _column("setting"), _column("value"))


def report_metadata(report: EvalReport) -> dict[str, Any]:
    """What a person asks of a report, in that order: is it good, where is it not, how was it measured."""
    return {
        "scores": score_table(report),
        "problems": "; ".join(report.problems + report.notes) or None,
        "worst_queries": worst_queries_table(report),
        **trace_hint([name for query in worst_queries(report) for name in query.expected_docs]),
        **({} if report.scores is None else score_metadata(report.scores)),
        "production_recall_at_5": recall_at_5(report.production_scores),
        "num_queries": len(report.queries),
        "num_embedded": report.num_embedded,
        "num_missing_docs": len({name for query in report.queries for name in query.missing_docs}),
    }


def recall_at_5(scores: Scores | None) -> float | None:
    return _rounded(scores.recall_at_5 if scores else None, 4)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def score_metadata(scores: Scores) -> dict[str, float]:
    return {
        **{name: round(mean, 4) for name, mean in scores.means.items()},
        "recall_at_5_standard_error": round(scores.recall_at_5_standard_error, 4),
        "latency_p50_seconds": round(scores.latency_p50_seconds, 6),
        "latency_p95_seconds": round(scores.latency_p95_seconds, 6),
        "latency_p99_seconds": round(scores.latency_p99_seconds, 6),
    }


def score_table(report: EvalReport) -> dg.TableMetadataValue | None:
    """Candidate and production side by side, and the threshold below what it is for."""
    candidate, production = report.scores, report.production_scores
    if candidate is None:
        return None
    rows: list[dict[str, Any]] = []
    for metric, score in candidate.means.items():
        before = None if production is None else production.means[metric]
        rows.append(
            {
                "metric": metric,
                "candidate": round(score, 3),
                "production": _rounded(before, 3),
                "change": None if before is None else _signed(score - before),
                "0 to 1": bar(score),
            }
        )
        if metric == "recall_at_5":
            threshold = float(report.verdict_configuration["eval_threshold"])
            must_reach = {"metric": "⤷ must reach", "candidate": threshold, "0 to 1": bar(threshold)}
            rows.append(must_reach | {"production": None, "change": None})
    return _table(
        rows,
        _column("metric", description="mean over all questions"),
        _column("candidate", "float"),
        _column("production", "float", "what served during the measurement, on the same questions"),
        _column("change", description="candidate less production"),
        _column("0 to 1", description="the candidate's score as a bar"),
    )


def _signed(difference: float) -> str:
    rounded = round(difference, 3)
    return "=" if rounded == 0 else f"{'▲' if rounded > 0 else '▼'} {abs(rounded):.3f}"


def worst_queries_table(report: EvalReport) -> dg.TableMetadataValue:
    """The questions of `worst_queries`, with what was found instead."""
    rows = (
        {
            "query": query.query,
            "recall_at_5": round(query.recall_at_5, 2),
            "before": _rounded(query.production_recall_at_5, 2),
            "rank": round(1 / query.reciprocal_rank) if query.reciprocal_rank else None,
            "expected_docs → retrieved": _expected_and_retrieved(query),
        }
        for query in worst_queries(report)
    )
    return _table(
        rows,
        _column("query"),
        _column("recall_at_5", "float"),
        _column("before", "float", "recall_at_5 of production, on the same question"),
        _column("rank", "int", "of the first expected document; empty if none was found"),
        # One column: two of paths, which do not wrap, would push each other out of the page.
        _column("expected_docs → retrieved", description="the first three documents found, best first"),
        most_rows=10,
    )


def _expected_and_retrieved(query: QueryResult) -> str:
    expected = (f"{name} (absent)" if name in query.missing_docs else name for name in query.expected_docs)
    retrieved = (document_id.partition(":")[2] for document_id in query.retrieved[:3])
    return f"{', '.join(expected)} → {', '.join(retrieved) or 'nothing'}"


def gate_metadata(report: EvalReport, threshold: float) -> dict[str, Any]:
    """What the verdict is about; Dagster sorts the keys of a check by name."""
    return shown(
        {
            "eval_threshold": threshold,
            "recall_at_5": recall_at_5(report.scores),
            "production_recall_at_5": recall_at_5(report.production_scores),
            "scores": score_table(report),
            "worst_queries": dg.MetadataValue.asset(dg.AssetKey("eval_report")),
        }
    )
