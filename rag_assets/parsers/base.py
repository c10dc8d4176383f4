"""What every parser offers."""

from typing import Protocol, runtime_checkable

from rag_assets.records import ParsedDocument


class Parser(Protocol):
    """Turns the bytes of one format into text.

    Runs in a process of its own, which has limits on time and memory and is killed when it exceeds them. Heavy
    packages are imported by `parse`, not with the module.

    Attributes:
        name: stable, recorded with each document.
        version: raised whenever the same bytes may give another text; documents are then parsed again.
        suffixes: lower-case file name endings that it answers for, with the dot.
    """

    name: str
    version: str
    suffixes: tuple[str, ...]

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        """Return text and title. The text need not be normalised.

        Raises:
            DocumentUnreadable: corrupt, encrypted, or not of this format.
        """
        ...


@runtime_checkable
class RecognisesContent(Protocol):
    """A parser of a format that can be told by its bytes, whatever the file is called."""

    def recognises(self, data: bytes) -> bool:
        """Return whether these bytes are of this format; cheap, and never raises."""
        ...


@runtime_checkable
class HoldsDocuments(Protocol):
    """A parser of a format whose documents hold documents of other formats, for which it asks their parsers."""

    holds_documents: bool
