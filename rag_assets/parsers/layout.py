"""Layout of the text of formats without running text: tables, JSON, CSV.

A chunk may begin and end anywhere, so every value follows its label. And a value must not look like a heading or a
code fence, which would change the heading path of everything below it.
"""

import re
from collections.abc import Sequence

from rag_assets.text.headings import headings

MAX_LABEL_CHARACTERS = 100
"""A longer label is cut, because it is repeated: a header of a megabyte over a million rows would not be linear."""

_DEEPEST_HEADING = 6
_PROBE = "outside"
_MARK = re.compile(r"^ {0,3}(?=#{1,6}(?:[ \t]|$)|```|~~~)", re.MULTILINE)
_YEAR = re.compile(r"(?:19|20)\d\d")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def without_marks(text: str) -> str:
    """Return the text with a backslash before every line that looks like a heading or a fence."""
    return _MARK.sub(r"\g<0>\\", text)


def with_deeper_headings(text: str) -> str:
    """Return a text for a section below a first-level heading: its own headings one level deeper, its fences closed."""
    parts: list[str] = []
    end = 0
    for heading in headings(text):
        if heading.level < _DEEPEST_HEADING:
            mark = text.index("#", heading.start)
            parts += [text[end:mark], "#"]
            end = mark
    deeper = "".join(parts) + text[end:]
    # An open fence at the end would swallow the following text.
    closings = ("", *(f"\n{mark * length}" for mark in "`~" for length in range(3, 9)))
    closed = (deeper + closing for closing in closings)
    return next((one for one in closed if _ends_outside_fences(one)), without_marks(text))


def _ends_outside_fences(text: str) -> bool:
    found = headings(f"{text}\n# {_PROBE}")
    return bool(found) and found[-1].title == _PROBE


def one_line(text: str) -> str:
    """Return the words of a text with single spaces between them."""
    return " ".join(text.split())


def label(text: str) -> str:
    """Return a header or key as the label of its values."""
    return one_line(text).rstrip(":")[:MAX_LABEL_CHARACTERS]


def row_line(headers: Sequence[str], cells: Sequence[str]) -> str:
    """Return `header: value; header: value` without the empty cells. A cell without a header has no label."""
    return "; ".join(
        f"{headers[column]}: {cell}" if column < len(headers) and headers[column] else cell
        for column, cell in enumerate(cells)
        if cell
    )


def table_text(grid: Sequence[Sequence[str]], num_headers: int = 0) -> str:
    """Return the rows of a table in a text, one per line, without marks of headings.

    Args:
        num_headers: number of rows marked as header in the document. If it is 0, a first row of three or more columns
            may be recognized as a header.
    """
    if grid and not num_headers and len(grid[0]) > 2 and looks_like_header(grid[0]):
        num_headers = 1
    # With merged cells, the position of a cell in its row is not its column.
    if len(set(map(len, grid))) > 1 or num_headers == len(grid):
        num_headers = 0
    headers = [label(" ".join(dict.fromkeys(names))) for names in zip(*grid[:num_headers], strict=True)]
    return without_marks("\n".join(row_line(headers, cells) for cells in grid[num_headers:]))


def looks_like_header(cells: Sequence[str]) -> bool:
    """Return whether the first row names the columns: most are named, and no name looks like a value."""
    names = [cell for cell in cells if cell]
    return len(names) * 2 > len(cells) and not any(_looks_like_value(name) for name in names)


def _looks_like_value(cell: str) -> bool:
    """Return whether it is a number, a date or an address. Years are common as names of columns."""
    if "@" in cell or "://" in cell or _DATE.match(cell):
        return True
    is_number = any(map(str.isdigit, cell)) and not any(map(str.isalpha, cell))
    return is_number and not _YEAR.fullmatch(cell)
