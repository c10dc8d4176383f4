"""The registry of parsers, and the choice of a parser for a document.

A new format is one file in this folder and one line in `PARSERS`. `parsed_text` runs a
parser.
"""

import hashlib
from functools import cache

from rag_assets.parsers.archive import ArchiveParser
from rag_assets.parsers.audio import AudioParser
from rag_assets.parsers.base import AnyParser, ContainerParser, RecognizesContent
from rag_assets.parsers.csv import CsvParser
from rag_assets.parsers.docx import DocxParser
from rag_assets.parsers.email import EmailParser
from rag_assets.parsers.epub import EpubParser
from rag_assets.parsers.html import HtmlParser
from rag_assets.parsers.image import ImageParser
from rag_assets.parsers.json import JsonParser
from rag_assets.parsers.json_lines import JsonLinesParser
from rag_assets.parsers.markdown import MarkdownParser
from rag_assets.parsers.media import AsksModel
from rag_assets.parsers.odf import OdfParser
from rag_assets.parsers.old_office import OldOfficeParser
from rag_assets.parsers.parsed_text import Formats, ParsedText, parsed_text
from rag_assets.parsers.pdf import PdfParser
from rag_assets.parsers.plain_text import PlainTextParser
from rag_assets.parsers.pptx import PptxParser
from rag_assets.parsers.restructured_text import RestructuredTextParser
from rag_assets.parsers.rtf import RtfParser
from rag_assets.parsers.subtitles import SubtitleParser
from rag_assets.parsers.xlsx import XlsxParser
from rag_assets.parsers.xml import XmlParser

PARSERS: tuple[AnyParser, ...] = (
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
# Under a known name these formats are not looked for. Markdown may begin with HTML, and another kind of ZIP archive
# named .docx goes to the Word parser, which reports the mistake.
_LOOKED_FOR_UNDER_VAGUE_NAMES = (HtmlParser, XmlParser, EmailParser, ArchiveParser)
_VAGUE_NAMES = (PlainTextParser, XmlParser)


def supported_suffixes() -> frozenset[str]:
    """Return the file name endings of all parsers, lower case, with the dot."""
    return frozenset(_suffixes_of(PARSERS))


def may_be_document(filename: str) -> bool:
    """Return whether a file of this name is worth reading: its ending is known, or it has none."""
    name = filename.rpartition("/")[2].lower()
    return "." not in name.strip(".") or name.endswith(_suffixes_of(PARSERS))


def may_be_part(filename: str) -> bool:
    """As `may_be_document`, of a file in an archive or a mail, where no model is asked."""
    return may_be_document(filename) and asks_by_name(filename) is None


def asks_by_name(filename: str) -> AsksModel | None:
    """Return the parser that asks a model for files of this name, None for other names."""
    name = filename.lower()
    return next((parser for parser in _asking(PARSERS) if name.endswith(parser.suffixes)), None)


@cache
def _asking(parsers: tuple[AnyParser, ...]) -> tuple[AsksModel, ...]:
    return tuple(parser for parser in parsers if isinstance(parser, AsksModel))


@cache
def _suffixes_of(parsers: tuple[AnyParser, ...]) -> tuple[str, ...]:
    return tuple(suffix for parser in parsers for suffix in parser.suffixes)


def recognize(data: bytes, filename: str) -> AnyParser:
    """Return the parser for these bytes.

    The bytes decide before the name. Formats without an unmistakable beginning are looked for only under vague names.
    Everything else goes to the parser of plain text, which refuses binary data.
    """
    name = filename.lower()
    named = next((parser for parser in PARSERS if name.endswith(parser.suffixes)), _PLAIN_TEXT)
    for parser in PARSERS:
        if not isinstance(parser, RecognizesContent) or not parser.recognizes(data):
            continue
        if not isinstance(parser, _LOOKED_FOR_UNDER_VAGUE_NAMES) or isinstance(named, _VAGUE_NAMES):
            return parser
    return named


def parser_named(name: str) -> AnyParser | None:
    """Return the parser of this name, None if it is unknown."""
    return next((parser for parser in PARSERS if parser.name == name), None)


def version_of(parser: AnyParser, *, quarantined: bool = False) -> str:
    """Return the version to record with a parser's result.

    A quarantined document may have a format whose parser comes later: its version includes the names of all formats.
    A container depends on the parsers of all documents in it.
    """
    if isinstance(parser, ContainerParser):
        read_inside = (inner for inner in PARSERS if not isinstance(inner, AsksModel))
        formats = ",".join(sorted(f"{inner.name} {inner.version}" for inner in read_inside))
    elif quarantined:
        formats = ",".join(sorted(inner.name for inner in PARSERS))
    else:
        return parser.version
    return f"{parser.version}+{hashlib.sha256(formats.encode()).hexdigest()[:8]}"


def parse_with(parser: AnyParser, data: bytes, filename: str) -> ParsedText:
    """As `rag_assets.parsers.parse_document`, with this parser."""
    return parsed_text(parser, data, filename, Formats(recognize, may_be_part))
