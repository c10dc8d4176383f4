import logging

import pytest

from rag_assets.errors import RefusedError
from rag_assets.generations.retention import sweep
from rag_assets.vector_stores.production_state import Hold, ProductionState
from rag_assets_tests.documents import stage
from rag_assets_tests.generations.samples import DOCUMENTS, TEXTS
from rag_assets_tests.in_memory_vector_store import InMemoryVectorStore


def test_a_sweep_keeps_production_previous_held_and_named_generations(store: InMemoryVectorStore) -> None:
    for name in ("g1", "g2", "g3", "g4", "dead"):
        stage(store, name, DOCUMENTS, TEXTS)
    store.state = ProductionState("g2", previous="g1", hold=Hold("g3"))
    assert sweep(store, ["g4"]) == ["dead"]
    assert store.generations() == ["g1", "g2", "g3", "g4"]


def test_a_generation_that_cannot_be_discarded_does_not_stop_the_sweep(
    store: InMemoryVectorStore, caplog: pytest.LogCaptureFixture
) -> None:
    class Stubborn(InMemoryVectorStore):
        def discard(self, generation: str) -> None:
            if generation == "dead-1":
                raise RefusedError("it became production this moment")
            super().discard(generation)

    stubborn = Stubborn()
    for name in ("dead-1", "dead-2"):
        stage(stubborn, name, DOCUMENTS, TEXTS)
    with caplog.at_level(logging.WARNING):
        assert sweep(stubborn, ()) == ["dead-2"]
    assert "could not discard generation dead-1" in caplog.text
