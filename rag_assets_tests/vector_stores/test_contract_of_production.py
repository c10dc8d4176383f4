"""The contract of every store: promotion, rollback, hold, deletion."""

import shutil

import pytest

from rag_assets.errors import (
    HandleClosed,
    PromotionRefused,
    RefusedError,
    SupersededError,
    VectorStoreUnavailable,
)
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets_tests.vector_stores.conftest import Backend
from rag_assets_tests.vector_stores.samples import (
    DIMENSIONS,
    everything,
    manifest,
    names,
    point,
    point_id,
    stage,
    unit_vector,
)


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


def test_promoting_production_changes_nothing(store: VectorStore) -> None:
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


def test_a_deleted_candidate_is_superseded(store: VectorStore) -> None:
    stage(store, "g1", [point(1)])
    store.discard("g1")
    with pytest.raises(SupersededError):
        store.promote("g1", None)
    assert store.production_state() == ProductionState()


def test_a_rollback_holds_production_until_resume(backend: Backend) -> None:
    store = backend.open()
    for name in ("g1", "g2", "g3"):
        stage(store, name, [point(1)])
    with pytest.raises(RefusedError, match="previous"):
        store.rollback(None)
    store.promote("g1", None)
    with pytest.raises(RefusedError, match="previous"):
        store.rollback("g1")
    store.promote("g2", "g1")
    held = store.rollback("g2")
    assert names(held) == ("g1", None, "g2")
    assert backend.open().production_state() == held
    with pytest.raises(PromotionRefused, match="resume"):
        store.promote("g3", "g1")
    with pytest.raises(RefusedError, match="already held"):
        store.rollback("g1")
    assert store.production_state() == held
    assert store.resume() == ProductionState("g1", None, None)
    assert store.promote("g3", "g1") == ProductionState("g3", "g1", None)


def delete_by_hand(backend: Backend, generation: str) -> None:
    store = backend.open()
    if isinstance(store, EmbeddedVectorStore):
        shutil.rmtree(store.folders.home / "generations" / generation)
    else:
        backend.client.delete_collection(f"{backend.collection}--{generation}")


@pytest.mark.parametrize("deleted", [("g2",), ("g1", "g2")], ids=["held", "held and production"])
def test_a_hold_stands_after_generations_are_deleted_by_hand(
    backend: Backend, deleted: tuple[str, ...]
) -> None:
    store = backend.open()
    for name in ("g1", "g2", "g3"):
        stage(store, name, [point(1)])
    store.promote("g1", None)
    store.promote("g2", "g1")
    store.rollback("g2")
    for name in deleted:
        delete_by_hand(backend, name)
    production = None if "g1" in deleted else "g1"
    assert names(backend.open().production_state()) == (production, None, "g2")
    with pytest.raises(PromotionRefused, match=r"held at (g1|nothing) since .*rag-assets resume"):
        store.promote("g3", production)
    assert store.resume() == ProductionState(production, None, None)
    assert backend.open().production_state() == ProductionState(production, None, None)
    assert store.promote("g3", production) == ProductionState("g3", production, None)


def test_without_its_previous_generation_a_rollback_is_refused(backend: Backend) -> None:
    store = backend.open()
    for name in ("g1", "g2"):
        stage(store, name, [point(1)])
    store.promote("g1", None)
    store.promote("g2", "g1")
    delete_by_hand(backend, "g1")
    with pytest.raises(RefusedError, match="no previous generation"):
        store.rollback("g2")
    assert backend.open().production_state() == ProductionState("g2", None, None)


def test_a_rollback_may_return_to_a_generation_rejected_later(store: VectorStore) -> None:
    stage(store, "g1", [point(1)])
    stage(store, "g2", [point(1)])
    store.promote("g1", None)
    store.promote("g2", "g1")
    store.reject("g1", "measured again, with other thresholds")
    assert store.rollback("g2").production == "g1"


def test_production_previous_and_held_are_not_discarded(store: VectorStore) -> None:
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


def test_discarding_a_candidate_during_writing_makes_its_seal_fail(backend: Backend) -> None:
    store = backend.open()
    with store.write("g1", DIMENSIONS, None) as writer:
        writer.upsert([point(1)])
        backend.open().discard("g1")
        with pytest.raises(VectorStoreUnavailable):
            writer.seal(manifest("g1", 1))
    assert store.generations() == []
    assert store.manifest("g1") is None


def test_a_reader_of_a_discarded_generation_continues_or_raises(backend: Backend) -> None:
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


def test_a_closed_reader_raises(store: VectorStore) -> None:
    stage(store, "g1", [point(1)])
    reader = store.read("g1")
    reader.close()
    reader.close()
    with pytest.raises(HandleClosed, match="closed"):
        reader.count()
