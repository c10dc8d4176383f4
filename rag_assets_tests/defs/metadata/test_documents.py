from dataclasses import replace

from rag_assets.changes.change_set import Change, DocumentChange
from rag_assets.defs.metadata.documents import change_table, near_duplicate_metadata
from rag_assets.refresh.decision import NearDuplicateDocuments
from rag_assets_tests.defs.metadata.table_rows import rows
from rag_assets_tests.documents import place


def changes(kind: Change, count: int) -> list[DocumentChange]:
    return [DocumentChange(kind, place(f"{kind.value}{number:03}.md"), "hash") for number in range(count)]


def test_changes_in_need_of_attention_come_first_and_unchanged_documents_are_left_out() -> None:
    given = [change for kind in Change for change in changes(kind, 1)]
    kinds = [row["change"] for row in rows(change_table(given))]
    assert kinds == ["quarantined", "deleted", "updated", "moved", "duplicate", "added"]


def test_an_omitted_document_is_listed_only_when_it_leaves_the_index() -> None:
    [omitted] = changes(Change.OMITTED, 1)
    assert rows(change_table([omitted])) == []
    assert [row["change"] for row in rows(change_table([replace(omitted, previous_content_hash="h")]))] == [
        "omitted"
    ]


def test_groups_of_near_duplicates_are_shown_with_their_omitted_documents() -> None:
    omitted = [
        replace(change, content_hash=None, near_duplicate_of="filesystem:a.md")
        for change in changes(Change.OMITTED, 9)
    ]
    ids = tuple(sorted(["filesystem:a.md", *(change.document_id for change in omitted)]))
    groups = [NearDuplicateDocuments(ids, 0.93), NearDuplicateDocuments(("x:1", "x:2"), 1.0)]
    metadata = near_duplicate_metadata(groups, omitted)
    assert metadata["num_near_duplicates"] == 12
    first, second = rows(metadata["near_duplicates"])
    assert (first["documents"], first["similarity"]) == ("filesystem:a.md", 0.93)
    assert first["omitted"].endswith("mitted005.md … 3 more")
    assert (second["documents"], second["omitted"]) == ("x:1, x:2", None)


def test_a_long_table_ends_with_the_number_of_missing_rows() -> None:
    given = [*changes(Change.ADDED, 30), *changes(Change.DELETED, 1)]
    table = change_table(given)
    found = rows(table)
    assert found[0]["change"] == "deleted"
    assert found[-1] == {"document_id": "… 11 more", "change": None}
    assert len(found) - 1 + 11 == len(given)
    assert rows(change_table(given[:20]))[-1]["document_id"] == "filesystem:added019.md"
