"""What every parser offers."""

from typing import Protocol

from rag_assets.records import ParsedDocument


class Parser(Protocol):
    """Turns the bytes of one format into text.

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
