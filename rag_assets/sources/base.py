"""What every document source offers, and nothing about any particular one."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from rag_assets.records import SourceEntry


class Source(Protocol):
    """A place that documents come from.

    `list_entries` is cheap and reads no document. If it cannot list everything it raises, even
    after it has yielded some entries: a source that is down must never look empty.
    """

    name: str

    def list_entries(self) -> Iterator[SourceEntry]:
        """Yield one entry a document, in any order.

        Raises:
            SourceUnavailable: the listing is not complete.
        """
        ...

    def read(self, entry: SourceEntry) -> bytes:
        """Return the bytes of one listed document.

        Raises:
            DocumentUnreadable: this document cannot be read; the others can.
            SourceUnavailable: the source is gone.
        """
        ...


@runtime_checkable
class ExplainsWhatItSkips(Protocol):
    """A source that can tell why it does not list something that is there."""

    def why_not_listed(self, name: str) -> str | None:
        """Return why something of this name is not listed, in a clause; None if there is no such thing.

        Args:
            name: a document id, URI, path or filename, as a person writes it.
        """
        ...
