"""Parsers. One file per format, registered in `registry`. `parse_document` reads a document of any format."""

from rag_assets.parsers.parsed_text import ParsedText
from rag_assets.parsers.registry import parse_with, recognize


def parse_document(data: bytes, filename: str) -> ParsedText:
    """Return the normalized text of a document.

    Raises:
        DocumentUnreadable: for every defect of the document. Nothing else is raised because of its contents, and
            the error quotes none of them.
    """
    return parse_with(recognize(data, filename), data, filename)
