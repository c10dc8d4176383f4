from collections.abc import Sequence
from dataclasses import replace

import pytest

from rag_assets.errors import RefusedError
from rag_assets.evaluation.report import Answer, EvalReport
from rag_assets.refresh.kept_measurements import (
    anchor_for,
    keep_measurement,
    kept_measurement,
    measurement_of,
    pin,
    unpin,
)
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets_tests.in_memory_vector_store import InMemoryVectorStore
from rag_assets_tests.reports import answer, compared_report

GOOD, BAD = answer(1.0), answer(0.0)


def report(generation: str, answers: Sequence[Answer], benchmark: str = "cd") -> EvalReport:
    measured = compared_report([(one, one) for one in answers], benchmark=benchmark)
    return replace(measured, generation=generation)


def anchor_name(store: InMemoryVectorStore, benchmark: str = "cd", num_questions: int = 100) -> str | None:
    found, _ = anchor_for(store, benchmark, num_questions)
    return found and found.generation


def test_a_measurement_survives_the_round_trip() -> None:
    store = InMemoryVectorStore()
    sent = report("g1", [answer(1 / 3), GOOD, BAD])
    sent = replace(sent, queries=(*sent.queries[:2], replace(sent.queries[2], is_set_apart=True)))
    keep_measurement(store, sent)
    found = kept_measurement(store, "production")
    assert found == measurement_of(sent) == kept_measurement(store, "best")
    assert found is not None
    assert found.set_apart == (2,)


def test_no_question_is_kept_in_the_vector_store() -> None:
    store = InMemoryVectorStore()
    keep_measurement(store, report("g1", [GOOD]))
    found = kept_measurement(store, "production")
    assert "question 1" not in repr(found)


def test_the_first_generation_stays_the_anchor_until_one_is_shown_better() -> None:
    store = InMemoryVectorStore()
    keep_measurement(store, report("g1", [BAD] * 20 + [GOOD] * 80))
    keep_measurement(store, report("g2", [BAD] * 18 + [GOOD] * 82))  # by luck, perhaps
    assert anchor_name(store) == "g1"
    keep_measurement(store, report("g3", [BAD] * 5 + [GOOD] * 95))
    assert anchor_name(store) == "g3"
    keep_measurement(store, report("g4", [BAD] * 9 + [GOOD] * 91))
    assert anchor_name(store) == "g3"
    found = kept_measurement(store, "production")
    assert found is not None
    assert found.generation == "g4"


def test_another_benchmark_begins_with_another_anchor() -> None:
    store = InMemoryVectorStore()
    keep_measurement(store, report("g1", [GOOD] * 100))
    anchor, note = anchor_for(store, "other", 100)
    assert anchor is None
    assert "g1 is left out: it was measured with another benchmark" in note
    keep_measurement(store, report("g2", [BAD] * 100, benchmark="other"))
    assert anchor_name(store, "other") == "g2"
    assert anchor_name(store) is None


def test_a_pinned_production_is_the_anchor_until_the_pin_ends() -> None:
    store = InMemoryVectorStore()
    keep_measurement(store, report("g1", [GOOD] * 100))
    keep_measurement(store, report("g2", [BAD] * 100))
    store.state = ProductionState("g2")
    assert pin(store, "ana").pinned_by == "ana"
    assert anchor_name(store) == "g2"
    ended = unpin(store)
    assert ended is not None
    assert (ended.generation, anchor_name(store), unpin(store)) == ("g2", "g1", None)


def test_a_production_without_a_measurement_cannot_be_pinned() -> None:
    store = InMemoryVectorStore()
    with pytest.raises(RefusedError, match="not kept"):
        pin(store, "ana")
    keep_measurement(store, report("g1", [GOOD]))
    store.state = ProductionState("g2")
    with pytest.raises(RefusedError, match="not kept"):
        pin(store, "ana")


@pytest.mark.parametrize("text", ["?", "", "eJw=", "e30="])
def test_a_damaged_measurement_is_as_good_as_none(text: str) -> None:
    store = InMemoryVectorStore()
    store.put_records("measured", {"best": text, "production": text})
    assert kept_measurement(store, "best") is None
    keep_measurement(store, report("g1", [GOOD] * 100))
    assert anchor_name(store) == "g1"
