"""The contract of every store: who holds production, since when and why."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from rag_assets.errors import ProductionHeld, RefusedError
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets.vector_stores.production_state import Hold, ProductionState
from rag_assets.vector_stores.server.consensus import Consensus
from rag_assets_tests.vector_stores.conftest import Backend
from rag_assets_tests.vector_stores.samples import point, stage


@pytest.fixture
def replaced(backend: Backend) -> Backend:
    """Production is g2, before it was g1, and g3 is a candidate."""
    store = backend.open()
    for name in ("g1", "g2", "g3"):
        stage(store, name, [point(1)])
    store.promote("g1", None)
    store.promote("g2", "g1")
    return backend


def hold_of(store: VectorStore) -> Hold:
    hold = store.production_state().hold
    assert hold is not None
    return hold


@pytest.mark.parametrize(
    ("by", "reason"),
    [
        ("ana", "prices are wrong: 3 € in place of 30 €, see #12"),
        ("", ""),
        ("José Ñandú <jose@example.org>", "--held--g9 / \\ ? * : | \" 'quoted'"),
        ("長" * 100, "🚒" * 500),
    ],
    ids=["usual", "empty", "other characters", "long"],
)
def test_a_hold_says_who_when_and_why(replaced: Backend, by: str, reason: str) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    state = replaced.open().rollback("g2", by=by, reason=reason)
    assert state.hold is not None
    assert (state.production, state.previous, state.held) == ("g1", None, "g2")
    assert (state.hold.by, state.hold.reason) == (by, reason)
    assert before <= datetime.fromisoformat(state.hold.since) <= before + timedelta(minutes=10)
    assert replaced.open().production_state() == state


def test_resume_ends_the_hold_and_the_next_one_has_its_own_note(replaced: Backend) -> None:
    store = replaced.open()
    store.rollback("g2", by="ana", reason="a long reason, " * 30)
    assert store.resume() == replaced.open().production_state() == ProductionState("g1")
    store.promote("g3", "g1")
    assert store.rollback("g3", by="ben", reason="short").hold == hold_of(replaced.open())
    assert (hold_of(store).generation, hold_of(store).by, hold_of(store).reason) == ("g3", "ben", "short")


def test_a_second_rollback_changes_nothing_and_says_who_was_first(replaced: Backend) -> None:
    store, late = replaced.open(), replaced.open()
    first = store.rollback("g2", by="ana", reason="prices are wrong")
    for expected in ("g1", "g2"):
        with pytest.raises(RefusedError, match=r"already held at g1 since .* by ana: prices are wrong"):
            late.rollback(expected, by="ben", reason="me too")
    assert replaced.open().production_state() == first


@pytest.mark.parametrize("expected", ["g1", "g2"], ids=["made since the hold", "made before the hold"])
def test_a_held_promotion_names_the_person_and_the_reason(replaced: Backend, expected: str) -> None:
    store = replaced.open()
    held = store.rollback("g2", by="ana", reason="prices are wrong")
    with pytest.raises(ProductionHeld, match=r"held at g1 since .* by ana: prices are wrong"):
        store.promote("g3", expected)
    assert store.production_state() == held


def test_promoting_production_again_is_no_promotion_and_leaves_the_hold(replaced: Backend) -> None:
    store = replaced.open()
    held = store.rollback("g2", by="ana", reason="prices are wrong")
    assert store.promote("g1", "g1", {}) == held
    with pytest.raises(ProductionHeld):
        store.promote("g2", "g2", {})  # a refresh without changes, when g2 was still in production


def forget_who_and_why(backend: Backend) -> None:
    """Leave the state as a version without these fields wrote it."""
    store = backend.open()
    if isinstance(store, EmbeddedVectorStore):
        path = store.folders.home / "production.json"
        stored = json.loads(path.read_text())
        path.write_text(
            json.dumps({key: value for key, value in stored.items() if not key.startswith("held_")})
        )
        return
    from qdrant_client import models

    def notes_seen() -> list[str]:
        return [
            one.alias_name for one in backend.client.get_aliases().aliases if "--note--" in one.alias_name
        ]

    notes = Consensus(backend.client).seen(notes_seen)
    assert notes
    deletions = [
        models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)) for alias in notes
    ]
    backend.client.update_collection_aliases(deletions)


def test_a_hold_of_an_earlier_version_opens_and_its_circumstances_are_unknown(replaced: Backend) -> None:
    replaced.open().rollback("g2", by="ana", reason="prices are wrong")
    forget_who_and_why(replaced)
    store = replaced.open()
    held = ProductionState("g1", None, Hold("g2"))
    # Deleted on one node of a cluster, the notes are there on the next one for a moment.
    Consensus(replaced.client).seen(lambda: store.production_state() == held)
    assert store.production_state() == held
    assert "at g1 since an unknown time by an unknown person" in store.production_state().hold_in_words
    with pytest.raises(ProductionHeld, match="an unknown person"):
        store.promote("g3", "g1")
    assert store.resume() == replaced.open().production_state() == ProductionState("g1")
