"""Sheets of a workbook as paragraphs, one per row, for both Excel and OpenDocument.

Here belongs the recognition of tables, their headers and the lines above them. Unlike a CSV file, a sheet may hold
several tables.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.layout import label, looks_like_header, one_line, row_line, without_marks

MAX_CELLS = 2_000_000
"""Non-empty cells in a workbook: 100,000 rows of 20 columns."""


class CellBudget:
    """The number of cells allowed in a workbook."""

    def __init__(self) -> None:
        self._left = MAX_CELLS

    def take(self, num_cells: int) -> None:
        """Count cells with a value.

        Raises:
            DocumentUnreadable: `too_large`.
        """
        self._left -= num_cells
        if self._left < 0:
            raise DocumentUnreadable(
                "too_large", f"It has more than {MAX_CELLS:,} cells with a value. Split it."
            )


def sheet_blocks(name: str, rows: Iterable[Sequence[str]], budget: CellBudget) -> list[str]:
    """Return the name of a sheet as a heading and a block for each row, or nothing for an empty sheet.

    Args:
        rows: the displayed values of each row from the first column on, "" for an empty cell.
    """
    blocks: list[str] = []
    headers: list[str] = []
    names: Sequence[str] | None = None  # the header, until its first row has come
    expects_header = at_top = True
    for cells, after_gap, following in _with_following(rows):
        num_values = sum(map(bool, cells))
        budget.take(num_values)
        if after_gap and _begins_table(cells, following):
            expects_header = True
        if expects_header and num_values == 1:
            blocks.append(without_marks("".join(cells)))
            continue
        if expects_header and looks_like_header(_occupied(cells)) and (at_top or following):
            if names is not None:
                blocks.append(without_marks(row_line([], names)))
            names, headers = cells, [label(cell) for cell in cells]
        else:
            headers = [] if expects_header else headers
            blocks.append(without_marks(row_line(headers, cells)))
            names = None
        expects_header = at_top = False
    if names is not None:
        blocks.append(without_marks(row_line([], names)))
    return [f"## {one_line(name)}", *blocks] if blocks else []


def _begins_table(cells: Sequence[str], following: Sequence[str]) -> bool:
    """Return whether the row below a gap is a header: it looks like one, and the next row does not.

    The values below must not get the names of the table above. And a gap within a table must not end it.
    """
    occupied = _occupied(cells)
    return (
        len(occupied) > 1
        and all(occupied)
        and looks_like_header(occupied)
        and bool(following)
        and not looks_like_header(_occupied(following))
    )


def _occupied(cells: Sequence[str]) -> Sequence[str]:
    """Return the cells from the first value to the last."""
    places = [place for place, cell in enumerate(cells) if cell]
    return cells[places[0] : places[-1] + 1] if places else []


def _with_following(rows: Iterable[Sequence[str]]) -> Iterator[tuple[Sequence[str], bool, Sequence[str]]]:
    """Yield each non-empty row, whether the row directly above is empty, and the row directly below."""
    above: Sequence[str] = ()
    row: Sequence[str] = ()
    for below in chain(rows, [()]):
        if any(row):
            yield row, not any(above), below if any(below) else ()
        above, row = row, below
