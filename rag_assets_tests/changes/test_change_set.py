from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.changes.change_set import (
    Change,
    DocumentChange,
    count_changes,
    decide_changes,
    target_documents,
)
from rag_assets.changes.content_changes import content_changes
from rag_assets.changes.outages import FailedParts
from rag_assets.records import DocumentState, Outage
from rag_assets_tests.changes.document_sets import after_sets, before_sets, complete_sets
from rag_assets_tests.documents import corpus, document, hashed, place

ALL = frozenset({"filesystem"})


def decided(
    before: list[DocumentState], now: list[DocumentState], complete: frozenset[str] = ALL
) -> dict[str, DocumentChange]:
    return {change.document_id: change for change in decide_changes(before, now, complete)}


def kinds(changes: dict[str, DocumentChange]) -> dict[str, str]:
    return {document_id: change.change.value for document_id, change in changes.items()}


def test_each_kind_of_change_is_named() -> None:
    before = corpus({"edited": "1", "gone": "2", "same": "3", "turned bad": "4", "old place": "5"})
    now = [
        document("edited", "1 edited"),
        document("same", "3"),
        document("turned bad", None),
        document("new place", "5"),
        document("new", "6"),
        document("copy", "3"),
        document("new and bad", None),
    ]
    assert kinds(decided(before, now)) == {
        "filesystem:edited": "updated",
        "filesystem:gone": "deleted",
        "filesystem:same": "unchanged",
        "filesystem:turned bad": "quarantined",
        "filesystem:new place": "moved",
        "filesystem:new": "added",
        "filesystem:copy": "duplicate",
        "filesystem:new and bad": "quarantined",
    }


def test_a_moved_document_keeps_its_content_and_the_time_of_its_last_change() -> None:
    before = [document("a", "text", modified_at="2026-01-01T00:00:00Z")]
    now = [document("b", "text", modified_at="2026-02-02T00:00:00Z")]
    [change] = decide_changes(before, now, ALL)
    assert (change.change, change.moved_from) == (Change.MOVED, "filesystem:a")
    assert change.location == place("b", modified_at="2026-01-01T00:00:00Z")
    [content] = content_changes(before, target_documents([change]))
    assert content.was_held
    assert content.locations == (change.location,)


def test_touching_a_document_changes_nothing() -> None:
    before = [document("a", "text")]
    now = [document("a", "text", modified_at="2026-02-02T00:00:00Z")]
    changes = decide_changes(before, now, ALL)
    assert [change.change for change in changes] == [Change.UNCHANGED]
    assert content_changes(before, target_documents(changes)) == []


def test_another_title_or_access_list_of_the_same_text_is_an_update_without_new_points() -> None:
    before = [document("a", "text")]
    for now in (document("a", "text", title="Handbook"), document("a", "text", access=("hr",))):
        changes = decide_changes(before, [now], ALL)
        assert [change.change for change in changes] == [Change.UPDATED]
        [content] = content_changes(before, target_documents(changes))
        assert content.was_held


def test_an_edit_and_its_reversal_are_both_updates() -> None:
    first, second = [document("a", "A")], [document("a", "B")]
    there = target_documents(decide_changes(first, second, ALL))
    back = target_documents(decide_changes(there, first, ALL))
    assert [state.content_hash for state in there] == [hashed("B")]
    assert [state.content_hash for state in back] == [hashed("A")]


def test_losing_one_of_two_locations_keeps_the_points() -> None:
    before = corpus({"a": "text", "b": "text"})
    changes = decide_changes(before, [document("a", "text")], ALL)
    assert kinds({c.document_id: c for c in changes})["filesystem:b"] == "deleted"
    [content] = content_changes(before, target_documents(changes))
    assert [location.path for location in content.locations] == ["a"]
    assert content.was_held


def test_a_document_that_turned_bad_stays_served_as_it_was() -> None:
    before = [document("a", "good", title="Good")]
    [change] = decide_changes(before, [document("a", None)], ALL)
    assert change.change is Change.QUARANTINED
    assert (change.content_hash, change.location) == (hashed("good"), before[0].location)
    assert change.quarantine_reason == "corrupt"
    assert content_changes(before, target_documents([change])) == []


# The old text was written for the old readers, and some of them may be readers no more.
READERS_OF_A_KEPT_VERSION = pytest.mark.parametrize(
    ("before", "now", "kept"),
    [
        (("hr", "it"), ("hr",), ("hr",)),
        (("hr",), ("hr", "it"), ("hr",)),
        (("hr", "it"), ("it", "web"), ("it",)),
        (("hr",), ("it",), ()),
        (("hr",), (), ()),
        (None, ("hr",), ("hr",)),
        (("hr",), None, ("hr",)),
        (None, None, None),
    ],
)


@READERS_OF_A_KEPT_VERSION
def test_a_kept_version_is_for_readers_of_then_and_now(
    before: tuple[str, ...] | None, now: tuple[str, ...] | None, kept: tuple[str, ...] | None
) -> None:
    [change] = decide_changes([document("a", "1", access=before)], [document("a", None, access=now)], ALL)
    assert change.change is Change.QUARANTINED
    assert change.location == place("a", access=kept)


@READERS_OF_A_KEPT_VERSION
def test_a_version_kept_by_an_outage_is_for_readers_of_then_and_now(
    before: tuple[str, ...] | None, now: tuple[str, ...] | None, kept: tuple[str, ...] | None
) -> None:
    same_page = Outage("filesystem", "x", "one page", paths=frozenset({"a"}), withholds=True)
    [change] = decide_changes(
        [document("a", "1", access=before)],
        [document("a", "login", access=now)],
        ALL,
        FailedParts([same_page]),
    )
    assert change.content_hash == hashed("1")
    assert change.location == place("a", access=kept)
    assert change.change is (Change.UNCHANGED if kept == before else Change.UPDATED)


@pytest.mark.parametrize("complete", [frozenset[str](), frozenset({"elsewhere"})])
def test_an_incompletely_listed_source_deletes_nothing(complete: frozenset[str]) -> None:
    before = corpus({"a": "1", "b": "2"})
    assert set(kinds(decided(before, [], complete)).values()) == {"unchanged"}
    # A partial listing: its missing documents are neither deleted nor moved.
    changes = decided(before, [document("c", "1")], complete)
    assert kinds(changes) == {
        "filesystem:a": "unchanged",
        "filesystem:b": "unchanged",
        "filesystem:c": "duplicate",
    }


def test_two_missing_copies_and_one_new_location_are_a_move_and_a_deletion() -> None:
    before = corpus({"a": "text", "b": "text"})
    changes = decided(before, [document("c", "text")])
    assert kinds(changes) == {"filesystem:b": "deleted", "filesystem:c": "moved"}
    assert changes["filesystem:c"].moved_from == "filesystem:a"


def test_of_two_new_copies_the_first_is_added_and_the_second_a_duplicate() -> None:
    assert kinds(decided([], corpus({"a": "text", "b": "text"}))) == {
        "filesystem:a": "added",
        "filesystem:b": "duplicate",
    }


def test_a_new_document_is_compared_with_current_contents_not_with_previous_ones() -> None:
    before = corpus({"b": "old"})
    assert kinds(decided(before, corpus({"a": "new", "b": "new"})))["filesystem:a"] == "duplicate"
    assert kinds(decided(before, corpus({"a": "old", "b": "new"})))["filesystem:a"] == "added"
    # A document that turned bad still holds its last good content.
    torn = [document("a", "old"), document("b", None)]
    assert kinds(decided(before, torn))["filesystem:a"] == "duplicate"


def test_counts_name_every_kind() -> None:
    counts = count_changes(decide_changes(corpus({"a": "1"}), corpus({"b": "2"}), ALL))
    assert counts == {
        "num_added": 1,
        "num_updated": 0,
        "num_moved": 0,
        "num_duplicate": 0,
        "num_unchanged": 0,
        "num_deleted": 1,
        "num_quarantined": 0,
        "num_omitted": 0,
    }


# Any state before and after, compared with the documented rules, document by document


def _expected_contents(
    before: list[DocumentState], now: list[DocumentState], complete: frozenset[str]
) -> dict[str, str | None]:
    """Return document id -> expected content in the candidate, directly from the documented rules."""
    listed = {state.document_id: state for state in now}
    expected: dict[str, str | None] = {
        state.document_id: state.content_hash for state in now if state.content_hash
    }
    for state in before:
        found = listed.get(state.document_id)
        unreadable = found is not None and found.content_hash is None
        not_known_to_be_gone = found is None and state.location.source not in complete
        if unreadable or not_known_to_be_gone:
            expected[state.document_id] = state.content_hash
    return expected


@given(before_sets, after_sets, complete_sets)
def test_the_candidate_holds_exactly_the_expected_contents(
    before: list[DocumentState], now: list[DocumentState], complete: frozenset[str]
) -> None:
    changes = decide_changes(before, now, complete)
    target = {state.document_id: state for state in target_documents(changes)}
    assert {key: state.content_hash for key, state in target.items()} == _expected_contents(
        before, now, complete
    )
    for state in now:
        if state.content_hash is not None:
            held = target[state.document_id].location
            assert replace(held, modified_at=None) == replace(state.location, modified_at=None)


@given(before_sets, after_sets, complete_sets)
def test_every_document_gets_one_decision(
    before: list[DocumentState], now: list[DocumentState], complete: frozenset[str]
) -> None:
    changes = decide_changes(before, now, complete)
    decided_ids = [change.document_id for change in changes]
    moved_from = [change.moved_from for change in changes if change.moved_from]
    assert decided_ids == sorted(set(decided_ids))
    assert len(moved_from) == len(set(moved_from))
    assert {*decided_ids, *moved_from} == {state.document_id for state in before + now}
    assert not {*decided_ids} & {*moved_from}
    assert sum(count_changes(changes).values()) == len(changes)
    assert {c.document_id for c in changes if c.change is Change.DELETED} <= {s.document_id for s in before}
    old = {state.document_id: state.content_hash for state in before}
    assert all(change.previous_content_hash == old.get(change.document_id) for change in changes)


@given(before_sets, after_sets, complete_sets)
def test_a_second_refresh_finds_nothing_to_do(
    before: list[DocumentState], now: list[DocumentState], complete: frozenset[str]
) -> None:
    target = target_documents(decide_changes(before, now, complete))
    again = decide_changes(target, now, complete)
    assert {change.change for change in again} <= {Change.UNCHANGED, Change.QUARANTINED}
    assert content_changes(target, target_documents(again)) == []


@given(st.permutations(corpus({"a": "1", "b": "1", "c": "2"})), st.permutations(corpus({"d": "1", "e": "3"})))
def test_the_order_of_a_listing_does_not_matter(
    before: list[DocumentState], now: list[DocumentState]
) -> None:
    changes = decide_changes(before, now, ALL)
    in_order = decide_changes(
        sorted(before, key=lambda s: s.document_id), sorted(now, key=lambda s: s.document_id), ALL
    )
    assert changes == in_order


def test_a_renamed_document_is_never_deleted_and_added() -> None:
    before = corpus({"a?t=1": "1", "b?t=1": "2", "c?t=1": "3", "d?t=1": "4"})
    now = [document("a", "1"), document("b", "2 edited"), document("c", None)]
    renamed = {f"filesystem:{name}": f"filesystem:{name}?t=1" for name in "abcd"}
    for complete in (ALL, frozenset[str]()):
        changes = {
            change.document_id: change for change in decide_changes(before, now, complete, renamed=renamed)
        }
        last = changes.pop("filesystem:d?t=1")
        assert last.change is (Change.DELETED if complete else Change.UNCHANGED)
        assert kinds(changes) == {
            "filesystem:a": "moved",
            "filesystem:b": "updated",
            "filesystem:c": "quarantined",
        }
        assert all(change.moved_from == f"{key}?t=1" for key, change in changes.items())
        kept = changes["filesystem:c"]
        assert (kept.content_hash, kept.location.path) == (hashed("3"), "c")
