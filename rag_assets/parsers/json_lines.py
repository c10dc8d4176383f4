"""JSON Lines: one block per record, in the layout of `json`.

An unreadable line fails the whole document: half of it must not replace its last good version.
"""

from rag_assets.parsers.json import load_json, record_blocks
from rag_assets.records import ParsedDocument
from rag_assets.text.decoding import decode_text


class JsonLinesParser:
    """The records in order, each under its `title` or `name` if it has one. The document has no title."""

    name = "json_lines"
    version = "1"
    suffixes: tuple[str, ...] = (".jsonl", ".ndjson")

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        del filename
        records = (
            load_json(line, line=number)
            # Not `splitlines`: a JSON string may hold U+2028 and similar characters.
            for number, line in enumerate(decode_text(data).split("\n"), start=1)
            if line.strip()
        )
        return ParsedDocument(text="\n\n".join(record_blocks(records, heading_level=1)))
