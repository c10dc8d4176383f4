"""The parsers, and the one way to use them: `parse_document`.

A new format is one file here and one line in `PARSERS`.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.archive import ArchiveParser
from rag_assets.parsers.audio import AudioParser
from rag_assets.parsers.base import AsksModel, HoldsDocuments, Parser, RecognisesContent
from rag_assets.parsers.csv import CsvParser
from rag_assets.parsers.docx import DocxParser
from rag_assets.parsers.email import EmailParser
from rag_assets.parsers.epub import EpubParser
from rag_assets.parsers.html import HtmlParser
from rag_assets.parsers.image import ImageParser
from rag_assets.parsers.json import JsonParser
from rag_assets.parsers.json_lines import JsonLinesParser
from rag_assets.parsers.markdown import MarkdownParser
from rag_assets.parsers.odf import OdfParser
from rag_assets.parsers.old_office import OldOfficeParser
from rag_assets.parsers.pdf import PdfParser
from rag_assets.parsers.plain_text import PlainTextParser
from rag_assets.parsers.pptx import PptxParser
from rag_assets.parsers.restructured_text import RestructuredTextParser
from rag_assets.parsers.rtf import RtfParser
from rag_assets.parsers.subtitles import SubtitleParser
from rag_assets.parsers.xlsx import XlsxParser
from rag_assets.parsers.xml import XmlParser
from rag_assets.records import ParsedDocument
from rag_assets.text.normalization import normalize_text

PARSERS: tuple[Parser, ...] = (
    PdfParser(),
    DocxParser(),
    PptxParser(),
    XlsxParser(),
    OdfParser(),
    EpubParser(),
    RtfParser(),
    HtmlParser(),
    MarkdownParser(),
    PlainTextParser(),
    JsonParser(),
    JsonLinesParser(),
    CsvParser(),
    OldOfficeParser(),
    RestructuredTextParser(),
    XmlParser(),
    EmailParser(),
    SubtitleParser(),
    ArchiveParser(),
    AudioParser(),
    ImageParser(),
)

_PLAIN_TEXT = next(parser for parser in PARSERS if isinstance(parser, PlainTextParser))
# Under a name that is known they are not looked for: Markdown may begin with HTML, and what passes for a Word document
# but is another ZIP archive is for the parser of Word, which says so.
_LOOKED_FOR_UNDER_VAGUE_NAMES = (HtmlParser, XmlParser, EmailParser, ArchiveParser)
_VAGUE_NAMES = (PlainTextParser, XmlParser)
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
    return frozenset(_suffixes_of(PARSERS))


def may_be_document(filename: str) -> bool:
    """Return whether a file of this name is worth reading: its ending is known, or it has none."""
    name = filename.rpartition("/")[2].lower()
    return "." not in name.strip(".") or name.endswith(_suffixes_of(PARSERS))


def may_be_part(filename: str) -> bool:
    """As `may_be_document`, of a file in an archive or a mail, where no model is asked."""
    return may_be_document(filename) and asks_by_name(filename) is None


def asks_by_name(filename: str) -> AsksModel | None:
    """Return the parser of a file that only a model can read, as far as its name tells."""
    name = filename.lower()
    return next((parser for parser in _asking(PARSERS) if name.endswith(parser.suffixes)), None)


@cache
def _asking(parsers: tuple[Parser, ...]) -> tuple[AsksModel, ...]:
    return tuple(parser for parser in parsers if isinstance(parser, AsksModel))


@cache
def _suffixes_of(parsers: tuple[Parser, ...]) -> tuple[str, ...]:
    return tuple(suffix for parser in parsers for suffix in parser.suffixes)


def recognise(data: bytes, filename: str) -> Parser:
    """Return the parser for these bytes.

    What the bytes say goes before what the name says, but for formats that begin like others, which are looked for
    under names that say little. Everything else is for the parser of plain text, which refuses what is none.
    """
    name = filename.lower()
    named = next((parser for parser in PARSERS if name.endswith(parser.suffixes)), _PLAIN_TEXT)
    for parser in PARSERS:
        if not isinstance(parser, RecognisesContent) or not parser.recognises(data):
            continue
        if not isinstance(parser, _LOOKED_FOR_UNDER_VAGUE_NAMES) or isinstance(named, _VAGUE_NAMES):
            return parser
    return named


def parser_named(name: str) -> Parser | None:
    """Return the parser of this name, whatever it reads."""
    return next((parser for parser in PARSERS if parser.name == name), None)


def version_of(parser: Parser, *, quarantined: bool = False) -> str:
    """Return the version that is recorded with what a parser made of a document.

    What it could not use may be of a format for which a parser came later: then the formats are part of it. What
    holds documents of other formats depends on all of them.
    """
    if isinstance(parser, HoldsDocuments):
        read_inside = (inner for inner in PARSERS if not isinstance(inner, AsksModel))
        formats = ",".join(sorted(f"{inner.name} {inner.version}" for inner in read_inside))
    elif quarantined:
        formats = ",".join(sorted(inner.name for inner in PARSERS))
    else:
        return parser.version
    return f"{parser.version}+{hashlib.sha256(formats.encode()).hexdigest()[:8]}"


def parse_document(data: bytes, filename: str) -> ParsedText:
    """Return the normalised text of a document.

    Raises:
        DocumentUnreadable: whatever is wrong with the document. Nothing else is raised because of its
            contents, and the error holds none of them.
    """
    return parse_with(recognise(data, filename), data, filename)


def parse_with(parser: Parser, data: bytes, filename: str) -> ParsedText:
    """As `parse_document`, with this parser."""
    if not data:
        raise DocumentUnreadable("empty", "The file has no bytes.")
    try:
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
        detail = f"{parser.name} cannot read it ({type(error).__name__}). Open it, and save it anew."
        raise DocumentUnreadable("corrupt", detail) from None


def checked_text(parser: Parser, parsed: ParsedDocument) -> ParsedText:
    """Return text and title in their normal form.

    Raises:
        DocumentUnreadable: `empty`.
    """
    text = normalize_text(parsed.text)
    title = " ".join(normalize_text(parsed.title).split())[:_MAX_TITLE_CHARACTERS].strip()
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise DocumentUnreadable("empty", "It holds no text.")
    return ParsedText(text, title, parser.name, parser.version)


def require_text_size(num_bytes: int, limit_bytes: int) -> None:
    """Raises: DocumentUnreadable: a text is longer, as UTF-8, than that of a document may be."""
    if num_bytes > limit_bytes:
        detail = f"{num_bytes / 1e6:.0f} MB of text; the limit is {limit_bytes / 1e6:.0f} MB."
        raise DocumentUnreadable("too_large", detail)
