"""What production holds, and what the sources hold -> what must be done.

Pure set arithmetic over document identities. No I/O, no clocks, no settings beyond the arguments.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from enum import StrEnum

from rag_assets.errors import DeletionRefused
from rag_assets.fingerprint import canonical_json, short_hash
from rag_assets.records import Location


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
class DocumentState:
    """A document as production holds it, or as its source holds it now.

    Attributes:
        content_hash: of its extracted, normalised text; None while it is quarantined.
        quarantine_reason: why there is no text; "" if there is.
    """

    location: Location
    content_hash: str | None
    quarantine_reason: str = ""
    quarantine_detail: str = ""

    @property
    def document_id(self) -> str:
        return self.location.document_id


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


def documents_hash(documents: Iterable[DocumentState]) -> str:
    """Return the SHA-256, hex, of which documents there are, where, and with which content."""
    digest = hashlib.sha256()
    for state in sorted(documents, key=lambda state: state.document_id):
        digest.update(canonical_json([state.content_hash, state.location.to_payload()]))
    return digest.hexdigest()


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


def count_changes(changes: Iterable[DocumentChange]) -> dict[str, int]:
    """Return `num_added`, `num_updated` …, every kind present."""
    counts = Counter(change.change for change in changes)
    return {f"num_{kind.value}": counts[kind] for kind in Change}


@dataclass(frozen=True, slots=True)
class ContentChange:
    """What to do with the points of one content.

    Attributes:
        locations: where the content is to live, sorted by document id; empty means: remove its points.
        was_held: whether production holds points of it.
    """

    content_hash: str
    locations: tuple[Location, ...]
    was_held: bool


def content_changes(before: Iterable[DocumentState], after: Iterable[DocumentState]) -> list[ContentChange]:
    """Translate documents into contents, the keys of points.

    Args:
        before: documents whose points can be kept; none of them for a rebuild.
        after: documents that the candidate is to hold.

    Returns:
        One entry for each content whose set of locations changes, sorted by content hash.
    """
    old, new = _locations_by_content(before), _locations_by_content(after)
    return [
        ContentChange(content_hash, new.get(content_hash, ()), was_held=content_hash in old)
        for content_hash in sorted(old.keys() | new.keys())
        if old.get(content_hash) != new.get(content_hash)
    ]


def _locations_by_content(documents: Iterable[DocumentState]) -> dict[str, tuple[Location, ...]]:
    found: dict[str, list[Location]] = defaultdict(list)
    for state in documents:
        if state.content_hash is not None:
            found[state.content_hash].append(state.location)
    return {
        content_hash: tuple(sorted(locations, key=lambda location: location.document_id))
        for content_hash, locations in found.items()
    }


@dataclass(frozen=True, slots=True)
class DeletionGuard:
    """Stops a refresh that would delete suspiciously much.

    Attributes:
        max_share: share of production's documents, 0 to 1.
        max_documents: this many may always go.
    """

    max_share: float = 0.3
    max_documents: int = 10

    def check(
        self,
        production: Mapping[str, str],
        changes: Iterable[DocumentChange],
        *,
        base: str | None,
        approved_tokens: Set[str],
    ) -> None:
        """Let the deletions through, or ask.

        Args:
            production: document id -> source, of every document in production.
            approved_tokens: tokens that a person has approved.

        Raises:
            DeletionRefused: too much at once, and not approved. Carries the token.
        """
        changes = list(changes)
        deleted = sorted(change.document_id for change in changes if change.change is Change.DELETED)
        if not deleted:
            return
        alive = {change.location.source for change in changes if change.change is not Change.DELETED}
        emptied = sorted({production[document_id] for document_id in deleted} - alive)
        share = len(deleted) / len(production)
        too_many = share > self.max_share and len(deleted) > self.max_documents
        if not too_many and not emptied:
            return
        token = deletion_token(base, deleted)
        if token in approved_tokens:
            return
        why = (
            f"source {', '.join(emptied)} went from something to nothing"
            if emptied
            else f"more than {self.max_share:.0%} and more than {self.max_documents} documents at once"
        )
        examples = ", ".join(deleted[:5]) + (" …" if len(deleted) > 5 else "")
        raise DeletionRefused(
            f"refused to delete {len(deleted)} of {len(production)} documents ({why}): {examples}. "
            "Nothing was deleted. If they are gone by mistake, bring them back and refresh; if this is meant, "
            f"run `rag-assets approve {token}` and refresh.",
            token,
        )


def deletion_token(base: str | None, document_ids: Iterable[str]) -> str:
    """Name exactly this set of deletions from exactly this generation; no other set has the token."""
    return short_hash([base, sorted(document_ids)])
