"""The contract of every store: writing, sealing, building on a base, reading."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_assets.errors import (
    ConfigurationError,
    GenerationDamaged,
    HandleClosed,
    InvalidVectorError,
    PromotionRefused,
    RefusedError,
    StaleInputError,
)
from rag_assets.records import Point, ScoredPoint, SparseVector
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets_tests.vector_stores.conftest import ONE_AND_ALL_INDEXES, Backend, open_backend
from rag_assets_tests.vector_stores.samples import (
    DIMENSIONS,
    everything,
    location,
    manifest,
    point,
    point_id,
    stage,
    unit_vector,
)


@pytest.fixture(params=ONE_AND_ALL_INDEXES)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with open_backend(request.param, tmp_path) as opened:
        yield opened


def assert_same_points(found: dict[str, Point], expected: dict[str, Point], *, exact: bool) -> None:
    assert found.keys() == expected.keys()
    for key, one in found.items():
        other = expected[key]
        assert one.payload == other.payload
        assert one.sparse is not None
        assert other.sparse is not None
        assert one.sparse.indices == other.sparse.indices
        np.testing.assert_array_equal(
            np.float32(one.sparse.values), np.float32(other.sparse.values), strict=True
        )
        assert one.vector is not None
        assert other.vector is not None
        assert one.vector.dtype == np.float32
        if exact:
            np.testing.assert_array_equal(one.vector, other.vector)
        else:
            np.testing.assert_allclose(one.vector, other.vector, atol=1e-6)


def test_an_untouched_store_has_no_production_no_generations_and_no_manifest(store: VectorStore) -> None:
    assert store.production_state() == ProductionState(None, None, None)
    assert store.generations() == []
    assert store.manifest("g1") is None
    store.discard("g1")
    store.reject("g1", "why")
    assert store.resume() == ProductionState()
    with pytest.raises(GenerationDamaged):
        store.read("g1")


def test_the_id_of_a_knowledge_base_is_created_once_and_shared_by_all_instances(backend: Backend) -> None:
    assert backend.open().find_knowledge_base_id() is None
    first = backend.open().knowledge_base_id()
    assert len(first) >= 16
    assert backend.open().find_knowledge_base_id() == first
    assert backend.open().knowledge_base_id() == first
    stage(backend.open(), "g1", [point(1)])
    backend.open().promote("g1", None)
    assert backend.open().knowledge_base_id() == first


def test_a_sealed_generation_is_read_back_as_it_was_sent(store: VectorStore) -> None:
    points = [point(n) for n in range(300)]
    sealed = stage(store, "g1", points)
    assert store.manifest("g1") == sealed
    assert store.generations() == ["g1"]
    reader = store.read("g1")
    assert reader.generation == "g1"
    assert reader.count() == 300
    reader.close()
    assert_same_points(everything(store, "g1"), {p.id: p for p in points}, exact=store.exact_vectors)


def test_retrieve_returns_existing_points_and_vectors_on_request(store: VectorStore) -> None:
    stage(store, "g1", [point(n) for n in range(5)])
    reader = store.read("g1")
    found = {p.id: p for p in reader.retrieve([point_id(1), point_id(99), point_id(1)])}
    assert found.keys() == {point_id(1)}
    assert found[point_id(1)].vector is None
    assert found[point_id(1)].sparse is None
    assert found[point_id(1)].payload == point(1).payload
    assert reader.retrieve([]) == []
    (with_vectors,) = reader.retrieve([point_id(2)], with_vectors=True)
    assert_same_points({with_vectors.id: with_vectors}, {point_id(2): point(2)}, exact=store.exact_vectors)
    reader.close()


def test_nulls_numbers_and_odd_texts_in_a_payload_survive(store: VectorStore) -> None:
    odd = {
        "title": None,
        "ratio": 0.1,
        "whole": 1.0,
        "large": 2**53,
        "empty": [],
        "n": {"x": None},
        "z": "\x00é\u2028",
    }
    stage(store, "g1", [point(1, **odd)])
    assert everything(store, "g1")[point_id(1)].payload == point(1, **odd).payload


def test_a_text_without_any_word_has_an_empty_sparse_vector_and_is_kept(store: VectorStore) -> None:
    mute = Point(point_id(1), point(1).payload, unit_vector(1), SparseVector((), ()))
    stage(store, "g1", [mute, point(2)])
    assert everything(store, "g1")[point_id(1)].sparse == SparseVector((), ())
    dense, sparse = store.read("g1").search(unit_vector(1), SparseVector((), ()), 10)
    assert len(dense) == 2
    assert sparse == []


def test_an_unsealed_generation_cannot_be_read_or_promoted_and_is_listed_as_a_leftover(
    backend: Backend,
) -> None:
    store, other = backend.open(), backend.open()
    with store.write("g1", DIMENSIONS, None) as writer:
        writer.upsert([point(1)])
        assert other.manifest("g1") is None
        assert other.generations() == ["g1"]
        with pytest.raises(GenerationDamaged):
            other.read("g1")
        with pytest.raises(PromotionRefused, match="never sealed"):
            other.promote("g1", None)
        assert other.production_state() == ProductionState()


def test_leaving_the_block_without_seal_discards_the_candidate(store: VectorStore) -> None:
    with store.write("g1", DIMENSIONS, None) as writer:
        writer.upsert([point(1)])
    assert store.generations() == []

    def break_off() -> None:
        with store.write("g2", DIMENSIONS, None) as writer:
            writer.upsert([point(1)])
            raise RuntimeError("the embedder broke")

    with pytest.raises(RuntimeError, match="the embedder broke"):
        break_off()
    assert store.generations() == []


def test_nothing_can_be_written_after_the_seal(store: VectorStore) -> None:
    with store.write("g1", DIMENSIONS, None) as writer:
        writer.upsert([point(1)])
        writer.seal(manifest("g1", 1))
        for call in (
            lambda: writer.upsert([point(2)]),
            lambda: writer.delete([point_id(1)]),
            lambda: writer.set_payload({point_id(1): {"refresh_id": "r2"}}),
            lambda: writer.seal(manifest("g1", 1)),
        ):
            with pytest.raises(HandleClosed):
                call()
    assert everything(store, "g1").keys() == {point_id(1)}
    assert store.generations() == ["g1"]


def test_a_seal_with_another_number_of_points_discards_the_candidate(store: VectorStore) -> None:
    with store.write("g1", DIMENSIONS, None) as writer:
        writer.upsert([point(1)])
        with pytest.raises(GenerationDamaged, match="1"):
            writer.seal(manifest("g1", 2))
    assert store.generations() == []


def test_a_manifest_of_another_generation_cannot_seal(store: VectorStore) -> None:
    with store.write("g1", DIMENSIONS, None) as writer, pytest.raises(RefusedError):
        writer.seal(manifest("g2", 0))
    assert store.generations() == []


def test_a_name_is_used_once(store: VectorStore) -> None:
    stage(store, "g1", [point(1)])
    with pytest.raises(RefusedError, match="exists"), store.write("g1", DIMENSIONS, None):
        pass
    assert everything(store, "g1").keys() == {point_id(1)}


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", ".hidden", "a--b", "meta", "held", "a b", "é", "x" * 121]
)
def test_an_ambiguous_or_unsafe_name_is_refused(store: VectorStore, name: str) -> None:
    with pytest.raises(ConfigurationError):
        store.write(name, DIMENSIONS, None)
    assert store.manifest(name) is None
    with pytest.raises(GenerationDamaged):
        store.read(name)
    store.discard(name)


def test_the_empty_generation_can_be_sealed_and_searched(store: VectorStore) -> None:
    stage(store, "g1", [])
    reader = store.read("g1")
    assert reader.count() == 0
    assert list(reader.scroll()) == []
    assert reader.search(unit_vector(1), SparseVector((1,), (1.0,)), 5) == ([], [])


@pytest.mark.slow
def test_a_copy_with_changes_equals_the_same_built_from_nothing(store: VectorStore) -> None:
    before = [point(n) for n in range(400)]
    stage(store, "g1", before)
    moved = {
        point_id(n): {"locations": [location(n, path=f"moved/{n}.pdf")], "title": None} for n in range(50, 90)
    }
    with store.write("g2", DIMENSIONS, "g1") as writer:
        writer.delete([point_id(n) for n in range(50)] + [point_id(9999)])
        writer.set_payload(moved)
        writer.upsert([point(n, version=1) for n in range(100, 130)])
        writer.upsert([point(n) for n in range(400, 450)])
        writer.seal(manifest("g2", 400, base="g1"))
    after: dict[int, Point] = {n: point(n) for n in range(50, 450)}
    after |= {n: point(n, version=1) for n in range(100, 130)}
    for n in range(50, 90):
        after[n].payload.update(moved[point_id(n)])
    stage(store, "g3", after.values())

    assert_same_points(everything(store, "g1"), {p.id: p for p in before}, exact=store.exact_vectors)
    assert_same_points(everything(store, "g2"), everything(store, "g3"), exact=store.exact_vectors)
    assert everything(store, "g2")[point_id(60)].payload["title"] is None
    copied, fresh = store.read("g2"), store.read("g3")
    for seed in range(10):
        question = unit_vector(seed), SparseVector((seed, seed + 1, 30), (1.0, 0.5, 2.0)), 20
        for one, other in zip(copied.search(*question), fresh.search(*question), strict=True):
            assert [p.id for p in one] == [p.id for p in other]
            assert [p.score for p in one] == pytest.approx([p.score for p in other], abs=1e-6)
            assert [p.payload for p in one] == [p.payload for p in other]


def test_a_copy_reports_its_progress_to_the_end(store: VectorStore) -> None:
    stage(store, "g1", [point(n) for n in range(300)])
    seen: list[tuple[int, int]] = []
    with store.write("g2", DIMENSIONS, "g1", lambda done, total: seen.append((done, total))) as writer:
        writer.seal(manifest("g2", 300))
    assert seen[-1] == (300, 300)
    assert seen == sorted(seen)


def test_a_base_that_is_missing_or_unsealed_or_of_another_model_is_refused(store: VectorStore) -> None:
    with pytest.raises(GenerationDamaged), store.write("g1", DIMENSIONS, "nowhere"):
        pass
    stage(store, "g1", [point(1)])
    with pytest.raises(ConfigurationError, match="dimensions"), store.write("g2", DIMENSIONS + 1, "g1"):
        pass
    with store.write("g3", DIMENSIONS, None):
        with pytest.raises(GenerationDamaged), store.write("g4", DIMENSIONS, "g3"):
            pass
        assert store.generations() == ["g1", "g3"]
    assert store.generations() == ["g1"]


def test_setting_the_payload_of_a_missing_point_is_stale_input(
    store: VectorStore,
) -> None:
    stage(store, "g1", [point(1)])
    with (
        pytest.raises(StaleInputError, match=point_id(2)),
        store.write("g2", DIMENSIONS, "g1") as writer,
    ):
        writer.set_payload({point_id(1): {"refresh_id": "r2"}, point_id(2): {"refresh_id": "r2"}})
    assert store.generations() == ["g1"]


def broken(**changes: Any) -> Point:
    good = point(500)
    given: dict[str, Any] = {
        "id": good.id,
        "payload": good.payload,
        "vector": good.vector,
        "sparse": good.sparse,
    }
    return Point(**{**given, **changes})


def with_component(value: float) -> Any:
    vector = unit_vector(7).copy()
    vector[3] = value
    return vector


BROKEN: dict[str, Callable[[], Point]] = {
    "nan": lambda: broken(vector=with_component(math.nan)),
    "inf": lambda: broken(vector=with_component(math.inf)),
    "minus inf": lambda: broken(vector=with_component(-math.inf)),
    "too large for float32": lambda: broken(vector=np.full(DIMENSIONS, 1e300)),
    "zero": lambda: broken(vector=np.zeros(DIMENSIONS, dtype=np.float32)),
    "too short": lambda: broken(vector=unit_vector(7, DIMENSIONS - 1)),
    "too long": lambda: broken(vector=unit_vector(7, DIMENSIONS + 1)),
    "a matrix": lambda: broken(vector=np.ones((1, DIMENSIONS), dtype=np.float32)),
    "no vector": lambda: broken(vector=None),
    "no sparse vector": lambda: broken(sparse=None),
    "sparse lengths": lambda: broken(sparse=SparseVector((1, 2), (1.0,))),
    "sparse twice": lambda: broken(sparse=SparseVector((1, 1), (1.0, 2.0))),
    "sparse nan": lambda: broken(sparse=SparseVector((1,), (math.nan,))),
    "sparse inf": lambda: broken(sparse=SparseVector((1,), (math.inf,))),
    "sparse infs that cancel out": lambda: broken(sparse=SparseVector((1, 2), (math.inf, -math.inf))),
    "sparse too large for float32": lambda: broken(sparse=SparseVector((1, 2), (1.0, 1e39))),
    "sparse too small for float32": lambda: broken(sparse=SparseVector((1, 2), (1.0, -1e39))),
    "sparse negative index": lambda: broken(sparse=SparseVector((-1,), (1.0,))),
    "sparse huge index": lambda: broken(sparse=SparseVector((2**32,), (1.0,))),
    "no uuid": lambda: broken(id="7"),
    "another form of uuid": lambda: broken(id=point_id(500).upper()),
    "payload nan": lambda: broken(payload={"x": math.nan}),
    "payload set": lambda: broken(payload={"x": {1}}),
    "payload surrogate": lambda: broken(payload={"x": "\ud800"}),
    "the same id twice": lambda: point(1),
}


def test_a_malformed_point_is_refused_and_nothing_of_its_call_is_written(store: VectorStore) -> None:
    stage(store, "g1", [point(0)])
    good = [point(n) for n in range(1, 300)]
    with store.write("g2", DIMENSIONS, "g1") as writer:
        for kind, make in BROKEN.items():
            with pytest.raises(InvalidVectorError) as caught:
                writer.upsert([*good, make()])
            assert "Grüße" not in str(caught.value), kind
        writer.seal(manifest("g2", 1))
    assert everything(store, "g2").keys() == {point_id(0)}


def test_a_payload_that_is_not_json_is_refused_when_it_is_set(store: VectorStore) -> None:
    stage(store, "g1", [point(0)])
    with store.write("g2", DIMENSIONS, "g1") as writer:
        with pytest.raises(InvalidVectorError):
            writer.set_payload({point_id(0): {"x": math.inf}})
        writer.seal(manifest("g2", 1))
    assert everything(store, "g2")[point_id(0)].payload == point(0).payload


def test_a_malformed_query_is_refused(store: VectorStore) -> None:
    stage(store, "g1", [point(0)])
    reader = store.read("g1")
    questions: list[tuple[Any, SparseVector | None]] = [
        (with_component(math.nan), None),
        (np.zeros(DIMENSIONS, dtype=np.float32), None),
        (unit_vector(1, DIMENSIONS + 1), None),
        (unit_vector(1), SparseVector((1, 1), (1.0, 1.0))),
        (unit_vector(1), SparseVector((1,), (math.nan,))),
    ]
    for dense, sparse in questions:
        with pytest.raises(InvalidVectorError):
            reader.search(dense, sparse, 5)


def test_a_scroll_yields_every_point_once_in_ascending_order(store: VectorStore) -> None:
    stage(store, "g1", [point(n) for n in range(130)])
    reader = store.read("g1")
    for batch_size in (1, 7, 65, 512):
        batches = list(reader.scroll(batch_size=batch_size))
        ids = [p.id for batch in batches for p in batch]
        assert ids == sorted(point_id(n) for n in range(130))
        assert all(len(batch) == batch_size for batch in batches[:-1])
        assert batches[-1]


def test_a_search_ranks_by_cosine_and_by_bm25(store: VectorStore) -> None:
    points = [point(n) for n in range(60)]
    stage(store, "g1", points)
    query, words = unit_vector(3), SparseVector((3, 17), (1.0, 1.0))
    dense, sparse = store.read("g1").search(query, words, 10)

    cosine = {p.id: float(np.dot(query, p.vector)) for p in points if p.vector is not None}
    assert [p.id for p in dense] == sorted(cosine, key=lambda i: (-cosine[i], i))[:10]
    assert [p.score for p in dense] == pytest.approx([cosine[p.id] for p in dense], abs=1e-5)

    weights = {p.id: dict(zip(p.sparse.indices, p.sparse.values, strict=True)) for p in points if p.sparse}
    idf = {}
    for word in words.indices:
        n = sum(word in weight for weight in weights.values())
        idf[word] = math.log(1 + (len(points) - n + 0.5) / (n + 0.5))
    bm25 = {i: sum(idf[w] * weight[w] for w in words.indices if w in weight) for i, weight in weights.items()}
    matching = {i: score for i, score in bm25.items() if score > 0}
    assert [p.id for p in sparse] == sorted(matching, key=lambda i: (-matching[i], i))[:10]
    assert [p.score for p in sparse] == pytest.approx([matching[p.id] for p in sparse], rel=1e-4)
    assert dense[0].payload == {p.id: p for p in points}[dense[0].id].payload


def test_a_search_without_payloads_finds_the_same(store: VectorStore) -> None:
    points = {point_id(n): point(n) for n in range(60)}
    stage(store, "g1", list(points.values()))
    reader, question = store.read("g1"), (unit_vector(3), SparseVector((3, 17), (1.0, 1.0)), 10)
    for full, bare in zip(
        reader.search(*question), reader.search(*question, with_payload=False), strict=True
    ):
        assert full
        assert [p.payload for p in full] == [points[p.id].payload for p in full]
        assert bare == [ScoredPoint(p.id, p.score, {}) for p in full]


def test_without_words_there_is_no_second_list(store: VectorStore) -> None:
    stage(store, "g1", [point(n) for n in range(5)])
    dense, sparse = store.read("g1").search(unit_vector(1), None, 3)
    assert len(dense) == 3
    assert sparse == []
    assert store.read("g1").search(unit_vector(1), None, 0) == ([], [])


def test_equal_scores_are_ordered_by_id_however_many_there_are(store: VectorStore) -> None:
    """Boilerplate: the same chunk in 200 documents. The cut falls into the middle of the tie."""
    same, words = unit_vector(1), SparseVector((5,), (1.5,))
    stage(store, "g1", [Point(point_id(n), {"n": n}, same, words) for n in range(200)])
    expected = sorted(point_id(n) for n in range(200))[:10]
    for _ in range(3):
        dense, sparse = store.read("g1").search(same, SparseVector((5,), (1.0,)), 10)
        assert [p.id for p in sparse] == expected
        assert [p.id for p in dense] == expected
