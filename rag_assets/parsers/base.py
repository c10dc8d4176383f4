"""The protocols of the parsers."""

from typing import Protocol, runtime_checkable

from rag_assets.parsers.nested import Parts
from rag_assets.records import ParsedDocument


class Format(Protocol):
    """The identity of a parser.

    Attributes:
        name: stable, recorded with each document.
        version: raise it whenever the same bytes may give another text. Documents are then parsed again.
        suffixes: lower-case file name endings of the format, with the dot.
    """

    name: str
    version: str
    suffixes: tuple[str, ...]


class Parser(Format, Protocol):
    """Turns the bytes of one format into text.

    Runs in a separate process with limits on time and memory, and is killed when it exceeds them. Import heavy packages
    in `parse`, not with the module.
    """

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        """Return text and title. The text need not be normalized.

        Raises:
            DocumentUnreadable: corrupt, encrypted, or of another format.
        """
        ...


@runtime_checkable
class ContainerParser(Format, Protocol):
    """A parser of a format whose documents hold documents of other formats, such as archives and mails."""

    def parse_container(self, data: bytes, filename: str, parts: Parts) -> ParsedDocument:
        """As `Parser.parse`, with the means to read the documents inside."""
        ...


AnyParser = Parser | ContainerParser


@runtime_checkable
class RecognizesContent(Protocol):
    """A parser that can tell its format by the bytes, under any file name."""

    def recognizes(self, data: bytes) -> bool:
        """Return whether these bytes are of this format. Cheap, and never raises."""
        ...
