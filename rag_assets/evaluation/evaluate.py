"""Measures a generation on a benchmark, through exactly the path that applications use."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rag_assets.evaluation.benchmark import Benchmark, BenchmarkQuery, DocumentNames, expected_contents
from rag_assets.evaluation.retrieval_metrics import METRICS
from rag_assets.evaluation.statistics import percentile, standard_error
from rag_assets.fingerprint import short_hash
from rag_assets.progress import Progress
from rag_assets.records import Vector
from rag_assets.retrieval import GenerationSearch

_RETRIEVED_CHUNKS = 50


@dataclass(frozen=True, slots=True)
class QueryResult:
    """How one question fared.

    Attributes:
        retrieved: documents found, best first, one id a content.
        metrics: name in `METRICS` -> value.
        missing_docs: expected documents that do not exist; each counts as a miss.
        production_recall_at_5: of production on the same question; None if it was not measured.
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
    """Means over all questions; latency of one search, the question embedded already.

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
    """What was measured, on what, and under which verdict configuration.

    Attributes:
        generation, digest: the candidate that this report speaks of, and of no other.
        num_embedded: questions that had to be embedded; the others' vectors were cached.
        problems: why nothing sensible could be measured; each fails the gate.
        production_scores: of production at that time, on the same questions; None if there was none.
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
    """Return a hash of what the report says, latencies left out: they differ each time."""
    answers = [[query.query, list(query.retrieved), list(query.missing_docs)] for query in report.queries]
    return short_hash([report.digest, report.verdict_configuration, answers, list(report.problems)])


def worst_queries(report: EvalReport) -> list[QueryResult]:
    """Return the questions that were not answered perfectly: what production answers better first, then the worst."""

    def badness(query: QueryResult) -> tuple[float, float, float]:
        gained = query.recall_at_5 - (query.production_recall_at_5 or 0.0)
        return (min(gained, 0.0), query.recall_at_5, query.reciprocal_rank)

    imperfect = (query for query in report.queries if query.recall_at_5 < 1 or query.reciprocal_rank < 1)
    return sorted(imperfect, key=badness)


def evaluate_generation(
    search: GenerationSearch, benchmark: Benchmark, names: DocumentNames, vector_of: Callable[[str], Vector]
) -> tuple[Scores, list[QueryResult]]:
    """Ask every question.

    Args:
        vector_of: the embedded question, float32 (dim,).

    Raises:
        BenchmarkError: a name is ambiguous, or the benchmark does not fit: most expected documents are absent.
    """
    contents = expected_contents(benchmark, names)
    progress = Progress("questions", len(benchmark.queries))
    results = [
        _ask(search, query, contents, vector_of(query.query)) for query in progress.over(benchmark.queries)
    ]
    return _mean_scores(results), results


def _ask(
    search: GenerationSearch, query: BenchmarkQuery, contents: dict[str, str | None], vector: Vector
) -> QueryResult:
    started_at = time.perf_counter()
    hits = search.search_vector(query.query, vector, _RETRIEVED_CHUNKS)
    latency_seconds = time.perf_counter() - started_at
    documents = {hit.content_hash: hit.locations[0].document_id for hit in reversed(hits)}
    ranked = list(dict.fromkeys(hit.content_hash for hit in hits))
    # An absent document can never be found: its own name stands for it among the relevant ones.
    relevant = {contents[name] or name for name in query.expected_docs}
    return QueryResult(
        query=query.query,
        expected_docs=query.expected_docs,
        retrieved=tuple(documents[content] for content in ranked[:10]),
        metrics={name: metric(ranked, relevant) for name, metric in METRICS.items()},
        latency_seconds=latency_seconds,
        missing_docs=tuple(name for name in query.expected_docs if contents[name] is None),
    )


def _mean_scores(results: Sequence[QueryResult]) -> Scores:
    latencies = [result.latency_seconds for result in results]
    return Scores(
        means={
            name: math.fsum(result.metrics[name] for result in results) / len(results) for name in METRICS
        },
        recall_at_5_standard_error=standard_error([result.recall_at_5 for result in results]),
        latency_p50_seconds=percentile(latencies, 0.50),
        latency_p95_seconds=percentile(latencies, 0.95),
        latency_p99_seconds=percentile(latencies, 0.99),
    )
