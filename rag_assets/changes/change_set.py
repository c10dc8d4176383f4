"""The change set: one decision for each document, from a comparison of production with the sources.

Pure set arithmetic over document identities. No I/O, no clocks, no settings beyond the arguments.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from enum import StrEnum

from rag_assets.changes.outages import FailedParts
from rag_assets.document_metadata.policy import MetadataPolicy
from rag_assets.records import DocumentState, Location


class Change(StrEnum):
    """The kind of a change of one document."""

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
        location: for the candidate. For a deleted document, as in production.
        content_hash: content in the candidate, or None.
        previous_content_hash: content in production, or None.
        moved_from: previous document id, for a move.
        near_duplicate_of: id of the document kept instead, for an omitted one.
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
        """Whether production holds the document, under this id or the previous one."""
        return self.previous_content_hash is not None or self.moved_from is not None


def target_documents(changes: Iterable[DocumentChange]) -> list[DocumentState]:
    """Return the documents of the candidate."""
    return [
        DocumentState(change.location, change.content_hash)
        for change in changes
        if change.content_hash is not None
    ]


def decide_changes(
    production: Iterable[DocumentState],
    current: Iterable[DocumentState],
    complete_sources: Set[str],
    failed: FailedParts | None = None,
    renamed: Mapping[str, str] | None = None,
    metadata_policy: MetadataPolicy | None = None,
) -> list[DocumentChange]:
    """Compare production with the sources.

    Args:
        production: documents of the generation in production.
        current: documents in the sources now, including quarantined ones.
        complete_sources: sources with a complete listing. A document of any other source is never
            deleted, because a failed, skipped or no longer configured source proves nothing.
        failed: parts of complete sources that could not be read, or are not believed.
        renamed: id now -> id in production, of documents known to be the same, even with another content.
        metadata_policy: for the versions that are kept. The others have it already.

    Returns:
        One decision per document, sorted by document id. If the content of a missing document appears under a new
        id in this refresh, the new id is listed as moved and names the old one. The old id is not listed as deleted.
    """
    failed = failed or FailedParts()
    policy = metadata_policy or MetadataPolicy()
    before = {state.document_id: state for state in production}
    renamed = {new: old for new, old in (renamed or {}).items() if old in before and new not in before}
    now: dict[str, DocumentState] = {}
    withheld: dict[str, DocumentState] = {}
    for state in current:
        (withheld if failed.withhold(state.location) else now)[state.document_id] = state
    known_as = {document_id: renamed[document_id] for document_id in now if document_id in renamed}
    replaced = set(known_as.values())
    missing = {
        document_id: state
        for document_id, state in before.items()
        if document_id not in now and document_id not in replaced
    }
    kept = {
        document_id: state
        for document_id, state in missing.items()
        if state.location.source not in complete_sources or failed.contain(state.location)
    }
    gone = {document_id: state for document_id, state in missing.items() if document_id not in kept}
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
        moved_from = known_as.get(document_id)
        old = before.get(moved_from or document_id)
        if state.content_hash is None:
            changes.append(_quarantined(state, old, moved_from, policy))
            continue
        if old is not None:
            location = state.location
            if old.content_hash == state.content_hash:
                # Only a change of the content counts as a modification: `touch` must not rewrite payloads.
                location = replace(location, modified_at=old.location.modified_at)
            unchanged = (old.content_hash, old.location) == (state.content_hash, location)
            change = Change.UNCHANGED if unchanged else Change.UPDATED
            if moved_from is not None and old.content_hash == state.content_hash:
                change = Change.MOVED
        else:
            location = state.location
            if gone_by_content[state.content_hash]:
                change, moved_from = Change.MOVED, gone_by_content[state.content_hash].pop()
                # A move changes the location, not the content.
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
    for document_id, state in kept.items():
        location = _kept(state.location, withheld.get(document_id, state).location, policy)
        changes.append(
            DocumentChange(
                Change.UNCHANGED if location == state.location else Change.UPDATED,
                location,
                state.content_hash,
                previous_content_hash=state.content_hash,
            )
        )
    return sorted(changes, key=lambda change: change.document_id)


def _quarantined(
    state: DocumentState, old: DocumentState | None, moved_from: str | None, policy: MetadataPolicy
) -> DocumentChange:
    """Keep the last good version of a document after it turned bad."""
    location = _kept(old.location, state.location, policy) if old else state.location
    if moved_from is not None:
        ids = state.location
        location = replace(
            location,
            document_id=ids.document_id,
            path=ids.path,
            source_uri=ids.source_uri,
            filename=ids.filename,
        )
    return DocumentChange(
        Change.QUARANTINED,
        location,
        old.content_hash if old else None,
        previous_content_hash=old.content_hash if old else None,
        moved_from=moved_from,
        quarantine_reason=state.quarantine_reason,
        quarantine_detail=state.quarantine_detail,
    )


def _kept(old: Location, now: Location, policy: MetadataPolicy) -> Location:
    """Return the location of a kept version: its readers may read the document now, and could read this version.

    Its metadata are as the settings want them now: a key that is to be left out must not outlive an outage.
    """
    old = replace(old, metadata=policy.merged(old.metadata))
    if old.access is None or now.access is None:
        return replace(old, access=now.access if old.access is None else old.access)
    return replace(old, access=tuple(reader for reader in old.access if reader in now.access))


def count_changes(changes: Iterable[DocumentChange]) -> dict[str, int]:
    """Return `num_added`, `num_updated` …, with every kind present."""
    counts = Counter(change.change for change in changes)
    return {f"num_{kind.value}": counts[kind] for kind in Change}


def changes_in_words(counts: Mapping[str, int]) -> str:
    """Return `1 added, 2 deleted, 40 unchanged`, "" without documents.

    Args:
        counts: as from `count_changes`. Other keys are ignored.
    """
    kinds = sorted(Change, key=lambda kind: kind is Change.UNCHANGED)  # the others keep their order
    return ", ".join(
        f"{count:,} {kind.value}" for kind in kinds if (count := counts.get(f"num_{kind.value}", 0))
    )
