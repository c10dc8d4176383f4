"""Counts and tables for the Dagster UI: what each asset shows, in one vocabulary.

No document text, no secrets. Tables are cut; the whole is in the artefact.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from rag_assets.change_set import Change, DocumentChange, DocumentState
from rag_assets.evaluation.evaluate import EvalReport, Scores, worst_queries
from rag_assets.ingestion import SourceReport

_MOST_ROWS = 100


def _table(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> dg.TableMetadataValue:
    records = [dg.TableRecord(row) for _, row in zip(range(_MOST_ROWS), rows, strict=False)]
    schema = dg.TableSchema(columns=[dg.TableColumn(column, "string") for column in columns])
    return dg.MetadataValue.table(records=records, schema=schema)


def source_table(reports: Iterable[SourceReport]) -> dg.TableMetadataValue:
    columns = ("source", "listing", "num_documents", "num_read", "num_parsed", "num_quarantined")
    return _table(
        (
            {
                "source": report.source,
                "listing": "complete" if report.complete else f"incomplete: {report.problem}",
                "num_documents": str(report.num_listed),
                "num_read": str(report.num_read),
                "num_parsed": str(report.num_parsed),
                "num_quarantined": str(report.num_quarantined),
            }
            for report in reports
        ),
        columns,
    )


def quarantine_table(states: Iterable[DocumentState | DocumentChange]) -> dg.TableMetadataValue:
    columns = ("document_id", "reason", "detail", "last good version")
    return _table(
        (
            {
                "document_id": state.document_id,
                "reason": state.quarantine_reason,
                "detail": state.quarantine_detail,
                "last good version": "served" if state.content_hash else "none",
            }
            for state in states
        ),
        columns,
    )


def change_table(changes: Iterable[DocumentChange]) -> dg.TableMetadataValue:
    columns = ("change", "document_id", "moved_from")
    return _table(
        (
            {
                "change": change.change.value,
                "document_id": change.document_id,
                "moved_from": change.moved_from or "",
            }
            for change in changes
            if change.change is not Change.UNCHANGED
        ),
        columns,
    )


def score_metadata(scores: Scores) -> dict[str, float]:
    return {
        "recall_at_1": scores.recall_at_1,
        "recall_at_5": scores.recall_at_5,
        "recall_at_5_standard_error": scores.recall_at_5_standard_error,
        "recall_at_10": scores.recall_at_10,
        "mrr": scores.mrr,
        "ndcg_at_10": scores.ndcg_at_10,
        "latency_p50_seconds": scores.latency_p50_seconds,
        "latency_p95_seconds": scores.latency_p95_seconds,
        "latency_p99_seconds": scores.latency_p99_seconds,
    }


def worst_queries_table(report: EvalReport) -> dg.TableMetadataValue:
    """The questions that fared worst, at most twenty; those answered perfectly are left out."""
    columns = ("query", "recall_at_5", "expected_docs", "retrieved", "missing_docs")
    return _table(
        (
            {
                "query": query.query,
                "recall_at_5": f"{query.recall_at_5:.2f}",
                "expected_docs": ", ".join(query.expected_docs),
                "retrieved": ", ".join(query.retrieved[:5]),
                "missing_docs": ", ".join(query.missing_docs),
            }
            for query in worst_queries(report)[:20]
        ),
        columns,
    )
