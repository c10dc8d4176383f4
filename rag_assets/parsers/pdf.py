"""PDF by pypdf: the text layer of each page, as it is; no OCR.

A page that cannot be read fails the whole document: half of it must not replace its last good version.
"""

import io
import logging
from importlib.metadata import version

from rag_assets.errors import DocumentUnreadable
from rag_assets.records import ParsedDocument


class PdfParser:
    """Page texts, joined by a blank line. Lines end where they end on the page."""

    name = "pypdf"
    suffixes: tuple[str, ...] = (".pdf",)

    def __init__(self) -> None:
        self.version = f"1/{version('pypdf')}"

    def recognises(self, data: bytes) -> bool:
        """See `RecognisesContent`. Readers of PDF tolerate something before the mark."""
        return b"%PDF-" in data[:1024]

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        from pypdf import PasswordType, PdfReader
        from pypdf.errors import DependencyError, FileNotDecryptedError

        del filename
        # It warns about every oddity of a file, and quotes from it.
        logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)
        try:
            reader = PdfReader(io.BytesIO(data))
            if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
                raise DocumentUnreadable("encrypted", "It needs a password. Store it without one.")
            text = "\n\n".join(page.extract_text() for page in reader.pages)
        except DependencyError:
            raise DocumentUnreadable(
                "encrypted", "It is encrypted with AES. Install the package `cryptography` to read it."
            ) from None
        except FileNotDecryptedError:
            raise DocumentUnreadable("encrypted", "It needs a password. Store it without one.") from None
        if not text.strip():
            raise DocumentUnreadable("empty", "It has no text layer; if it is a scan, run OCR on it first.")
        return ParsedDocument(text=text, title=_title(reader.metadata))


def _title(metadata: object) -> str:
    try:
        title = getattr(metadata, "title", None)
    except Exception:  # metadata can be broken in any way, and is no reason to lose the text
        return ""
    return title if isinstance(title, str) else ""
