"""Metadata of `eval_report` and `recall_gate`: scores beside those of production, and the worst questions."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from rag_assets.defs.metadata.documents import trace_hint
from rag_assets.defs.metadata.plots import plotted
from rag_assets.defs.metadata.tables import bar, column, shortened, shown, table
from rag_assets.evaluation.report import EvalReport, QueryResult, Scores, worst_queries
from rag_assets.evaluation.slices import Slice
from rag_assets.ledgers.base import Spending
from rag_assets.refresh.benchmark_version import BenchmarkVersion

_MAX_QUERIES = 10
# So many characters fit on a page 1,440 pixels wide.
_PATH_LENGTH = 28
_BAR_CELLS = 5


def report_metadata(report: EvalReport, benchmark: BenchmarkVersion) -> dict[str, Any]:
    """Scores first, then the worst questions, then the numbers for the plots."""
    return {
        "scores": score_table(report),
        "problems": "; ".join(report.problems + report.notes) or None,
        "worst_queries": worst_queries_table(report),
        **trace_hint([name for query in worst_queries(report) for name in query.expected_docs]),
        **({} if report.scores is None else score_metadata(report.scores)),
        plotted("in_production"): recall_at_5(report.production_scores),
        plotted("benchmark"): benchmark.number,
        plotted("num_queries"): len(report.counted),
        "benchmark": str(benchmark),
        "num_embedded": report.num_embedded,
        "num_missing_docs": len({name for query in report.queries for name in query.missing_docs}),
    }


def spending_metadata(spending: Sequence[Spending] | None) -> dict[str, Any]:
    """Tokens and cost of the whole run until now: documents, recordings and pictures, probes, questions."""
    if spending is None:
        return {}
    costs = [one.usd for one in spending]
    return {
        "run_tokens": sum(one.tokens for one in spending),
        "run_cost_usd": "unknown" if None in costs else sum(cost or 0.0 for cost in costs),
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


def score_metadata(scores: Scores) -> dict[str, Any]:
    latencies = {
        "p50": scores.latency_p50_seconds,
        "p95": scores.latency_p95_seconds,
        "p99": scores.latency_p99_seconds,
    }
    return {
        **{plotted(name): round(mean, 4) for name, mean in scores.means.items()},
        plotted("latency_p50_seconds"): round(scores.latency_p50_seconds, 6),
        "standard_error": f"± {scores.recall_at_5_standard_error:.3f} of recall_at_5",
        "latency": ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in latencies.items()),
    }


def score_table(report: EvalReport) -> dg.TableMetadataValue | None:
    """Scores of candidate and production side by side, with the threshold below Recall@5."""
    candidate, production = report.scores, report.production_scores
    if candidate is None:
        return None
    rows: list[dict[str, Any]] = []
    for metric, score in candidate.means.items():
        before = None if production is None else production.means.get(metric)
        rows.append(
            {
                "metric": metric,
                "candidate": round(score, 3),
                "production": _rounded(before, 3),
                "change": None if before is None else _signed(score - before),
                "0 to 1": bar(score, _BAR_CELLS),
            }
        )
        if metric == "recall_at_5":
            threshold = float(report.verdict_configuration["eval_threshold"])
            must_reach = {
                "metric": "⤷ must reach",
                "candidate": threshold,
                "0 to 1": bar(threshold, _BAR_CELLS),
            }
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
        }
        for one in slices
    )
    columns = (
        column(key, description="value in the expected documents of the questions"),
        column("num_queries", "int"),
        column("recall_at_5", "float"),
        column("production", "float", "recall_at_5 of production, on the same questions"),
    )
    return {"slices": table(rows, *columns)} if slices else {}


def _signed(difference: float) -> str:
    rounded = round(difference, 3)
    return "=" if rounded == 0 else f"{'▲' if rounded > 0 else '▼'} {abs(rounded):.3f}"


def worst_queries_table(report: EvalReport) -> dg.TableMetadataValue:
    """The questions of `worst_queries`, each with two rows below it: the documents expected, and those found instead.

    The documents have no columns of their own. The UI breaks no path, so they would push the question off the page.
    """
    worst = list(worst_queries(report))
    shown_rows: list[dict[str, Any]] = []
    for query in worst[:_MAX_QUERIES]:
        asked = {
            "query": query.query,
            "recall_at_5": round(query.recall_at_5, 2),
            "before": _rounded(query.production_recall_at_5, 2),
        }
        below = (f"⤷ expected {_expected(query)}", f"⤷ retrieved {_retrieved(query)}")
        shown_rows += [asked, *({"query": text, "recall_at_5": None, "before": None} for text in below)]
    if len(worst) > _MAX_QUERIES:
        more = f"… {len(worst) - _MAX_QUERIES} more"
        shown_rows.append({"query": more, "recall_at_5": None, "before": None})
    return table(
        shown_rows,
        column("query", description="below it the expected documents, and the first three found, best first"),
        column("recall_at_5", "float"),
        column("before", "float", "recall_at_5 of production, on the same question"),
        max_rows=len(shown_rows),
    )


def _expected(query: QueryResult) -> str:
    names = (
        shortened(name, _PATH_LENGTH) + (" (absent)" if name in query.missing_docs else "")
        for name in query.expected_docs
    )
    rank = f"at rank {round(1 / query.reciprocal_rank)}" if query.reciprocal_rank else "not found"
    return f"({rank}): {', '.join(names)}"


def _retrieved(query: QueryResult) -> str:
    names = (shortened(document_id.partition(":")[2], _PATH_LENGTH) for document_id in query.retrieved[:3])
    return ", ".join(names) or "nothing"
