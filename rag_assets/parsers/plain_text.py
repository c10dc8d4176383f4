"""Plain text, decoded."""

from rag_assets.records import ParsedDocument
from rag_assets.text.decoding import decode_text


class PlainTextParser:
    """Text as it is. No title."""

    name = "plain_text"
    version = "2"
    suffixes: tuple[str, ...] = (".txt", ".text")

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        del filename
        return ParsedDocument(text=decode_text(data))
