"""The guard against an unusual number of deletions, and the approval token."""

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from rag_assets.changes.change_set import Change, DocumentChange
from rag_assets.changes.deletion_history import PastDeletion, carried, key_of, recent
from rag_assets.changes.vanished_parts import MOST_DELETED_AT_ONCE, vanished_parts
from rag_assets.errors import DeletionRefused
from rag_assets.fingerprint import short_hash
from rag_assets.records import DocumentState
from rag_assets.text.wording import counted

_MOST_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class AdmittedDeletions:
    """Deletions that may happen.

    Attributes:
        token: the approval that admits them, "" if none was needed.
        history: deletions of the last hours, for the manifest of the candidate. An approval begins a new one.
    """

    token: str
    history: Sequence[PastDeletion]


@dataclass(frozen=True, slots=True)
class DeletionGuard:
    """Stops a refresh with too many deletions, counted over the last 24 hours, or since the last approval if that is later.

    Attributes:
        max_share: share of the documents held by production at the beginning of that time, 0 to 1.
        max_documents: this many documents may always be deleted.
    """

    max_share: float
    max_documents: int = MOST_DELETED_AT_ONCE

    def check(
        self,
        num_held: int,
        changes: Iterable[DocumentChange],
        *,
        now: datetime,
        base: str | None,
        approved_tokens: Set[str],
        history: Iterable[PastDeletion] = (),
    ) -> AdmittedDeletions:
        """Let the deletions pass, or raise.

        A document missing under its id has moved if its content is now in a place where it was not before. Renamed and
        edited documents are deletions: nothing proves that they are the same.

        Args:
            num_held: number of documents in production.
            now: with a time zone.
            base: generation in production.
            approved_tokens: tokens approved by a person.
            history: deletions that led to production, from its manifest.

        Raises:
            DeletionRefused: too many, or all documents of a folder or source, and not approved. Carries the token.
        """
        changes = list(changes)
        held = [change for change in changes if change.change is not Change.DELETED]
        reappeared = {
            change.content_hash
            for change in held
            if change.content_hash and change.content_hash != change.previous_content_hash
        }
        deleted = [
            change
            for change in changes
            if change.change is Change.DELETED and change.previous_content_hash not in reappeared
        ]
        history = carried(history, now, (change.document_id for change in held), reappeared)
        keys = frozenset(key_of(change.document_id, change.previous_content_hash) for change in deleted)
        why = self._too_many(keys, num_held, recent(history, now)) or _vanished(deleted, held, reappeared)
        token = ""
        if why:
            token = deletion_token(base, [change.document_id for change in deleted])
            if token not in approved_tokens:
                raise _refusal(deleted, num_held, why, token)
            history = []
        elif keys:
            history.append(PastDeletion(now, num_held, keys))
        return AdmittedDeletions(token, history)

    def _too_many(self, deleted: Set[str], num_held: int, history: Sequence[PastDeletion]) -> str:
        """Return the reason to refuse, or "". Each earlier deletion begins a time of its own."""
        if not deleted:
            return ""
        limits = f"more than {self.max_share:.0%} and more than {self.max_documents} documents"
        if self._exceeds(len(deleted), num_held):
            return f"{limits} at once"
        if any(past.is_unknown for past in history):
            return "the deletions of the last 24 hours are unknown, because production was damaged"
        lost = set(deleted)
        for past in reversed(history):
            lost |= past.documents
            if self._exceeds(len(lost), past.num_held):
                return f"{len(lost)} of {past.num_held:,} within 24 hours, {limits}"
        return ""

    def _exceeds(self, num_deleted: int, num_held: int) -> bool:
        return num_deleted > self.max_documents and num_deleted / num_held > self.max_share


def deletion_token(base: str | None, document_ids: Iterable[str]) -> str:
    """Return the token of exactly this set of deletions from exactly this generation."""
    return short_hash([base, sorted(document_ids)])


def _vanished(deleted: Iterable[DocumentChange], held: Iterable[DocumentChange], reappeared: Set[str]) -> str:
    """Return the reason to refuse folders and sources that go to nothing, or "".

    The reading of the sources keeps their documents. This is for another production than at the time of that reading.
    """
    missing: dict[str, list[DocumentState]] = defaultdict(list)
    for change in deleted:
        state = DocumentState(change.location, change.previous_content_hash)
        missing[change.location.source].append(state)
    listed: dict[str, list[str]] = defaultdict(list)
    for change in held:
        if change.location.source in missing:
            listed[change.location.source].append(change.location.path)
    for source, states in sorted(missing.items()):
        for part in vanished_parts(source, states, listed[source], reappeared):
            folder = part.place if listed[source] else ""
            return f"no document of {f'folder {folder} of ' if folder else ''}source {source} is left"
    return ""


def _refusal(deleted: Sequence[DocumentChange], num_held: int, why: str, token: str) -> DeletionRefused:
    ids = [change.document_id for change in deleted]
    sources = tuple(sorted({change.location.source for change in deleted}))
    subject = f"the deletion of {len(ids):,} of {counted(num_held, 'document')} (source {', '.join(sources)})"
    message = _message(ids, num_held, why, token)
    return DeletionRefused(message, token, subject, sources, tuple(ids[:_MOST_EXAMPLES]))


def _message(document_ids: Sequence[str], num_held: int, why: str, token: str) -> str:
    examples = ", ".join(document_ids[:_MOST_EXAMPLES]) + (" …" if len(document_ids) > _MOST_EXAMPLES else "")
    return (
        f"refused to delete {len(document_ids)} of {counted(num_held, 'document')} ({why}): {examples}. "
        "Nothing was deleted. If the documents are missing by mistake, restore them and refresh. If the deletion is "
        f"intended, run `rag-assets approve {token}` and refresh."
    )
