"""Evaluates a generation on a benchmark, through the same retrieval path as applications."""

import math
import time
from collections.abc import Callable, Sequence

from rag_assets.evaluation.benchmark import Benchmark, BenchmarkQuery, DocumentNames, expected_contents
from rag_assets.evaluation.report import QueryResult, Scores
from rag_assets.evaluation.retrieval_metrics import METRICS
from rag_assets.evaluation.statistics import percentile, standard_error
from rag_assets.progress import Progress
from rag_assets.records import Vector
from rag_assets.retrieval import GenerationSearch

_RETRIEVED_CHUNKS = 50


def evaluate_generation(
    search: GenerationSearch, benchmark: Benchmark, names: DocumentNames, vector_of: Callable[[str], Vector]
) -> tuple[Scores, list[QueryResult]]:
    """Ask every question.

    Args:
        vector_of: returns the vector of a question, float32 (dim,).

    Raises:
        BenchmarkError: a name is ambiguous, or most expected documents are missing.
    """
    contents = expected_contents(benchmark, names)
    progress = Progress("questions asked", len(benchmark.queries))
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
    # A missing document can never be found. Its name represents it among the relevant ones.
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
