"""The report of an evaluation: scores, one result per question, and the verdict configuration.

A reader of a report needs only this module, not the evaluator.
"""

from dataclasses import dataclass
from typing import Any

from rag_assets.fingerprint import short_hash


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The result of one question.

    Attributes:
        retrieved: documents found, best first, one id per content.
        metrics: name in `METRICS` -> value.
        missing_docs: nonexistent expected documents. Each counts as a miss.
        production_recall_at_5: of production on the same question, or None if not measured.
    """

    query: str
    expected_docs: tuple[str, ...]
    retrieved: tuple[str, ...]
    metrics: dict[str, float]
    latency_seconds: float
    missing_docs: tuple[str, ...] = ()
    production_recall_at_5: float | None = None

    @property
    def recall_at_5(self) -> float:
        return self.metrics["recall_at_5"]

    @property
    def reciprocal_rank(self) -> float:
        return self.metrics["mrr"]


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over all questions, and latencies of one search without embedding the question.

    Attributes:
        means: name in `METRICS` -> mean.
    """

    means: dict[str, float]
    recall_at_5_standard_error: float
    latency_p50_seconds: float
    latency_p95_seconds: float
    latency_p99_seconds: float

    @property
    def recall_at_5(self) -> float:
        return self.means["recall_at_5"]


@dataclass(frozen=True, slots=True)
class EvalReport:
    """The measurement of a candidate, with the verdict configuration of that time.

    Attributes:
        generation, digest: the measured candidate. The report is about no other.
        num_embedded: number of questions that had to be embedded. The vectors of the others were cached.
        problems: reasons for a missing measurement. Each fails the gate.
        production_scores: of production at that time, on the same questions, or None without a production.
    """

    generation: str
    digest: str
    points_count: int
    verdict_configuration: dict[str, Any]
    scores: Scores | None = None
    production_scores: Scores | None = None
    queries: tuple[QueryResult, ...] = ()
    num_embedded: int = 0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def verdict_data_version(report: EvalReport) -> str:
    """Return a hash of the report without latencies, because they differ each time."""
    answers = [[query.query, list(query.retrieved), list(query.missing_docs)] for query in report.queries]
    return short_hash([report.digest, report.verdict_configuration, answers, list(report.problems)])


def worst_queries(report: EvalReport) -> list[QueryResult]:
    """Return the questions without a perfect answer: first those that production answers better, then the worst."""

    def badness(query: QueryResult) -> tuple[float, float, float]:
        gained = query.recall_at_5 - (query.production_recall_at_5 or 0.0)
        return (min(gained, 0.0), query.recall_at_5, query.reciprocal_rank)

    imperfect = (query for query in report.queries if query.recall_at_5 < 1 or query.reciprocal_rank < 1)
    return sorted(imperfect, key=badness)
