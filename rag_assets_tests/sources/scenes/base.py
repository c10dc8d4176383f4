"""What stands behind a source in a test: something real, which counts what is asked of it and fails on request."""

from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

Failure = Literal["refused", "forbidden", "error", "hang", "torn listing"]
"""How the other side fails: nobody listens, 403, 500, no answer ever, the second page of the listing breaks off.

What a kind of source has no such thing for is its nearest likeness: a folder that may not be read, a lost connection.
"""


class SourceScene(Protocol):
    """One kind of source, with what it reads from. Its documents are short texts by name, such as `a` and `b`.

    Attributes:
        kind: in `SOURCES`.
        failures: ways to fail that this kind has.
        num_bodies: documents whose content was transferred so far; a question that is answered with "unchanged"
            transfers nothing.
    """

    kind: str
    failures: tuple[Failure, ...]

    @property
    def num_bodies(self) -> int: ...

    def declaration(self) -> dict[str, Any]:
        """Return the entry for a sources file, `kind` included; short timeouts, pages of two where there are pages."""
        ...

    def put(self, name: str, text: str) -> None:
        """Write a document, or write it anew. Its text holds `text` after parsing, its path the name."""
        ...

    def remove(self, name: str) -> None: ...

    def failing(self, how: Failure) -> AbstractContextManager[None]:
        """Let every question fail in this way within the block."""
        ...

    def close(self) -> None: ...
