"""The report of an evaluation: scores, one result per question, and the verdict configuration.

A reader of a report needs only this module, not the evaluator.
"""

from dataclasses import dataclass
from typing import Any

from rag_assets.fingerprint import short_hash


@dataclass(frozen=True, slots=True)
class ListScores:
    """The two scores that verdicts compare, of one list of results for one question, each 0 to 1."""

    recall_at_5: float
    mrr: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The scores of one generation for one question: of the fused list, and of the two lists it was fused from."""

    fused: ListScores
    dense: ListScores
    keyword: ListScores


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The result of one question.

    Attributes:
        retrieved: documents found, best first, one id per content.
        metrics: name in `METRICS` -> value.
        latency_seconds: of the search of the evaluation, deeper than that of an application.
        missing_docs: nonexistent expected documents. Each counts as a miss.
        dense, keyword: scores of the dense and of the BM25 list alone. None in a report of an earlier version.
        production: the same question in production, or None if not measured.
        anchor: the fused list of the anchor, or None without one.
        slices: parts of the benchmark with this question, such as `source=wiki`.
        is_set_apart: whether a person accepted the deletion of its document. Then it counts for no generation.
    """

    query: str
    expected_docs: tuple[str, ...]
    retrieved: tuple[str, ...]
    metrics: dict[str, float]
    latency_seconds: float
    missing_docs: tuple[str, ...] = ()
    dense: ListScores | None = None
    keyword: ListScores | None = None
    production: Answer | None = None
    anchor: ListScores | None = None
    slices: tuple[str, ...] = ()
    is_set_apart: bool = False

    @property
    def production_recall_at_5(self) -> float | None:
        return None if self.production is None else self.production.fused.recall_at_5

    @property
    def fused(self) -> ListScores:
        return ListScores(self.recall_at_5, self.reciprocal_rank)

    @property
    def answer(self) -> Answer | None:
        """The scores of the candidate, None in a report of an earlier version."""
        if self.dense is None or self.keyword is None:
            return None
        return Answer(self.fused, self.dense, self.keyword)

    @property
    def recall_at_5(self) -> float:
        return self.metrics["recall_at_5"]

    @property
    def reciprocal_rank(self) -> float:
        return self.metrics["mrr"]


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over all questions, and latencies of a search as applications ask it, without embedding the question.

    Attributes:
        means: name in `METRICS` -> mean.
        latency_p50_seconds: of a search for five chunks, after others. The same holds for the other two.
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
class EvaluationCost:
    """Work of one evaluation. One search gives the fused list and both halves.

    Attributes:
        num_searches: searches of this run for scores, of candidate and production.
        num_reused: searches saved, because an earlier run had measured the same.
        seconds: for all of it.
    """

    num_searches: int = 0
    num_reused: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class EvalReport:
    """The measurement of a candidate, with the verdict configuration of that time.

    Attributes:
        generation, digest: the measured candidate. The report is about no other.
        num_embedded: number of questions that had to be embedded. The vectors of the others were cached.
        problems: reasons for a missing measurement. Each fails the gate.
        production_scores: of production at that time, on the same questions, or None without a production.
        production_generation: the generation in production, "" without one.
        production_problem: reason for a production without scores, "" for none.
        anchor_generation: the generation of the anchor, "" without one.
        anchor_pinned_by: the person who chose the anchor, "" for the best promoted one.
        cost: what the evaluation took. See `EvaluationCost`.
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
    production_generation: str = ""
    production_problem: str = ""
    anchor_generation: str = ""
    anchor_pinned_by: str = ""
    cost: EvaluationCost = EvaluationCost()

    @property
    def counted(self) -> tuple[QueryResult, ...]:
        """The questions that count: without those set apart."""
        return tuple(query for query in self.queries if not query.is_set_apart)


def verdict_data_version(report: EvalReport) -> str:
    """Return a hash of the report without latencies, because they differ each time."""
    answers = [[query.query, list(query.retrieved), list(query.missing_docs)] for query in report.queries]
    return short_hash([report.digest, report.verdict_configuration, answers, list(report.problems)])


def worst_queries(report: EvalReport) -> list[QueryResult]:
    """Return the questions without a perfect answer: first those that production answers better, then the worst."""

    def badness(query: QueryResult) -> tuple[float, float, float]:
        gained = query.recall_at_5 - (query.production_recall_at_5 or 0.0)
        return (min(gained, 0.0), query.recall_at_5, query.reciprocal_rank)

    imperfect = (query for query in report.counted if query.recall_at_5 < 1 or query.reciprocal_rank < 1)
    return sorted(imperfect, key=badness)
