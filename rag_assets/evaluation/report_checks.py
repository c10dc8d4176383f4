"""Checks of a report that was read from disk, before a verdict relies on it.

A report can be damaged, edited, or made for another candidate. Its means must follow from its rows, its rows must answer
exactly the questions of the benchmark, and its digest must be the one kept in the vector store.
"""

import hashlib
import json
import math
from dataclasses import asdict

from rag_assets.evaluation.benchmark import Benchmark
from rag_assets.evaluation.report import EvalReport
from rag_assets.evaluation.retrieval_metrics import METRICS

MEASURE_AGAIN = "materialize eval_report and production_collection"


def report_digest(report: EvalReport) -> str:
    """Return the SHA-256 of everything in a report except latencies and the number of embedded questions, hex."""
    content = asdict(report)
    del content["num_embedded"]
    for query in content["queries"]:
        del query["latency_seconds"]
    for name in ("scores", "production_scores"):
        content[name] = content[name] and content[name]["means"]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def mean_of_rows(report: EvalReport, metric: str) -> float:
    """Return the mean of a metric over the rows, NaN without rows."""
    if not report.queries:
        return math.nan
    return math.fsum(query.metrics[metric] for query in report.queries) / len(report.queries)


def damage_in(report: EvalReport) -> str:
    """Return why the rows and scores of a report cannot come from a measurement, or ""."""
    if any(not _is_share(query.metrics.get(name)) for query in report.queries for name in METRICS):
        return _damaged(report, "a row has a value other than a number from 0 to 1")
    if report.scores is None or not report.queries:
        return ""
    for name in METRICS:
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


def _is_share(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and 0 <= value <= 1


def _damaged(report: EvalReport, why: str) -> str:
    return f"the report on {report.generation} in eval_report is damaged: {why}. Production is unchanged: {MEASURE_AGAIN}"
