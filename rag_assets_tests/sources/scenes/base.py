"""The interface of a scene: a real service behind a source, with counted requests and failures on demand."""

from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

Failure = Literal["refused", "forbidden", "error", "hang", "torn listing"]
"""Failures of the service: connection refused, 403, 500, no answer at all, second page of the listing cut off.

Some kinds of source have only similar failures: an unreadable folder, a lost connection.
"""


class SourceScene(Protocol):
    """One kind of source, and the service behind it. Its documents are short texts by name, such as `a` and `b`.

    Attributes:
        kind: key in `SOURCES`.
        failures: possible failures of this kind.
        num_bodies: number of transferred documents so far, without those answered with "unchanged".
    """

    kind: str
    failures: tuple[Failure, ...]

    @property
    def num_bodies(self) -> int: ...

    def declaration(self) -> dict[str, Any]:
        """Return the entry for a sources file, with `kind`, short timeouts, and two documents per page."""
        ...

    def put(self, name: str, text: str) -> None:
        """Write a document, or overwrite it. Its parsed text contains `text`, its path contains the name."""
        ...

    def remove(self, name: str) -> None: ...

    def failing(self, how: Failure) -> AbstractContextManager[None]:
        """Let every request fail in this way within the block."""
        ...

    def close(self) -> None: ...


class DescribingScene(SourceScene, Protocol):
    """A kind of source with metadata of its documents.

    Attributes:
        keys: keys of the word and of the number given to `describe`, in the metadata of the document. "" if this kind
            has no such field.
    """

    keys: tuple[str, str]

    def describe(self, name: str, word: str, number: int) -> None:
        """Give a document metadata, and leave its text as it is. Call it after `put`."""
        ...
