"""Deletions of the last 24 hours: they count together, or small steps would pass the deletion guard one by one.

They are kept in the manifest of the generation without these documents, and carried to the next one. So they are as safe as
production itself, a lost ledger forgets none, a rollback takes them back, and a rejected candidate never counts.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

WINDOW = timedelta(hours=24)
_KEPT = 2 * WINDOW
"""The clock may run ahead for a while. When it is set right, the deletions count again."""
_DIGITS = 8


@dataclass(frozen=True, slots=True)
class PastDeletion:
    """The documents deleted by one generation and not found again since.

    Attributes:
        at: time of the decision.
        num_held: number of documents in production before it.
        documents: keys of the documents, see `key_of`. Empty if the deletions before `at` are unknown.
    """

    at: datetime
    num_held: int
    documents: frozenset[str]

    @property
    def is_unknown(self) -> bool:
        return not self.documents


def unknown_before(at: datetime) -> PastDeletion:
    """Return the entry for a lost history."""
    return PastDeletion(at, 0, frozenset())


def key_of(document_id: str, content_hash: str | None) -> str:
    """Return 16 hex digits, half for the id and half for the content. A collision costs one document in the count."""
    return _short(document_id) + (content_hash or "")[:_DIGITS].ljust(_DIGITS, "-")


def recent(history: Iterable[PastDeletion], now: datetime) -> list[PastDeletion]:
    """Return the deletions that count, oldest first. One in the future counts: the clock was set back."""
    return sorted((past for past in history if past.at > now - WINDOW), key=lambda past: past.at)


def carried(
    history: Iterable[PastDeletion], now: datetime, found_ids: Iterable[str], found_contents: Set[str]
) -> list[PastDeletion]:
    """Return the history without deletions of long ago, and without documents found again.

    Args:
        found_ids: ids of all documents of the candidate.
        found_contents: contents of the candidate in a place where they were not before.
    """
    history = list(history)
    if not history:
        return []
    ids = {_short(document_id) for document_id in found_ids}
    contents = {content[:_DIGITS] for content in found_contents}
    kept: list[PastDeletion] = []
    for past in history:
        missing = frozenset(
            key for key in past.documents if key[:_DIGITS] not in ids and key[_DIGITS:] not in contents
        )
        if (missing or past.is_unknown) and past.at > now - _KEPT:
            kept.append(replace(past, at=min(past.at, now), documents=missing))
    return kept


def history_to_text(history: Sequence[PastDeletion]) -> str:
    """Return the history for a manifest, "" for none."""
    if not history:
        return ""
    entries = [
        {
            "at": past.at.isoformat(timespec="seconds"),
            "num_held": past.num_held,
            "documents": "".join(sorted(past.documents)),
        }
        for past in history
    ]
    return json.dumps(entries, separators=(",", ":"))


def history_from_text(text: str) -> list[PastDeletion]:
    """Read the result of `history_to_text`.

    Raises:
        ValueError: it is damaged.
    """
    if not text:
        return []
    size = 2 * _DIGITS
    try:
        return [
            PastDeletion(
                _aware(datetime.fromisoformat(stored["at"])),
                int(stored["num_held"]),
                frozenset(
                    stored["documents"][start : start + size]
                    for start in range(0, len(stored["documents"]), size)
                ),
            )
            for stored in json.loads(text)
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(str(error)) from None


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone")
    return at


def _short(document_id: str) -> str:
    return hashlib.sha256(document_id.encode()).hexdigest()[:_DIGITS]
