"""The contract of `VectorStore`, held by every store."""

import math
from collections.abc import Callable, Iterator
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
    SupersededError,
    VectorStoreUnavailable,
)
from rag_assets.records import Condition, Point, ProductionState, ScoredPoint, SearchFilter, SparseVector
from rag_assets.vector_stores.base import GenerationReader, VectorStore
from rag_assets_tests.vector_stores.conftest import KINDS, Backend, open_backend
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


# ── writing and sealing ──


def test_an_untouched_store_has_no_production_no_generations_and_no_manifest(store: VectorStore) -> None:
    assert store.production_state() == ProductionState(None, None, None)
    assert store.generations() == []
    assert store.manifest("g1") is None
    store.discard("g1")
    store.reject("g1", "why")
    assert store.resume() == ProductionState()
    with pytest.raises(GenerationDamaged):
        store.read("g1")


def test_the_id_of_a_knowledge_base_is_drawn_once_and_seen_by_every_instance(backend: Backend) -> None:
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


def test_retrieve_returns_the_points_that_exist_and_vectors_only_when_asked(store: VectorStore) -> None:
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


def test_leaving_the_block_without_seal_discards(store: VectorStore) -> None:
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


def test_a_seal_that_counts_other_points_than_the_manifest_discards(store: VectorStore) -> None:
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
def test_a_name_that_could_be_taken_for_something_else_is_refused(store: VectorStore, name: str) -> None:
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


# ── building on a base ──


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


def test_a_base_that_is_gone_or_unsealed_or_of_another_model_cannot_be_built_on(store: VectorStore) -> None:
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


def test_setting_a_payload_of_a_point_that_is_not_there_says_that_the_input_is_stale(
    store: VectorStore,
) -> None:
    stage(store, "g1", [point(1)])
    with (
        pytest.raises(StaleInputError, match=point_id(2)),
        store.write("g2", DIMENSIONS, "g1") as writer,
    ):
        writer.set_payload({point_id(1): {"refresh_id": "r2"}, point_id(2): {"refresh_id": "r2"}})
    assert store.generations() == ["g1"]


# ── what must not enter ──


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


def test_a_broken_point_is_refused_and_none_of_its_call_is_written(store: VectorStore) -> None:
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


def test_a_broken_question_is_refused(store: VectorStore) -> None:
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


# ── production ──


def test_promotion_makes_the_old_production_previous(backend: Backend) -> None:
    store = backend.open()
    for name in ("g1", "g2", "g3"):
        stage(store, name, [point(1)])
    assert store.promote("g1", None) == ProductionState("g1", None, None)
    assert store.promote("g2", "g1") == ProductionState("g2", "g1", None)
    assert store.promote("g3", "g2") == ProductionState("g3", "g2", None)
    assert backend.open().production_state() == ProductionState("g3", "g2", None)
    assert store.generations() == ["g1", "g2", "g3"]


def test_a_stale_promotion_loses_and_changes_nothing(backend: Backend) -> None:
    store, late = backend.open(), backend.open()
    for name in ("g1", "g2", "g3"):
        stage(store, name, [point(1)])
    store.promote("g1", None)
    store.promote("g2", "g1")
    for expected in (None, "g1", "g3"):
        with pytest.raises(SupersededError):
            late.promote("g3", expected)
        with pytest.raises(SupersededError):
            late.rollback(expected)
    assert late.production_state() == ProductionState("g2", "g1", None)


def test_of_two_first_promotions_the_second_loses(backend: Backend) -> None:
    one, other = backend.open(), backend.open()
    stage(one, "g1", [point(1)])
    stage(other, "g2", [point(2)])
    one.promote("g1", None)
    with pytest.raises(SupersededError):
        other.promote("g2", None)
    assert other.production_state() == ProductionState("g1", None, None)


def test_promoting_what_serves_already_changes_nothing(store: VectorStore) -> None:
    stage(store, "g1", [point(1)])
    stage(store, "g2", [point(1)])
    store.promote("g1", None)
    store.promote("g2", "g1")
    assert store.promote("g2", "g2") == ProductionState("g2", "g1", None)
    assert store.production_state() == ProductionState("g2", "g1", None)


def test_a_rejected_generation_is_never_promoted_but_stays_readable(store: VectorStore) -> None:
    stage(store, "g1", [point(1)])
    sealed = stage(store, "g2", [point(2)])
    store.promote("g1", None)
    store.reject("g2", "Recall@5 0.61 is below 0.75")
    with pytest.raises(PromotionRefused, match=r"0\.61"):
        store.promote("g2", "g1")
    assert store.production_state() == ProductionState("g1", None, None)
    found = store.manifest("g2")
    assert found is not None
    assert found.rejected == "Recall@5 0.61 is below 0.75"
    assert (found.digest, found.fingerprint) == (sealed.digest, sealed.fingerprint)
    assert everything(store, "g2").keys() == {point_id(2)}


def test_a_missing_candidate_is_superseded(store: VectorStore) -> None:
    stage(store, "g1", [point(1)])
    store.discard("g1")
    with pytest.raises(SupersededError):
        store.promote("g1", None)
    assert store.production_state() == ProductionState()


def test_a_rollback_holds_until_it_is_lifted(backend: Backend) -> None:
    store = backend.open()
    for name in ("g1", "g2", "g3"):
        stage(store, name, [point(1)])
    with pytest.raises(RefusedError, match="previous"):
        store.rollback(None)
    store.promote("g1", None)
    with pytest.raises(RefusedError, match="previous"):
        store.rollback("g1")
    store.promote("g2", "g1")
    assert store.rollback("g2") == ProductionState("g1", None, "g2")
    assert backend.open().production_state() == ProductionState("g1", None, "g2")
    with pytest.raises(PromotionRefused, match="resume"):
        store.promote("g3", "g1")
    with pytest.raises(RefusedError, match="previous"):
        store.rollback("g1")
    assert store.production_state() == ProductionState("g1", None, "g2")
    assert store.resume() == ProductionState("g1", None, None)
    assert store.promote("g3", "g1") == ProductionState("g3", "g1", None)


def test_a_promotion_that_may_lift_the_hold_lifts_it(store: VectorStore) -> None:
    for name in ("g1", "g2", "g3"):
        stage(store, name, [point(1)])
    store.promote("g1", None)
    store.promote("g2", "g1")
    store.rollback("g2")
    assert store.promote("g3", "g1", lift_hold=True) == ProductionState("g3", "g1", None)


def test_one_may_roll_back_to_a_generation_that_was_rejected_later(store: VectorStore) -> None:
    stage(store, "g1", [point(1)])
    stage(store, "g2", [point(1)])
    store.promote("g1", None)
    store.promote("g2", "g1")
    store.reject("g1", "measured again, with other thresholds")
    assert store.rollback("g2").production == "g1"


def test_what_serves_served_or_is_held_is_not_discarded(store: VectorStore) -> None:
    for name in ("g1", "g2", "g3", "g4"):
        stage(store, name, [point(1)])
    store.promote("g1", None)
    store.promote("g2", "g1")
    for name in ("g1", "g2"):
        with pytest.raises(RefusedError):
            store.discard(name)
    store.rollback("g2")
    with pytest.raises(RefusedError):
        store.discard("g2")
    store.resume()
    store.discard("g2")
    store.discard("g3")
    store.discard("g3")
    assert store.generations() == ["g1", "g4"]
    assert everything(store, "g1").keys() == {point_id(1)}
    assert store.promote("g4", "g1") == ProductionState("g4", "g1", None)


def test_discarding_a_candidate_that_is_being_written_makes_its_seal_fail(backend: Backend) -> None:
    store = backend.open()
    with store.write("g1", DIMENSIONS, None) as writer:
        writer.upsert([point(1)])
        backend.open().discard("g1")
        with pytest.raises(VectorStoreUnavailable):
            writer.seal(manifest("g1", 1))
    assert store.generations() == []
    assert store.manifest("g1") is None


def test_a_reader_of_a_discarded_generation_goes_on_or_says_that_it_is_gone(backend: Backend) -> None:
    store = backend.open()
    stage(store, "g1", [point(n) for n in range(50)])
    reader = store.read("g1")
    batches = reader.scroll(batch_size=10)
    first = next(batches)
    assert len(first) == 10
    backend.open().discard("g1")
    try:
        seen = len(first) + sum(len(batch) for batch in batches)
        assert seen == 50
        assert len(reader.search(unit_vector(1), None, 5)[0]) == 5
    except VectorStoreUnavailable:
        assert backend.kind != "embedded"
    reader.close()


def test_a_closed_reader_says_so(store: VectorStore) -> None:
    stage(store, "g1", [point(1)])
    reader = store.read("g1")
    reader.close()
    reader.close()
    with pytest.raises(HandleClosed, match="closed"):
        reader.count()


# ── reading ──


def test_a_scroll_passes_every_point_once_in_ascending_order(store: VectorStore) -> None:
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
    """Boilerplate: the same chunk in 200 documents. The cut goes through the middle of the tie."""
    same, words = unit_vector(1), SparseVector((5,), (1.5,))
    stage(store, "g1", [Point(point_id(n), {"n": n}, same, words) for n in range(200)])
    expected = sorted(point_id(n) for n in range(200))[:10]
    for _ in range(3):
        dense, sparse = store.read("g1").search(same, SparseVector((5,), (1.0,)), 10)
        assert [p.id for p in sparse] == expected
        assert [p.id for p in dense] == expected


# ── filters ──

LOCATIONS = {
    1: [
        location(
            1, source="wiki", path="hr/leave.md", access=["staff"], modified_at="2026-01-01T00:00:00+00:00"
        )
    ],
    2: [
        location(2, source="files", path="hr/leave.pdf", access=["board"], modified_at="2026-03-01T00:00:00Z")
    ],
    3: [
        location(3, source="wiki", path="legal/terms.md", access=None, modified_at=None),
        location(
            3,
            source="files",
            path="hr/terms.pdf",
            access=["staff", "board"],
            modified_at="2026-06-01T10:00:00+02:00",
        ),
    ],
    4: [location(4, source="wiki", path="hr_old/leave.md", filename="leave.md", title="Urlaub für Eltern")],
    5: [],
}


@pytest.fixture(scope="module", params=KINDS)
def placed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GenerationReader]:
    """Five points in `LOCATIONS`, written once for all filters: they only read."""
    with open_backend(request.param, tmp_path_factory.mktemp("placed")) as backend:
        store = backend.open()
        stage(store, "g1", [point(n, locations=LOCATIONS[n]) for n in LOCATIONS])
        reader = store.read("g1")
        yield reader
        reader.close()


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([("source", "equals", "wiki")], {1, 3, 4}),
        ([("source", "equals", "nowhere")], set()),
        ([("source", "any_of", ["wiki", "files"])], {1, 2, 3, 4}),
        ([("source", "any_of", [])], set()),
        ([("path", "prefix", "hr/")], {1, 2, 3}),
        ([("path", "prefix", "hr")], {1, 2, 3, 4}),
        ([("path", "equals", "hr")], set()),
        ([("path", "prefix", "")], {1, 2, 3, 4}),
        ([("title", "equals", "Urlaub für Eltern")], {4}),
        ([("filename", "any_of", ["leave.md"])], {4}),
        ([("access", "any_of", ["staff"])], {1, 3}),
        ([("access", "equals", "board")], {2, 3}),
        # One point has a wiki location and a location under hr/, but they are two.
        ([("source", "equals", "wiki"), ("path", "prefix", "hr/")], {1}),
        ([("source", "equals", "files"), ("path", "prefix", "hr/")], {2, 3}),
        ([("source", "equals", "wiki"), ("access", "any_of", ["staff"])], {1}),
        ([("source", "equals", "files"), ("access", "any_of", ["staff"]), ("path", "prefix", "hr/")], {3}),
        ([("source", "equals", "wiki"), ("source", "equals", "files")], set()),
        ([("modified_at", "range", {"gte": "2026-03-01"})], {2, 3}),
        ([("modified_at", "range", {"gt": "2026-03-01T00:00:00Z"})], {3}),
        ([("modified_at", "range", {"gte": "2026-01-01T00:00:00+00:00", "lt": "2026-02-01"})], {1, 4}),
        ([("modified_at", "range", {"lte": "2026-06-01T08:00:00Z"})], {1, 2, 3, 4}),
        ([("modified_at", "range", {"lt": "2026-06-01T08:00:00Z"})], {1, 2, 4}),
        ([("modified_at", "range", {"gte": "2026-03-01"}), ("source", "equals", "wiki")], set()),
        ([("chunk_index", "equals", 3)], {3}),
        ([("chunk_index", "any_of", [1, 2])], {1, 2}),
        ([("token_count", "range", {"gt": 101, "lte": 103})], {2, 3}),
        ([("indexed_at", "range", {"gte": "2026-02-01"})], {1, 2, 3, 4, 5}),
        ([("indexed_at", "range", {"lt": "2026-02-01"})], set()),
        ([("heading_path", "equals", "Parental leave")], {1, 2, 3, 4, 5}),
        ([("heading_path", "prefix", "Pare")], {1, 2, 3, 4, 5}),
        ([("flags", "equals", "instructions")], {2}),
        ([("embedding_model", "equals", "wordllama"), ("path", "prefix", "legal/")], {3}),
        ([("content_hash", "equals", f"{2:064x}"), ("source", "equals", "files")], {2}),
        ([], {1, 2, 3, 4, 5}),
    ],
)
def test_filters(
    placed: GenerationReader, conditions: list[tuple[str, Any, Any]], expected: set[int]
) -> None:
    wanted = SearchFilter(tuple(Condition(*condition) for condition in conditions))
    words = SparseVector(tuple(range(40)), (1.0,) * 40)
    for found in placed.search(unit_vector(1), words, 10, wanted):
        assert {p.id for p in found} == {point_id(n) for n in expected}


def test_filters_see_changed_payloads_and_deleted_points(store: VectorStore) -> None:
    stage(store, "g1", [point(n) for n in range(6)])
    with store.write("g2", DIMENSIONS, "g1") as writer:
        writer.delete([point_id(0)])
        writer.set_payload({point_id(1): {"locations": [location(1, source="wiki")]}})
        writer.upsert([point(2, version=1, locations=[location(2, source="wiki"), location(2)])])
        writer.seal(manifest("g2", 5))

    def with_source(source: str) -> set[str]:
        wanted = SearchFilter((Condition("source", "equals", source), Condition("path", "prefix", "hr/")))
        return {p.id for p in store.read("g2").search(unit_vector(1), None, 10, wanted)[0]}

    assert with_source("wiki") == {point_id(1), point_id(2)}
    assert with_source("filesystem") == {point_id(2), point_id(3), point_id(4), point_id(5)}


@pytest.mark.parametrize(
    "condition",
    [
        ("colour", "equals", "red"),
        ("locations", "equals", "x"),
        ("chunk_text", "prefix", "x"),
        ("chunk_index", "equals", "3"),
        ("chunk_index", "equals", True),
        ("chunk_index", "prefix", "3"),
        ("source", "equals", 3),
        ("source", "range", {"gt": 3}),
        ("source", "any_of", "wiki"),
        ("source", "any_of", [1]),
        ("modified_at", "equals", "2026-01-01"),
        ("modified_at", "range", {"gte": "yesterday"}),
        ("modified_at", "range", {"since": "2026-01-01"}),
        ("modified_at", "range", {}),
        ("token_count", "range", {"gte": "7"}),
        ("token_count", "range", {"gte": math.nan}),
        ("source", "contains", "x"),
    ],
)
def test_a_filter_that_could_silently_match_nothing_is_refused(
    placed: GenerationReader, condition: Any
) -> None:
    with pytest.raises(ConfigurationError):
        placed.search(unit_vector(1), None, 5, SearchFilter((Condition(*condition),)))
