"""PDF by pdfium, or by pypdf if pdfium refuses a file: the text layer of each page, in the order of the file.

Scanned pages go to `parsers.ocr` if tesseract is installed. An unreadable page fails the whole document: half of it
must not replace its last good version.
"""

import io
import logging
import re
from importlib.metadata import version
from typing import TYPE_CHECKING

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.ocr import is_installed as ocr_is_installed
from rag_assets.parsers.ocr import recognize_page
from rag_assets.parsers.pdf_properties import pdf_properties
from rag_assets.records import ParsedDocument

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

MAX_PAGES = 20_000

_HYPHEN_AT_LINE_END = "\ufffe"  # pdfium puts it in place of a hyphen at the end of a line
_DIVIDED = re.compile(rf"(\w+){_HYPHEN_AT_LINE_END}(\w+)")
_COMPOUND = re.compile(r"\w+-\w+")
_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
# Without one of them near its end a file is truncated. pdfium reads truncated files made for the web without an error:
# of 40 files cut at 90 % of their bytes, 29 came out without their last pages.
_END_MARKS = (b"%%EOF", b"startxref")
_MOST_BYTES_AFTER_THE_END = 64 * 1024


class PdfParser:
    """Page texts, joined by a blank line. Lines end as on the page, and divided words are joined."""

    name = "pdf"
    suffixes: tuple[str, ...] = (".pdf",)

    def __init__(self) -> None:
        parts = ["3", version("pypdfium2"), version("pypdf"), *(["ocr"] if ocr_is_installed() else [])]
        self.version = "/".join(parts)

    def recognizes(self, data: bytes) -> bool:
        """See `RecognizesContent`. PDF readers tolerate other bytes before the mark."""
        return b"%PDF-" in data[:1024]

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        from pypdfium2 import PdfDocument, PdfiumError
        from pypdfium2.raw import FPDF_ERR_PASSWORD

        del filename
        if not any(mark in data[-_MOST_BYTES_AFTER_THE_END:] for mark in _END_MARKS):
            raise DocumentUnreadable("corrupt", "Its end is missing.")
        try:
            with PdfDocument(data) as document:
                pages, fields = _read_with_pdfium(document)
        except PdfiumError as error:
            if error.err_code == FPDF_ERR_PASSWORD:
                raise _needs_password() from None
            pages, fields = _read_with_pypdf(data)
        text = _whole_words("\n\n".join(pages)).translate(_LIGATURES)
        if not text.strip():
            raise DocumentUnreadable("empty", _why_empty())
        metadata = pdf_properties(data, fields)
        return ParsedDocument(text=text, title=fields.get("Title", ""), metadata=metadata)


def _read_with_pdfium(document: "PdfDocument") -> tuple[list[str], dict[str, str]]:
    _check_number_of_pages(len(document))
    pages: list[str] = []
    for page in document:
        text_layer = page.get_textpage()
        # Not get_text_bounded: it loses the spaces between some words.
        text = text_layer.get_text_range()
        if not text.strip() and ocr_is_installed() and _shows_a_picture(page):
            text = recognize_page(page)
        pages.append(text)
        text_layer.close()
        page.close()
    return pages, document.get_metadata_dict(skip_empty=True)


def _why_empty() -> str:
    if ocr_is_installed():
        return "It has no text layer, and OCR finds no text in it."
    return "It has no text layer; if it is a scan, install tesseract-ocr, or run OCR on it first."


def _shows_a_picture(page: "PdfPage") -> bool:
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    return any(page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE], max_depth=3))


def _read_with_pypdf(data: bytes) -> tuple[list[str], dict[str, str]]:
    from pypdf import PasswordType, PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    # pypdf warns about every oddity of a file, and quotes from the file.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise _needs_password()
        _check_number_of_pages(len(reader.pages))
        return [page.extract_text() for page in reader.pages], {"Title": _title(reader)}
    except DependencyError:
        raise DocumentUnreadable(
            "encrypted", "It is encrypted with AES. Install the package `cryptography` to read it."
        ) from None
    except FileNotDecryptedError:
        raise _needs_password() from None


def _title(reader: object) -> str:
    try:
        title = getattr(getattr(reader, "metadata", None), "title", None)
    except Exception:  # broken metadata is no reason to lose the text
        return ""
    return title if isinstance(title, str) else ""


def _check_number_of_pages(num_pages: int) -> None:
    if num_pages > MAX_PAGES:
        raise DocumentUnreadable("too_large", f"It has more than {MAX_PAGES:,} pages. Split it.")


def _needs_password() -> DocumentUnreadable:
    return DocumentUnreadable("encrypted", "It needs a password. Store it without one.")


def _whole_words(text: str) -> str:
    """Join words divided at the end of a line.

    A hyphen stays if the document has the hyphenated word elsewhere, or if no small letter follows the hyphen.
    """
    if _HYPHEN_AT_LINE_END not in text:
        return text
    compounds = set(_COMPOUND.findall(text))

    def joined(match: re.Match[str]) -> str:
        left, right = match.groups()
        is_compound = f"{left}-{right}" in compounds or not right[0].islower()
        return f"{left}-{right}" if is_compound else left + right

    # Twice, for words divided twice.
    return _DIVIDED.sub(joined, _DIVIDED.sub(joined, text)).replace(_HYPHEN_AT_LINE_END, "-")
