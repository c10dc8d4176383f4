"""Checks of a report that was read from disk, before a verdict relies on it.

A report can be damaged, edited, or made for another candidate. Its means must follow from its rows, its rows must answer
exactly the questions of the benchmark, and its digest must be the one kept in the vector store.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from rag_assets.evaluation.benchmark import Benchmark
from rag_assets.evaluation.report import EvalReport, QueryResult
from rag_assets.evaluation.retrieval_metrics import METRICS

MEASURE_AGAIN = "materialize eval_report and production_collection"


def report_digest(report: EvalReport) -> str:
    """Return the SHA-256 of everything in a report except latencies and the cost of the evaluation, hex."""
    content = asdict(report)
    del content["num_embedded"], content["cost"]
    for query in content["queries"]:
        del query["latency_seconds"]
    for name in ("scores", "production_scores"):
        content[name] = content[name] and content[name]["means"]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def mean_of_rows(report: EvalReport, metric: str) -> float:
    """Return the mean of a metric over the rows that count, NaN without any."""
    counted = report.counted
    if not counted:
        return math.nan
    return math.fsum(query.metrics[metric] for query in counted) / len(counted)


def damage_in(report: EvalReport) -> str:
    """Return why the rows and scores of a report cannot come from a measurement, or ""."""
    if any(
        not _is_share(query.metrics.get(name)) for query in report.queries for name in _names(query.metrics)
    ) or any(not _is_share(value) for query in report.queries for value in _compared(query)):
        return _damaged(report, "a row has a value other than a number from 0 to 1")
    if report.scores is None or not report.queries:
        return ""
    for name in _names(report.scores.means):
        stored = report.scores.means.get(name)
        found = mean_of_rows(report, name)
        if not _is_share(stored) or not math.isclose(stored or 0.0, found, abs_tol=1e-9):
            return _damaged(report, f"it gives {name} as {stored}, but the mean of its rows is {found:.3f}")
    return ""


def foreign_questions_in(report: EvalReport, benchmark: Benchmark) -> str:
    """Return why the rows are not those of the benchmark, or ""."""
    asked = [(query.query, query.expected_docs) for query in benchmark.queries]
    if [(query.query, query.expected_docs) for query in report.queries] == asked:
        return ""
    return _damaged(report, "its rows are not the questions of the benchmark")


def _names(values: Mapping[str, float]) -> list[str]:
    """Return the metrics that must be there. Reports of an earlier version lack the uncapped recall."""
    return [name for name in METRICS if name in values or name != "recall_at_5_uncapped"]


def _compared(query: QueryResult) -> Iterator[float]:
    """Yield the values that verdicts compare, besides the metrics."""
    lists = [query.dense, query.keyword, query.anchor]
    if query.production is not None:
        lists += [query.production.fused, query.production.dense, query.production.keyword]
    for one in lists:
        if one is not None:
            yield from (one.recall_at_5, one.mrr)


def _is_share(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and 0 <= value <= 1


def _damaged(report: EvalReport, why: str) -> str:
    return f"the report on {report.generation} in eval_report is damaged: {why}. Production is unchanged: {MEASURE_AGAIN}"
