"""Near duplicates: one document of each group stays, the others are omitted."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Set
from dataclasses import replace

from rag_assets.changes.change_set import Change, DocumentChange
from rag_assets.changes.outages import FailedParts


def keep_one_of_each(
    changes: Iterable[DocumentChange],
    groups: Iterable[Collection[str]],
    complete_sources: Set[str],
    failed: FailedParts | None = None,
) -> list[DocumentChange]:
    """Keep one content of each group of near duplicates, and omit the documents of the others.

    The kept content keeps all its locations. Identical documents share points and are never omitted for one another.
    Preference goes to the content of a document already in production, then of the oldest document, then of the
    smallest id. If the kept document disappears, the next one takes its place, because every refresh decides again among
    all documents. A document is omitted only for one with the same access list, so no reader loses a text.

    A document in production stays if it cannot be read now: the last good version of a document after it turned bad, and
    every document of an incomplete source, or of a failed part of a source.

    The deletion guard does not count omitted documents, however many. They still exist, and the kept document is served
    for each of them. Their omission is a setting, shown beforehand by `rag-assets plan` and measured by the gate. The
    guard does count the deletion of a kept document, even though an omitted one takes its place. An omitted document
    keeps its source from looking empty.

    Args:
        changes: decided without regard to near duplicates. Each content of a group may have several documents.
        groups: contents of each group.
        complete_sources, failed: as in `decide_changes`.

    Returns:
        The same documents in the same order.
    """
    by_content: dict[str, list[DocumentChange]] = defaultdict(list)
    changes = list(changes)
    failed = failed or FailedParts()
    for change in changes:
        if change.content_hash is not None:
            by_content[change.content_hash].append(change)

    def unreadable(change: DocumentChange) -> bool:
        bad = change.change is Change.QUARANTINED or change.location.source not in complete_sources
        return change.is_served and (bad or failed.contain(change.location))

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
            # Always name the same location of the kept content, whichever of them was new at the time of the choice.
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
