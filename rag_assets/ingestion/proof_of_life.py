"""Proof that a source still answers, after it has failed at one document as in an outage."""

from collections.abc import Sequence

from rag_assets.errors import DocumentUnreadable, SourceUnavailable
from rag_assets.records import SourceEntry
from rag_assets.sources.base import Source

_FAILURES_PER_PROOF = 3
_MOST_SECONDS = 900.0
"""For all failures of a source together."""


class ProofOfLife:
    """Tells a broken document from an outage of its source, by reading another document.

    A cut-off answer or an internal error of the server may belong to one document, at each refresh. Then the other
    documents of the source are read all the same.

    Args:
        listed: the documents of the source.
    """

    def __init__(self, source: Source, listed: Sequence[SourceEntry]) -> None:
        self._source = source
        self._listed = listed
        self._sound: SourceEntry | None = None
        self._failed: set[str] = set()
        self._num_in_a_row = 0
        self._seconds = 0.0

    def was_read(self, entry: SourceEntry) -> None:
        """Note that the source answers."""
        self._num_in_a_row = 0
        self.is_sound(entry)

    def is_sound(self, entry: SourceEntry) -> None:
        """Note a document with an earlier reading. The smallest one is read as a proof."""
        if self._sound is None or entry.size_bytes < self._sound.size_bytes:
            self._sound = entry

    def has_failed(self, entry: SourceEntry, error: SourceUnavailable, *, after_seconds: float) -> None:
        """Note a failure. Raise it if the source fails at another document too, or if failures take too long.

        Each proof is good for three failures in a row: it may take as long as a timeout.
        """
        self._seconds += after_seconds
        if self._seconds > _MOST_SECONDS:
            raise error
        self._failed.add(entry.document_id)
        self._num_in_a_row += 1
        if self._num_in_a_row % _FAILURES_PER_PROOF == 1 and not any(map(self._answers, self._others())):
            raise error

    def _others(self) -> list[SourceEntry]:
        if self._sound is not None:
            return [self._sound]
        untried = [entry for entry in self._listed if entry.document_id not in self._failed]
        # Two, because the last one may be broken as well.
        return [untried[-1], untried[len(untried) // 2]] if untried else []

    def _answers(self, entry: SourceEntry) -> bool:
        try:
            self._source.read(entry, "")
        except DocumentUnreadable:
            return True  # the source knows why
        except Exception:
            return False
        return True
