"""Plain text: decoding is all there is to do."""

from rag_assets.records import ParsedDocument
from rag_assets.text.decoding import decode_text


class PlainTextParser:
    """Text as it is. It has no title."""

    name = "plain_text"
    version = "2"
    suffixes: tuple[str, ...] = (".txt", ".text")

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        del filename
        return ParsedDocument(text=decode_text(data))
