"""The contract of an exchange: production, previous and hold replaced together, for a restore and a purge."""

from dataclasses import replace

import pytest

from rag_assets.errors import GenerationDamaged, SupersededError
from rag_assets.records import Readings
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.production_state import Hold, ProductionState
from rag_assets_tests.vector_stores.conftest import Backend
from rag_assets_tests.vector_stores.samples import names, point, stage

HOLD = Hold("h1", "2026-01-15T08:00:00+00:00", "ana", "wrong prices")


def stage_all(store: VectorStore, *generations: str) -> None:
    for name in generations:
        stage(store, name, [point(1)])


def test_an_empty_store_gets_a_whole_state(backend: Backend) -> None:
    store = backend.open()
    stage_all(store, "g1", "g2", "h1")
    wished = ProductionState("g2", "g1", HOLD)
    assert store.exchange(wished, ProductionState(), Readings(7, {"filesystem": 5})) == wished
    other = backend.open()
    assert other.production_state() == wished
    assert other.readings() == Readings(7, {"filesystem": 5})
    assert other.begin_reading() == 8


def test_a_hold_stands_when_all_generations_are_exchanged(store: VectorStore) -> None:
    stage_all(store, "g1", "g2", "n1", "n2")
    store.promote("g1", None)
    store.promote("g2", "g1")
    before = store.rollback("g2", by="ana", reason="wrong prices")
    assert before.hold is not None
    after = store.exchange(ProductionState("n1", None, replace(before.hold, generation="n2")), before)
    assert names(after) == ("n1", None, "n2")
    assert str(after.hold) == str(before.hold)
    store.discard("g1")
    store.discard("g2")
    assert store.production_state() == after
    assert store.resume() == ProductionState("n1")


def test_a_changed_state_is_not_exchanged(store: VectorStore) -> None:
    stage_all(store, "g1", "g2", "n1")
    seen = store.promote("g1", None)
    store.promote("g2", "g1")
    with pytest.raises(SupersededError):
        store.exchange(ProductionState("n1"), seen)
    assert names(store.production_state()) == ("g2", "g1", None)


def test_an_exchange_ends_the_readings_in_progress(store: VectorStore) -> None:
    stage_all(store, "g1", "g2")
    state = store.promote("g1", None, {"filesystem": store.begin_reading()})
    running, later = store.begin_reading(), store.begin_reading()
    store.exchange(state, state, Readings(later, {"filesystem": later}))
    with pytest.raises(SupersededError, match="older than reading"):
        store.promote("g2", "g1", {"filesystem": running})


@pytest.mark.parametrize("missing", ["production", "previous"])
def test_a_missing_generation_is_not_exchanged(store: VectorStore, missing: str) -> None:
    stage_all(store, "g1", "n1")
    seen = store.promote("g1", None)
    wished = {"production": "n1", "previous": "g1", missing: "gone"}
    with pytest.raises(SupersededError, match="gone"):
        store.exchange(ProductionState(**wished), seen)
    assert store.production_state() == seen


def test_a_damaged_generation_is_not_exchanged(store: VectorStore) -> None:
    stage_all(store, "g1", "n1")
    seen = store.promote("g1", None)
    store.mark_damaged("n1", "a file changed")
    with pytest.raises(GenerationDamaged, match="a file changed"):
        store.exchange(ProductionState("n1", "g1"), seen)


def test_a_hold_outlives_its_generation_in_an_exchange(store: VectorStore) -> None:
    stage_all(store, "g1")
    wished = ProductionState("g1", None, HOLD)
    store.exchange(wished, ProductionState())
    assert store.production_state() == wished


def test_the_id_of_a_knowledge_base_can_be_given_once(backend: Backend) -> None:
    assert backend.open().knowledge_base_id("0f9b2d9e-1111-4222-8333-444455556666") == (
        "0f9b2d9e-1111-4222-8333-444455556666"
    )
    assert backend.open().knowledge_base_id("another") == "0f9b2d9e-1111-4222-8333-444455556666"
