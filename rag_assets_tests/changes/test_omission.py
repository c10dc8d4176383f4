"""The choice of the kept document in a group of near duplicates, and the documents never omitted."""

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.changes.change_set import Change, DocumentChange, decide_changes, target_documents
from rag_assets.changes.deletion_guard import DeletionGuard
from rag_assets.changes.omission import keep_one_of_each
from rag_assets.errors import DeletionRefused
from rag_assets.records import DocumentState
from rag_assets_tests.documents import document, hashed

ALL = frozenset({"filesystem"})
AT = "2026-01-0{}T00:00:00Z"


def decided(
    before: list[DocumentState],
    now: list[DocumentState],
    *groups: set[str],
    complete: frozenset[str] = ALL,
) -> dict[str, DocumentChange]:
    """Decide with these groups of texts."""
    changes = decide_changes(before, now, complete)
    contents = [{hashed(text) for text in group} for group in groups]
    return {change.document_id: change for change in keep_one_of_each(changes, contents, complete)}


def omitted(changes: dict[str, DocumentChange]) -> dict[str, str | None]:
    return {
        document_id.partition(":")[2]: change.near_duplicate_of and change.near_duplicate_of.partition(":")[2]
        for document_id, change in changes.items()
        if change.change is Change.OMITTED
    }


def test_production_then_age_then_id_decide_which_document_is_kept() -> None:
    older, newer = {"modified_at": AT.format(1)}, {"modified_at": AT.format(2)}
    now = [document("a", "1", **newer), document("b", "2", **older), document("c", "3", modified_at=None)]
    assert omitted(decided([], now, {"1", "2", "3"})) == {"a": "b", "c": "b"}
    assert omitted(decided([now[2]], now, {"1", "2", "3"})) == {"a": "c", "b": "c"}
    same_age = [replace(state, location=replace(state.location, **older)) for state in now]
    assert omitted(decided([], same_age, {"1", "2", "3"})) == {"b": "a", "c": "a"}
    assert omitted(decided([], now)) == {}


def test_an_omitted_document_leaves_production_and_keeps_its_previous_hash() -> None:
    before = [document("a", "1"), document("b", "2")]
    changes = decided(before, before, {"1", "2"})
    change = changes["filesystem:b"]
    assert (change.content_hash, change.previous_content_hash) == (None, hashed("2"))
    assert target_documents(changes.values()) == [before[0]]


def test_all_locations_of_the_kept_text_are_kept() -> None:
    now = [document("a", "1"), document("b", "1"), document("c", "2"), document("d", "2")]
    assert omitted(decided([], now, {"1", "2"})) == {"c": "a", "d": "a"}


def test_a_moved_document_counts_as_being_in_production() -> None:
    before, now = [document("z", "2")], [document("a", "1"), document("y", "2")]
    changes = decided(before, now, {"1", "2"})
    assert omitted(changes) == {"a": "y"}
    assert changes["filesystem:y"].change is Change.MOVED


def test_if_the_kept_document_disappears_the_next_takes_its_place() -> None:
    before = [document("a", "1")]
    changes = decided(before, [document("b", "2"), document("c", "3")], {"2", "3"})
    assert {id_[11:]: change.change.value for id_, change in changes.items()} == {
        "a": "deleted",
        "b": "added",
        "c": "omitted",
    }


def test_documents_with_different_access_lists_are_not_omitted_for_one_another() -> None:
    now = [
        document("a", "1", access=("board",)),
        document("b", "2", access=("staff", "hr")),
        document("c", "3", access=("hr", "staff")),
        document("d", "4"),
        document("e", "5", access=()),
    ]
    assert omitted(decided([], now, {"1", "2", "3", "4", "5"})) == {"c": "b"}


def test_the_last_good_version_of_a_quarantined_document_is_kept_and_others_are_omitted_for_it() -> None:
    before = [document("a", "1"), document("b", "2")]
    changes = decided(before, [document("a", "1"), document("b", None)], {"1", "2"})
    assert omitted(changes) == {"a": "b"}
    assert changes["filesystem:b"].content_hash == hashed("2")


def test_served_documents_of_an_incomplete_source_are_not_omitted() -> None:
    gone = [document("x", "1", "wiki"), document("y", "2", "wiki")]
    changes = decided([*gone, document("a", "3")], [document("a", "3")], {"1", "2", "3"})
    assert omitted(changes) == {"a": "x"}
    assert {change.document_id for change in target_documents_of(changes)} == {"wiki:x", "wiki:y"}


def test_a_new_document_of_a_partial_listing_does_not_replace_a_served_one() -> None:
    changes = decided(
        [document("a", "1")], [document("a", "1"), document("x", "2", "wiki", modified_at=None)], {"1", "2"}
    )
    assert omitted(changes) == {"x": "a"}


def target_documents_of(changes: dict[str, DocumentChange]) -> list[DocumentState]:
    return target_documents(changes.values())


def test_the_deletion_guard_counts_the_kept_document_but_not_the_omitted_ones() -> None:
    before = [document(f"{number:02}", f"text {number}") for number in range(40)]
    group = {f"text {number}" for number in range(40)}
    now = datetime(2026, 3, 1, tzinfo=UTC)
    guard = DeletionGuard(0.3)
    changes = decided(before, before, group)
    guard.check(len(before), changes.values(), now=now, base="g", approved_tokens=frozenset())

    # Afterwards production holds only the kept document. If its source loses it, an omitted one takes its place.
    kept, others = before[:1], before[1:]
    guard.check(
        len(kept),
        decided(kept, others, group).values(),
        now=now,
        base="g",
        approved_tokens=frozenset(),
    )
    # An emptied source needs an approval, although its texts still exist under other names.
    served = [document(f"{number:02}", f"text {number}", "wiki") for number in range(12)]
    stand_ins = [document(f"{number:02}", f"copy {number}") for number in range(12)]
    pairs = [{f"text {number}", f"copy {number}"} for number in range(12)]
    both = frozenset({"wiki", "filesystem"})
    changes = decided(served, stand_ins, *pairs, complete=both)
    with pytest.raises(DeletionRefused):
        guard.check(
            len(served),
            changes.values(),
            now=now,
            base="g",
            approved_tokens=frozenset(),
        )


def test_the_next_refresh_names_the_same_location_of_the_kept_text() -> None:
    now = [document("2", "1"), document("3", "4"), document("7", "1")]
    changes = decided([document("7", "0")], now, {"1", "4"})
    assert omitted(changes) == omitted(decided(target_documents_of(changes), now, {"1", "4"})) == {"3": "2"}


texts = st.integers(0, 11).map(str)
states = st.dictionaries(st.integers(0, 9), texts | st.none(), max_size=9).map(
    lambda made: [document(f"{number}", text) for number, text in sorted(made.items())]
)


@given(states, states, st.lists(st.integers(0, 11), max_size=12), st.randoms(use_true_random=False))
def test_one_text_of_each_group_stays_in_any_order_and_the_next_refresh_changes_nothing(
    earlier: list[DocumentState], now: list[DocumentState], members: list[int], shuffle: random.Random
) -> None:
    # A possible production, without quarantined documents.
    before = [state for state in earlier if state.content_hash is not None]
    groups = [{str(one) for one in members if one % 3 == part} for part in range(3)]
    changes = decided(before, now, *groups)
    held = target_documents_of(changes)
    for group in groups:
        contents = {hashed(text) for text in group}
        readable = [s for s in now if s.content_hash in contents]
        bad = [c for c in changes.values() if c.change is Change.QUARANTINED and c.content_hash in contents]
        kept = {s.content_hash for s in held if s.content_hash in contents} - {c.content_hash for c in bad}
        assert len(kept) <= 1 or not readable
        if readable and not bad:
            assert len(kept) == 1

    shuffle.shuffle(before)
    shuffle.shuffle(now)
    shuffle.shuffle(groups)
    assert decided(before, now, *groups) == changes
    # After the promotion the same documents are kept, and the same omitted.
    again = decided(held, now, *groups)
    assert target_documents_of(again) == held
    assert omitted(again) == omitted(changes)
