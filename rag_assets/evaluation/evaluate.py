"""Evaluates a generation on a benchmark, through the same retrieval path as applications."""

import math
import time
from collections.abc import Callable, Hashable, Sequence, Set
from dataclasses import replace

from rag_assets.errors import BenchmarkError
from rag_assets.evaluation.benchmark import Benchmark, BenchmarkQuery, DocumentNames, expected_contents
from rag_assets.evaluation.report import ListScores, QueryResult, Scores
from rag_assets.evaluation.retrieval_metrics import METRICS
from rag_assets.evaluation.statistics import percentile, standard_error
from rag_assets.progress import Progress
from rag_assets.records import Vector
from rag_assets.retrieval import GenerationSearch

_RETRIEVED_CHUNKS = 50
_LIMIT_OF_APPLICATIONS = 5
_TIMED_QUESTIONS = 50
"""Questions asked again as an application asks them, to measure latencies."""


def evaluate_generation(
    search: GenerationSearch,
    benchmark: Benchmark,
    names: DocumentNames,
    vector_of: Callable[[str], Vector],
    set_apart: Set[str] = frozenset(),
) -> tuple[Scores, list[QueryResult]]:
    """Ask every question.

    Args:
        vector_of: returns the vector of a question, float32 (dim,).
        set_apart: names of expected documents whose deletion a person accepted. Their questions do not count.

    Raises:
        BenchmarkError: a name is ambiguous, most expected documents are missing, or no question counts.
    """
    contents = expected_contents(benchmark, names, set_apart)
    seen: dict[str, str] = {}
    progress = Progress("questions asked", len(benchmark.queries))
    results = [
        replace(
            _ask(search, query, contents, vector_of(query.query), seen),
            is_set_apart=not set_apart.isdisjoint(query.expected_docs),
        )
        for query in progress.over(benchmark.queries)
    ]
    return _mean_scores(results, _latencies(search, benchmark, vector_of)), results


def _latencies(
    search: GenerationSearch, benchmark: Benchmark, vector_of: Callable[[str], Vector]
) -> list[float]:
    """Return the seconds of searches for as many chunks as applications ask for, of questions from all of the benchmark."""
    step = math.ceil(len(benchmark.queries) / _TIMED_QUESTIONS)
    found: list[float] = []
    for query in benchmark.queries[::step]:
        vector = vector_of(query.query)
        started_at = time.perf_counter()
        search.search_vector(query.query, vector, _LIMIT_OF_APPLICATIONS)
        found.append(time.perf_counter() - started_at)
    return found


def _ask(
    search: GenerationSearch,
    query: BenchmarkQuery,
    contents: dict[str, str | None],
    vector: Vector,
    seen: dict[str, str],
) -> QueryResult:
    started_at = time.perf_counter()
    lists = search.search_lists(query.query, vector, _RETRIEVED_CHUNKS, seen)
    latency_seconds = time.perf_counter() - started_at
    hits = lists.fused
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
        dense=_scores_of(lists.dense, relevant),
        keyword=_scores_of(lists.keyword, relevant),
    )


def _scores_of(content_hashes: Sequence[str], relevant: Set[Hashable]) -> ListScores:
    ranked = list(dict.fromkeys(content_hashes))
    return ListScores(METRICS["recall_at_5"](ranked, relevant), METRICS["mrr"](ranked, relevant))


def _mean_scores(results: Sequence[QueryResult], latencies: Sequence[float]) -> Scores:
    counted = [result for result in results if not result.is_set_apart]
    if not counted:
        raise BenchmarkError(
            "every question of the benchmark is set apart, because the deletion of its document was accepted: add questions"
        )
    return Scores(
        means={
            name: math.fsum(result.metrics[name] for result in counted) / len(counted) for name in METRICS
        },
        recall_at_5_standard_error=standard_error([result.recall_at_5 for result in counted]),
        latency_p50_seconds=percentile(latencies, 0.50),
        latency_p95_seconds=percentile(latencies, 0.95),
        latency_p99_seconds=percentile(latencies, 0.99),
    )
