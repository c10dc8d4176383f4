import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from rag_assets.errors import BenchmarkError
from rag_assets.evaluation.benchmark import Benchmark, BenchmarkQuery, DocumentNames
from rag_assets.evaluation.evaluate import evaluate_generation
from rag_assets.evaluation.report import ListScores, QueryResult, Scores
from rag_assets.evaluation.statistics import standard_error
from rag_assets.records import Location, Point, ScoredPoint, SearchFilter, SparseVector, Vector
from rag_assets.retrieval import GenerationSearch
from rag_assets_tests.documents import FakeEmbedder, document, hashed, place

DOCUMENTS = [document(name, f"text of {name}") for name in ("a", "b", "c", "d", "e", "f")]
NAMES = DocumentNames(DOCUMENTS)


class ScriptedReader:
    """Answers the n-th question (its vector is n) with chunks of the documents listed for it."""

    def __init__(self, answers: Sequence[Sequence[str]]) -> None:
        self.generation = "g1"
        self.limits: list[int] = []
        self._answers = answers
        self._found: dict[str, dict[str, object]] = {}

    def search(
        self,
        dense: Vector,
        sparse: SparseVector | None,
        limit: int,
        search_filter: SearchFilter | None = None,
        *,
        with_payload: bool = True,
    ) -> tuple[list[ScoredPoint], list[ScoredPoint]]:
        self.limits.append(limit)
        names = self._answers[int(dense[0])]
        self._found = {f"{rank:04}": _payload(name, rank) for rank, name in enumerate(names, 1)}
        return [ScoredPoint(identity, 1 / rank, {}) for rank, identity in enumerate(self._found, 1)], []

    def close(self) -> None: ...

    def count(self) -> int:
        return 0

    def retrieve(self, point_ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
        return [Point(identity, self._found[identity]) for identity in point_ids]

    def scroll(self, batch_size: int = 512, *, with_vectors: bool = False) -> Iterator[list[Point]]:
        yield []


def _payload(name: str, rank: int) -> dict[str, object]:
    locations: list[Location] = [place(name), place(f"copy of {name}")]
    return {
        "text": "chunk",
        "content_hash": hashed(f"text of {name}"),
        "chunk_index": rank,
        "locations": [location.to_payload() for location in locations],
    }


def evaluated(
    *asked: tuple[Sequence[str], Sequence[str]],
) -> tuple[Scores, list[QueryResult]]:
    """Evaluate questions, each with its expected documents and the documents of the returned chunks."""
    queries = tuple(
        BenchmarkQuery(str(number), tuple(expected)) for number, (expected, _) in enumerate(asked)
    )
    search = GenerationSearch(ScriptedReader([found for _, found in asked]), FakeEmbedder(), 1.0)
    return evaluate_generation(
        search, Benchmark(queries), NAMES, lambda query: np.array([int(query)], np.float32)
    )


def test_distinct_documents_are_scored_not_chunks() -> None:
    _, [result] = evaluated((["b"], ["a", "a", "a", "a", "a", "a", "b", "a"]))
    assert result.retrieved == ("filesystem:a", "filesystem:b")
    assert (result.metrics["recall_at_1"], result.recall_at_5) == (0, 1)
    assert result.reciprocal_rank == 0.5
    assert result.metrics["ndcg_at_10"] == pytest.approx(1 / math.log2(3))


def test_two_places_of_one_content_are_one_document() -> None:
    names = DocumentNames([*DOCUMENTS, document("copy", "text of a")])
    search = GenerationSearch(ScriptedReader([["a"]]), FakeEmbedder(), 1.0)
    benchmark = Benchmark((BenchmarkQuery("0", ("a", "copy")),))
    _, [result] = evaluate_generation(search, benchmark, names, lambda query: np.zeros(1, np.float32))
    assert result.metrics["recall_at_1"] == 1
    assert result.metrics["ndcg_at_10"] == 1


def test_the_scores_are_the_means_over_all_questions() -> None:
    scores, results = evaluated(
        (["a"], ["a", "b", "c"]),  # 1, 1, 1, 1, 1
        (["b", "c"], ["a", "b", "d", "e", "f", "c"]),  # 0, 1/2, 1, 1/2, (1/log2(3)+1/log2(7))/(1+1/log2(3))
        (["f"], ["a", "b"]),  # nothing
    )
    assert scores.means["recall_at_1"] == pytest.approx(1 / 3)
    assert scores.recall_at_5 == pytest.approx(0.5)
    assert scores.means["recall_at_10"] == pytest.approx(2 / 3)
    assert scores.means["mrr"] == pytest.approx(0.5)
    second = (1 / math.log2(3) + 1 / math.log2(7)) / (1 + 1 / math.log2(3))
    assert scores.means["ndcg_at_10"] == pytest.approx((1 + second) / 3)
    assert scores.recall_at_5_standard_error == standard_error([1.0, 0.5, 0.0])
    assert [result.query for result in results] == ["0", "1", "2"]
    assert 0 < scores.latency_p50_seconds <= scores.latency_p95_seconds <= scores.latency_p99_seconds


def test_a_missing_expected_document_counts_as_a_miss() -> None:
    _, [result] = evaluated((["a", "absent"], ["a"]))
    assert result.recall_at_5 == 0.5
    assert result.missing_docs == ("absent",)
    assert result.expected_docs == ("a", "absent")


def test_a_benchmark_for_other_documents_is_refused() -> None:
    evaluated((["a"], ["a"]), (["absent"], ["a"]))  # half of them: still allowed
    with pytest.raises(
        BenchmarkError, match="2 of 3 expected documents are missing, for example absent, gone"
    ):
        evaluated((["a"], ["a"]), (["absent", "gone"], ["a"]))


def test_an_ambiguous_name_is_refused_before_anything_is_asked() -> None:
    names = DocumentNames([document("hr/x.md", "1"), document("it/x.md", "2")])
    reader = ScriptedReader([[]])
    with pytest.raises(BenchmarkError, match="ambiguous"):
        evaluate_generation(
            GenerationSearch(reader, FakeEmbedder(), 1.0),
            Benchmark((BenchmarkQuery("0", ("x.md",)),)),
            names,
            lambda query: np.zeros(1, np.float32),
        )
    assert reader.limits == []


def test_a_question_that_finds_nothing_scores_nothing() -> None:
    scores, [result] = evaluated((["a"], []))
    assert result.retrieved == ()
    assert (scores.means["recall_at_10"], scores.means["mrr"], scores.means["ndcg_at_10"]) == (0, 0, 0)


def test_the_tenth_document_counts_and_the_eleventh_does_not() -> None:
    names = [f"n{number:02}" for number in range(1, 13)]
    known = DocumentNames([document(name, f"text of {name}") for name in names])
    search = GenerationSearch(ScriptedReader([names]), FakeEmbedder(), 1.0)
    benchmark = Benchmark((BenchmarkQuery("0", ("n10", "n11")),))
    _, [result] = evaluate_generation(search, benchmark, known, lambda query: np.zeros(1, np.float32))
    assert len(result.retrieved) == 10
    assert result.metrics["recall_at_10"] == 0.5
    assert result.metrics["ndcg_at_10"] == pytest.approx((1 / math.log2(11)) / (1 + 1 / math.log2(3)))
    assert result.reciprocal_rank == pytest.approx(0.1)


def test_progress_counts_the_questions(progress_lines: list[str]) -> None:
    evaluated((["a"], ["a"]), (["b"], ["b"]))
    assert [line.split(",")[0] for line in progress_lines] == [
        "1 of 2 questions asked",
        "2 of 2 questions asked",
    ]


class TwoLists(ScriptedReader):
    """The dense list has the answer first, the keyword list last."""

    def search(
        self,
        dense: Vector,
        sparse: SparseVector | None,
        limit: int,
        search_filter: SearchFilter | None = None,
        *,
        with_payload: bool = True,
    ) -> tuple[list[ScoredPoint], list[ScoredPoint]]:
        found, _ = super().search(dense, sparse, limit, search_filter, with_payload=with_payload)
        backwards = [ScoredPoint(one.id, 1 / rank, {}) for rank, one in enumerate(reversed(found), 1)]
        return found, backwards


@pytest.mark.parametrize(("weight", "rank"), [(1.0, 1), (0.0, 3)])
def test_each_half_is_scored_alone_from_the_same_search(weight: float, rank: int) -> None:
    reader = TwoLists([["a", "b", "c"]])
    search = GenerationSearch(reader, FakeEmbedder(), weight)
    benchmark = Benchmark((BenchmarkQuery("0", ("a",)),))
    _, [result] = evaluate_generation(search, benchmark, NAMES, lambda query: np.zeros(1, np.float32))
    assert (result.dense, result.keyword) == (ListScores(1, 1), ListScores(1, 1 / 3))
    assert result.fused == ListScores(1, 1 / rank)
    assert reader.limits == [100, 100]  # the second one is timed, as an application asks


def test_a_question_set_apart_counts_in_no_mean() -> None:
    search = GenerationSearch(ScriptedReader([["a"], ["a"]]), FakeEmbedder(), 1.0)
    benchmark = Benchmark((BenchmarkQuery("0", ("a",)), BenchmarkQuery("1", ("gone",))))

    def vector_of(query: str) -> Vector:
        return np.array([int(query)], np.float32)

    scores, results = evaluate_generation(search, benchmark, NAMES, vector_of, {"gone"})
    assert (scores.recall_at_5, [one.is_set_apart for one in results]) == (1, [False, True])
    with pytest.raises(BenchmarkError, match="set apart"):
        evaluate_generation(search, Benchmark(benchmark.queries[1:]), NAMES, vector_of, {"gone"})
    with pytest.raises(BenchmarkError, match="missing"):  # without the decision of a person
        evaluate_generation(search, Benchmark(benchmark.queries[1:]), NAMES, vector_of)
