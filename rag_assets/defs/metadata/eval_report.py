"""Metadata of `eval_report` and `recall_gate`: scores beside those of production, and the worst questions."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from rag_assets.defs.metadata.documents import trace_hint
from rag_assets.defs.metadata.tables import bar, column, shown, table
from rag_assets.evaluation.report import EvalReport, QueryResult, Scores, worst_queries
from rag_assets.evaluation.slices import Slice


def report_metadata(report: EvalReport) -> dict[str, Any]:
    """Scores first, then the worst questions, then the size of the measurement."""
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


def gate_metadata(report: EvalReport, threshold: float) -> dict[str, Any]:
    """Values behind the verdict. Dagster sorts the keys of a check by name."""
    return shown(
        {
            "eval_threshold": threshold,
            "recall_at_5": recall_at_5(report.scores),
            "production_recall_at_5": recall_at_5(report.production_scores),
            "scores": score_table(report),
            "worst_queries": dg.MetadataValue.asset(dg.AssetKey("eval_report")),
        }
    )


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
    """Scores of candidate and production side by side, with the threshold below Recall@5."""
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
    return table(
        rows,
        column("metric", description="mean over all questions"),
        column("candidate", "float"),
        column("production", "float", "generation served during the measurement, on the same questions"),
        column("change", description="candidate minus production"),
        column("0 to 1", description="the candidate's score as a bar"),
    )


def slice_metadata(slices: Sequence[Slice], key: str) -> dict[str, Any]:
    """Recall@5 by the values of a metadata key, the worst first."""
    rows = (
        {
            key: one.value,
            "num_queries": one.num_queries,
            "recall_at_5": round(one.recall_at_5, 3),
            "production": _rounded(one.production_recall_at_5, 3),
            "0 to 1": bar(one.recall_at_5),
        }
        for one in slices
    )
    columns = (
        column(key, description="value in the expected documents of the questions"),
        column("num_queries", "int"),
        column("recall_at_5", "float"),
        column("production", "float", "recall_at_5 of production, on the same questions"),
        column("0 to 1", description="the candidate's score as a bar"),
    )
    return {"slices": table(rows, *columns)} if slices else {}


def _signed(difference: float) -> str:
    rounded = round(difference, 3)
    return "=" if rounded == 0 else f"{'▲' if rounded > 0 else '▼'} {abs(rounded):.3f}"


def worst_queries_table(report: EvalReport) -> dg.TableMetadataValue:
    """The questions of `worst_queries`, with the documents found instead."""
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
    return table(
        rows,
        column("query"),
        column("recall_at_5", "float"),
        column("before", "float", "recall_at_5 of production, on the same question"),
        column("rank", "int", "of the first expected document, empty if none was found"),
        # One column: paths do not wrap, so two columns of them would not fit on the page.
        column("expected_docs → retrieved", description="the first three documents found, best first"),
        max_rows=10,
    )


def _expected_and_retrieved(query: QueryResult) -> str:
    expected = (f"{name} (absent)" if name in query.missing_docs else name for name in query.expected_docs)
    retrieved = (document_id.partition(":")[2] for document_id in query.retrieved[:3])
    return f"{', '.join(expected)} → {', '.join(retrieved) or 'nothing'}"
