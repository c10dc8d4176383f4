"""What production holds, and what the sources hold -> what must be done.

Pure set arithmetic over document identities. No I/O, no clocks, no settings beyond the arguments.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Set
from dataclasses import dataclass, replace
from enum import StrEnum

from rag_assets.records import DocumentState, Location


class Change(StrEnum):
    """What a refresh does to one document."""

    ADDED = "added"
    UPDATED = "updated"
    MOVED = "moved"
    DUPLICATE = "duplicate"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    QUARANTINED = "quarantined"
    OMITTED = "omitted"


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """The decision for one document.

    Attributes:
        location: as the candidate is to hold it; of a deleted document, as production holds it.
        content_hash: content that the candidate holds for it; None if it is to hold none.
        previous_content_hash: content that production holds for it; None if it holds none.
        moved_from: document id that it had before, for a move.
        near_duplicate_of: document id of what is kept instead of an omitted one.
    """

    change: Change
    location: Location
    content_hash: str | None
    previous_content_hash: str | None = None
    moved_from: str | None = None
    quarantine_reason: str = ""
    quarantine_detail: str = ""
    near_duplicate_of: str | None = None

    @property
    def document_id(self) -> str:
        return self.location.document_id

    @property
    def is_served(self) -> bool:
        """Whether production holds it, by this name or by the one it had before."""
        return self.previous_content_hash is not None or self.moved_from is not None


def target_documents(changes: Iterable[DocumentChange]) -> list[DocumentState]:
    """Return the documents that the candidate is to hold."""
    return [
        DocumentState(change.location, change.content_hash)
        for change in changes
        if change.content_hash is not None
    ]


def decide_changes(
    production: Iterable[DocumentState],
    current: Iterable[DocumentState],
    complete_sources: Set[str],
) -> list[DocumentChange]:
    """Compare production with the sources.

    Args:
        production: documents of the generation that serves.
        current: documents that the sources hold now, quarantined ones included.
        complete_sources: sources whose listing is complete. A document of any other source is never
            deleted: a source that failed, was left out or is no longer configured says nothing.

    Returns:
        One decision a document, sorted by document id. A deleted document whose content reappears under a new
        id of this refresh is not listed as deleted: the new id is listed as moved, and names the old one.
    """
    before = {state.document_id: state for state in production}
    now = {state.document_id: state for state in current}
    gone = {
        document_id: state
        for document_id, state in before.items()
        if document_id not in now and state.location.source in complete_sources
    }
    gone_by_content: dict[str | None, list[str]] = defaultdict(list)
    for document_id in sorted(gone, reverse=True):
        gone_by_content[gone[document_id].content_hash].append(document_id)

    present = {
        (now.get(document_id) or state).content_hash or state.content_hash
        for document_id, state in before.items()
        if document_id not in gone
    }
    changes: list[DocumentChange] = []
    for document_id in sorted(now):
        state = now[document_id]
        old = before.get(document_id)
        if state.content_hash is None:
            changes.append(_quarantined(state, old))
            continue
        moved_from = None
        if old is not None:
            location = state.location
            if old.content_hash == state.content_hash:
                # Only a change of the content counts as a modification: `touch` must not rewrite payloads.
                location = replace(location, modified_at=old.location.modified_at)
            unchanged = (old.content_hash, old.location) == (state.content_hash, location)
            change = Change.UNCHANGED if unchanged else Change.UPDATED
        else:
            location = state.location
            if gone_by_content[state.content_hash]:
                change, moved_from = Change.MOVED, gone_by_content[state.content_hash].pop()
                # A move changes the place, not the content.
                location = replace(location, modified_at=gone.pop(moved_from).location.modified_at)
            else:
                change = Change.DUPLICATE if state.content_hash in present else Change.ADDED
        present.add(state.content_hash)
        changes.append(
            DocumentChange(
                change=change,
                location=location,
                content_hash=state.content_hash,
                previous_content_hash=old.content_hash if old else None,
                moved_from=moved_from,
            )
        )
    changes.extend(
        DocumentChange(Change.DELETED, state.location, None, previous_content_hash=state.content_hash)
        for state in gone.values()
    )
    changes.extend(
        DocumentChange(
            Change.UNCHANGED, state.location, state.content_hash, previous_content_hash=state.content_hash
        )
        for document_id, state in before.items()
        if document_id not in now and state.location.source not in complete_sources
    )
    return sorted(changes, key=lambda change: change.document_id)


def _quarantined(state: DocumentState, old: DocumentState | None) -> DocumentChange:
    """Keep the last good version of a document that has turned bad."""
    return DocumentChange(
        Change.QUARANTINED,
        old.location if old else state.location,
        old.content_hash if old else None,
        previous_content_hash=old.content_hash if old else None,
        quarantine_reason=state.quarantine_reason,
        quarantine_detail=state.quarantine_detail,
    )


def count_changes(changes: Iterable[DocumentChange]) -> dict[str, int]:
    """Return `num_added`, `num_updated` …, every kind present."""
    counts = Counter(change.change for change in changes)
    return {f"num_{kind.value}": counts[kind] for kind in Change}
