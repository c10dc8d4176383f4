"""The parsers, and the one way to use them: `parse_document`.

A new format is one file here and one line in `PARSERS`.
"""

from dataclasses import dataclass

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.base import Parser
from rag_assets.parsers.csv import CsvParser
from rag_assets.parsers.docx import DocxParser
from rag_assets.parsers.html import HtmlParser
from rag_assets.parsers.json import JsonParser
from rag_assets.parsers.json_lines import JsonLinesParser
from rag_assets.parsers.markdown import MarkdownParser
from rag_assets.parsers.pdf import PdfParser
from rag_assets.parsers.plain_text import PlainTextParser
from rag_assets.text_normalization import normalize_text

PARSERS: tuple[Parser, ...] = (
    PdfParser(),
    DocxParser(),
    HtmlParser(),
    MarkdownParser(),
    PlainTextParser(),
    JsonParser(),
    JsonLinesParser(),
    CsvParser(),
)

_MAX_TITLE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class ParsedText:
    """Normalised text of one document, never empty, and what made it.

    Attributes:
        title: one line of at most 300 characters, or "".
    """

    text: str
    title: str
    parser_name: str
    parser_version: str


def supported_suffixes() -> frozenset[str]:
    """Return all file name endings that a parser answers for, lower case, with the dot."""
    return frozenset(suffix for parser in PARSERS for suffix in parser.suffixes)


def parser_for(filename: str) -> Parser | None:
    """Return the parser for a file of this name; None if there is none."""
    name = filename.lower()
    return next((parser for parser in PARSERS if name.endswith(parser.suffixes)), None)


def parse_document(data: bytes, filename: str) -> ParsedText:
    """Return the normalised text of a document.

    Raises:
        DocumentUnreadable: whatever is wrong with the document. Nothing else is raised because of its
            contents, and the error holds none of them.
    """
    parser = parser_for(filename)
    if parser is None:
        known = ", ".join(sorted(supported_suffixes()))
        raise DocumentUnreadable(
            "not_text", f"No parser for a file of this kind; there are some for {known}."
        )
    if not data:
        raise DocumentUnreadable("empty", "The file has no bytes.")
    try:
        parsed = parser.parse(data, filename)
        text = normalize_text(parsed.text)
        title = " ".join(normalize_text(parsed.title).split())[:_MAX_TITLE_CHARACTERS].strip()
    except DocumentUnreadable:
        raise
    except MemoryError:
        raise DocumentUnreadable("too_large", "There is not enough memory to parse it.") from None
    except BaseException as error:
        # A panic in a Rust library (resiliparse) arrives as a BaseException of this name.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        # Only the kind of error: its message may quote the document.
        detail = f"{parser.name} cannot read it ({type(error).__name__}). Open it, and save it anew."
        raise DocumentUnreadable("corrupt", detail) from None
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise DocumentUnreadable("empty", "It holds no text.")
    return ParsedText(text, title, parser.name, parser.version)
