"""Near duplicates: one document of each group stays, the others are omitted."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Set
from dataclasses import replace

from rag_assets.changes.change_set import Change, DocumentChange


def keep_one_of_each(
    changes: Iterable[DocumentChange], groups: Iterable[Collection[str]], complete_sources: Set[str]
) -> list[DocumentChange]:
    """Omit documents that say nearly the same as one that is kept.

    Of each group one content stays, with every place of it: identical documents share points, and are not what this
    is about. It is that of the document that production serves already, then of the oldest, then of the smallest id. If
    that goes away the next takes its place, for every refresh decides anew among all. Who may read which document
    counts: one is omitted only for another with the same access list, so that nobody loses sight of a text.

    Of what production serves nothing is omitted that cannot be read now: the last good version of a document that turned
    bad, and whatever belongs to a source that is not complete.

    The deletion guard does not count omitted documents, however many: they are there, and what stands for each of
    them is served; that they go is a person's decision by a setting, `rag-assets plan` shows it beforehand, and the gate
    measures the outcome. It does count the deletion of a document that others were omitted for, even though one of
    them takes its place, and an omitted document keeps its source from looking empty.

    Args:
        changes: as decided without regard to this; each content of a group may have several documents.
        groups: contents of each group.
        complete_sources: as `decide_changes` takes them.

    Returns:
        The same documents in the same order.
    """
    by_content: dict[str, list[DocumentChange]] = defaultdict(list)
    changes = list(changes)
    for change in changes:
        if change.content_hash is not None:
            by_content[change.content_hash].append(change)

    def unreadable(change: DocumentChange) -> bool:
        bad = change.change is Change.QUARANTINED or change.location.source not in complete_sources
        return bad and change.is_served

    def rank(change: DocumentChange) -> tuple[bool, bool, bool, str, str]:
        modified_at = change.location.modified_at
        return (
            not unreadable(change),
            not change.is_served,
            modified_at is None,
            modified_at or "",
            change.document_id,
        )

    kept_for: dict[str, str] = {}
    for group in groups:
        by_access: dict[frozenset[str] | None, list[DocumentChange]] = defaultdict(list)
        for content_hash in group:
            for change in by_content[content_hash]:
                access = change.location.access
                by_access[None if access is None else frozenset(access)].append(change)
        for members in by_access.values():
            kept = min(members, key=rank).content_hash
            # Of its places always the same one is named, whichever of them was new when it was chosen.
            place = min(change.document_id for change in members if change.content_hash == kept)
            for change in members:
                if change.content_hash != kept and not unreadable(change):
                    kept_for[change.document_id] = place
    return [
        replace(
            change,
            change=Change.OMITTED,
            content_hash=None,
            near_duplicate_of=kept_for[change.document_id],
        )
        if change.document_id in kept_for
        else change
        for change in changes
    ]
