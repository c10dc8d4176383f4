"""From the bytes of one document to its normalized text, with one parser.

Here belongs the promise that a bad document raises `DocumentUnreadable` and nothing else. `rag_assets.parsers` chooses
the parser.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.values import NO_METADATA, Metadata
from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.base import AnyParser, ContainerParser
from rag_assets.parsers.nested import Budget, Parts, opened
from rag_assets.records import ParsedDocument
from rag_assets.text.normalization import normalize_text

_MAX_TITLE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class ParsedText:
    """Normalized text and metadata of one document, and the parser behind them. The text is never empty.

    Attributes:
        title: one line of at most 300 characters, or "".
    """

    text: str
    title: str
    parser_name: str
    parser_version: str
    metadata: Metadata = NO_METADATA


@dataclass(frozen=True, slots=True)
class Formats:
    """The choice of a parser for each document in a container. Parsers do not know one another.

    Attributes:
        recognize: bytes and file name -> parser.
        may_be_part: whether a file of this name is read at all.
    """

    recognize: Callable[[bytes, str], AnyParser]
    may_be_part: Callable[[str], bool]


def parsed_text(
    parser: AnyParser, data: bytes, filename: str, formats: Formats, outer: Budget | None = None
) -> ParsedText:
    """Return the normalized text of a document.

    Args:
        formats: for the documents in a container.
        outer: budget of the container around this document, if there is one.

    Raises:
        DocumentUnreadable: for every defect of the document. Nothing else is raised because of its contents, and
            the error quotes none of them.
    """
    if not data:
        raise DocumentUnreadable("empty", "The file has no bytes.")
    try:
        if isinstance(parser, ContainerParser):
            return checked_text(parser, _parsed_container(parser, data, filename, formats, outer))
        return checked_text(parser, parser.parse(data, filename))
    except DocumentUnreadable:
        raise
    except MemoryError:
        raise DocumentUnreadable("too_large", "There is not enough memory to parse it.") from None
    except BaseException as error:
        # A panic in a Rust library (resiliparse) arrives as a BaseException of this name.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        # Only the kind of error: its message may quote the document.
        detail = f"{parser.name} cannot read it ({type(error).__name__}). Open the file and save it again."
        raise DocumentUnreadable("corrupt", detail) from None


def _parsed_container(
    parser: ContainerParser, data: bytes, filename: str, formats: Formats, outer: Budget | None
) -> ParsedDocument:
    with opened(data, outer) as budget:

        def parse_part(part: bytes, name: str) -> ParsedDocument:
            parsed = parsed_text(formats.recognize(part, name), part, name, formats, budget)
            return ParsedDocument(text=parsed.text, title=parsed.title, metadata=parsed.metadata)

        return parser.parse_container(data, filename, Parts(budget, formats.may_be_part, parse_part))


def checked_text(parser: AnyParser, parsed: ParsedDocument) -> ParsedText:
    """Return text, title and metadata in their normal form.

    Raises:
        DocumentUnreadable: `empty`.
    """
    text = normalize_text(parsed.text)
    title = " ".join(normalize_text(parsed.title).split())[:_MAX_TITLE_CHARACTERS].strip()
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise DocumentUnreadable("empty", "It holds no text.")
    return ParsedText(text, title, parser.name, parser.version, normalized(parsed.metadata))


def require_text_size(num_bytes: int, limit_bytes: int) -> None:
    """Raises: DocumentUnreadable: the text of a document exceeds the limit, both in bytes of UTF-8."""
    if num_bytes > limit_bytes:
        detail = f"{num_bytes / 1e6:.0f} MB of text; the limit is {limit_bytes / 1e6:.0f} MB."
        raise DocumentUnreadable("too_large", detail)
