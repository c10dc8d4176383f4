from datetime import UTC, datetime

import pytest

from rag_assets.changes.change_set import decide_changes
from rag_assets.changes.deletion_guard import DeletionGuard, deletion_token
from rag_assets.errors import DeletionRefused
from rag_assets.records import DocumentState
from rag_assets_tests.documents import corpus, document

ALL = frozenset({"filesystem"})
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def guarded(
    before: list[DocumentState],
    now: list[DocumentState],
    approved: frozenset[str] = frozenset(),
    complete: frozenset[str] = ALL,
    base: str | None = "g1",
) -> None:
    DeletionGuard(0.3, 10).check(
        len(before),
        decide_changes(before, now, complete),
        now=NOW,
        base=base,
        approved_tokens=approved,
    )


def many(count: int, source: str = "filesystem") -> list[DocumentState]:
    return corpus({f"{number:03}": f"text {number}" for number in range(count)}, source)


@pytest.mark.parametrize(
    ("total", "deleted", "refused"),
    [(100, 30, False), (100, 31, True), (12, 10, False), (12, 11, True), (20, 10, False), (1000, 11, False)],
)
def test_deletions_above_both_limits_are_refused(total: int, deleted: int, refused: bool) -> None:
    before = many(total)
    if not refused:
        guarded(before, before[deleted:])
        return
    with pytest.raises(DeletionRefused, match=f"refused to delete {deleted} of {total}"):
        guarded(before, before[deleted:])


def test_an_emptied_source_needs_an_approval_even_if_it_is_small() -> None:
    before = [*many(100), document("only", "one", "web")]
    with pytest.raises(DeletionRefused, match="no document of source web is left"):
        guarded(before, many(100), complete=frozenset({"filesystem", "web"}))


def test_an_emptied_folder_of_more_than_ten_needs_an_approval() -> None:
    others = many(100)
    for number in (10, 11):
        folder = corpus({f"hr/{n:02}": f"page {n}" for n in range(number)})
        if number == 10:
            guarded([*others, *folder], others)
            continue
        with pytest.raises(DeletionRefused, match="no document of folder hr/ of source filesystem is left"):
            guarded([*others, *folder], others)


def test_several_documents_moved_into_one_are_no_deletions() -> None:
    before = [*many(20), *corpus({f"hr/{n:02}": "one text" for n in range(15)})]
    guarded(before, [*many(20), document("all", "one text")])


def test_the_token_approves_exactly_one_set_of_deletions() -> None:
    before = many(40)
    with pytest.raises(DeletionRefused) as refusal:
        guarded(before, before[20:])
    token = refusal.value.token
    assert f"rag-assets approve {token}" in str(refusal.value)
    guarded(before, before[20:], frozenset({token}))
    for now, base in ((before[21:], "g1"), (before[19:], "g1"), (before[20:], "g2")):
        with pytest.raises(DeletionRefused):
            guarded(before, now, frozenset({token}), base=base)


def test_the_guard_accepts_an_iterator_of_changes() -> None:
    before = [*many(5), document("only", "one", "web")]
    changes = decide_changes(before, [document("other", "two", "web"), *many(5)], ALL | {"web"})
    DeletionGuard(0.3).check(
        len(before),
        iter(changes),
        now=NOW,
        base="g1",
        approved_tokens=frozenset(),
    )


def test_moves_edits_and_unreadable_documents_are_no_deletions() -> None:
    before = many(40)
    moved = [document(f"new/{state.location.path}", f"text {n}") for n, state in enumerate(before)]
    edited = [document(state.location.path, "edited") for state in before]
    unreadable = [document(state.location.path, None) for state in before]
    for now in (moved, edited, unreadable):
        guarded(before, now)


def test_two_sets_of_deletions_never_share_a_token() -> None:
    assert deletion_token("g", ["a\nb"]) != deletion_token("g", ["a", "b"])
    assert deletion_token("g", ["a", "b"]) == deletion_token("g", ["b", "a"])
    assert deletion_token(None, ["a"]) != deletion_token("a", [])
    assert len(deletion_token(None, ["a"])) == 16
