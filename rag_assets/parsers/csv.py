"""CSV and TSV: one paragraph a row, each value with the header of its column.

Delimiter and header row are found in the content: the same bytes give the same text under any file name.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from itertools import chain

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.layout import label, looks_like_header, one_line, row_line, without_marks
from rag_assets.records import ParsedDocument
from rag_assets.text.decoding import decode_text

_DELIMITERS = (",", ";", "\t", "|")
_NO_DELIMITER = "\x1f"
_SAMPLE_CHARACTERS = 64 * 1024
_END = "\0"  # never in a decoded text


class CsvParser:
    """`header: value; header: value`, or the values alone if the first row holds values as well.

    Lines of one cell above the table are paragraphs of their own. No title.
    """

    name = "csv"
    version = "1"
    suffixes: tuple[str, ...] = (".csv", ".tsv")

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        del filename
        text = decode_text(data)
        declared = _declared_delimiter(text)
        delimiter, width = (declared, 2) if declared else _likely_delimiter(text)
        rows = _rows(text, delimiter)
        if declared:
            next(rows)
        paragraphs: list[str] = []
        headers: list[str] | None = None
        num_rows = 0
        for row in rows:
            cells = [one_line(cell) for cell in row]
            if not any(cells):
                continue
            if headers is None and width > 1 and sum(map(bool, cells)) == 1:
                paragraphs.append("".join(cells))
            elif headers is None and looks_like_header(cells):
                headers = [label(cell) for cell in cells]
            else:
                headers = headers or []
                paragraphs.append(row_line(headers, cells))
                num_rows += 1
        if headers and not num_rows:
            paragraphs.append(row_line([], headers))
        return ParsedDocument(text=without_marks("\n\n".join(paragraphs)))


def _declared_delimiter(text: str) -> str:
    """Return the delimiter declared by a first line `sep=;`, as in Excel, "" without such a line."""
    first_line = text[:8].partition("\n")[0].rstrip("\r")
    return first_line[4] if len(first_line) == 5 and first_line.lower().startswith("sep=") else ""


def _likely_delimiter(text: str) -> tuple[str, int]:
    """Return the delimiter with the most regular rows, and their number of columns.

    `csv.Sniffer` is not used: it takes letters for delimiters, and its patterns are slow on hostile quotes.
    """
    best, best_score = (_NO_DELIMITER, 1), (0.5, 0)
    for delimiter in _DELIMITERS:
        reader = csv.reader(io.StringIO(text[:_SAMPLE_CHARACTERS], newline=""), delimiter=delimiter)
        widths = Counter(len(row) for row in reader if row)
        num_rows = widths.total()
        del widths[1]
        if widths:
            width, agreeing = max(widths.items(), key=lambda item: (item[1], item[0]))
            # Of two regular delimiters take the one with more columns: decimal commas are regular too.
            score = (agreeing / num_rows, width)
            if score > best_score:
                best, best_score = (delimiter, width), score
    return best


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Yield the rows.

    Raises:
        DocumentUnreadable: `corrupt`: an unclosed quotation mark would swallow the rest of the file.
    """
    reader = csv.reader(chain(io.StringIO(text, newline=""), [_END]), delimiter=delimiter)
    line = 1
    try:
        for row in reader:
            if row == [_END]:
                return
            if row and row[-1].endswith(_END):
                break
            yield row
            line = reader.line_num + 1
    except csv.Error:
        pass
    raise DocumentUnreadable(
        "corrupt",
        f"The row that begins at line {line} does not end: a quotation mark is not closed, or a field has more "
        f"than {csv.field_size_limit()} characters.",
    )
