"""The contract of every store: numbers of the readings of the sources."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from rag_assets.errors import ProductionHeld, SupersededError
from rag_assets.records import Readings
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets_tests.vector_stores.conftest import Backend
from rag_assets_tests.vector_stores.samples import point, stage


def test_each_reading_has_a_higher_number_in_all_processes(backend: Backend) -> None:
    assert backend.open().readings() == Readings()
    numbers = [backend.open().begin_reading() for _ in range(5)]
    assert all(one < other for one, other in pairwise([0, *numbers]))
    assert backend.open().readings() == Readings(last=numbers[-1])


def test_a_reading_comes_after_one_known_from_elsewhere(backend: Backend) -> None:
    assert backend.open().begin_reading(41) == 42
    assert backend.open().begin_reading(7) == 43
    assert backend.open().readings() == Readings(last=43)


def test_readings_begun_together_have_different_numbers(backend: Backend) -> None:
    if backend.kind == "in_memory":
        pytest.skip("qdrant-client's local mode is not for several threads")
    stores = [backend.open() for _ in range(4)]
    stores[0].begin_reading()

    def begin(store: VectorStore) -> list[int]:
        return [store.begin_reading() for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(begin, stores))
    assert len({number for numbers in found for number in numbers}) == 20


def test_a_promotion_counts_its_readings(backend: Backend) -> None:
    store = backend.open()
    stage(store, "g1", [point(1)])
    first, second = store.begin_reading(), store.begin_reading()
    store.promote("g1", None, {"files": first, "my.wiki-2": second})
    assert backend.open().readings() == Readings(second, {"files": first, "my.wiki-2": second})
    stage(store, "g2", [point(2)])
    third = store.begin_reading()
    store.promote("g2", "g1", {"files": third})
    assert backend.open().readings() == Readings(third, {"files": third, "my.wiki-2": second})
    assert store.rollback("g2").production == "g1"
    assert store.resume().production == "g1"
    assert backend.open().readings() == Readings(third, {"files": third, "my.wiki-2": second})


def test_an_older_reading_of_one_source_is_superseded(backend: Backend) -> None:
    store = backend.open()
    for name in ("g1", "g2"):
        stage(store, name, [point(1)])
    old, new = store.begin_reading(), store.begin_reading()
    store.promote("g1", None, {"files": new})
    before = store.readings()
    for production in ("g1", "g2"):  # an unchanged candidate, and a new one
        for numbers in ({"files": old, "wiki": new}, {}):
            with pytest.raises(SupersededError, match="files"):
                backend.open().promote(production, "g1", numbers)
    assert store.readings() == before
    assert store.production_state() == ProductionState("g1")
    # Another source is unaffected, and so is a repeated promotion of the same reading.
    store.promote("g2", "g1", {"wiki": old, "files": new})
    assert store.readings().counted == {"wiki": old, "files": new}


def test_a_reading_that_changed_nothing_counts(store: VectorStore) -> None:
    stage(store, "g1", [point(1)])
    old, new = store.begin_reading(), store.begin_reading()
    store.promote("g1", None)
    assert store.promote("g1", "g1", {"files": new}) == ProductionState("g1")
    with pytest.raises(SupersededError):
        store.promote("g1", "g1", {"files": old})


def test_a_refused_promotion_counts_nothing(store: VectorStore) -> None:
    for name in ("g1", "g2", "g3"):
        stage(store, name, [point(1)])
    store.promote("g1", None)
    store.promote("g2", "g1")
    store.rollback("g2")
    number = store.begin_reading()
    with pytest.raises(ProductionHeld):
        store.promote("g3", "g1", {"files": number})
    with pytest.raises(ProductionHeld):
        store.promote("g3", "g2", {"files": number})
    store.resume()
    with pytest.raises(SupersededError):
        store.promote("g3", "g2", {"files": number})
    assert store.readings() == Readings(number)


def test_a_number_of_another_store_is_superseded(store: VectorStore) -> None:
    stage(store, "g1", [point(1)])
    with pytest.raises(SupersededError, match="materialize all assets"):
        store.promote("g1", None, {"files": store.begin_reading() + 40})
    assert store.production_state() == ProductionState()
