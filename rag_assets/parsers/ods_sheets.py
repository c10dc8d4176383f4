"""The sheets of an OpenDocument spreadsheet, read as a stream, with the values as displayed when the file was saved."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO
from xml.etree import ElementTree

from rag_assets.parsers.layout import one_line
from rag_assets.parsers.odf_names import OFFICE, STYLE, TABLE, TEXT
from rag_assets.parsers.sheets import CellBudget, sheet_blocks

Element = ElementTree.Element
Events = Iterator[tuple[str, Element]]

_MAX_COLUMNS = 16_384
_VALUES = tuple(
    f"{OFFICE}{name}" for name in ("string-value", "date-value", "time-value", "boolean-value", "value")
)


def spreadsheet_blocks(content: IO[bytes]) -> list[str]:
    """Return the blocks of all visible sheets.

    Args:
        content: `content.xml`, checked.

    Raises:
        DocumentUnreadable: `too_large`.
    """
    events: Events = iter(ElementTree.iterparse(content, ("start", "end")))  # noqa: S314  checked
    budget = CellBudget()
    hidden: set[str | None] = set()
    blocks: list[str] = []
    for event, element in events:
        if event == "end" and element.tag == f"{STYLE}style":
            properties = element.find(f"{STYLE}table-properties")
            if properties is not None and properties.get(f"{TABLE}display") == "false":
                hidden.add(element.get(f"{STYLE}name"))
        elif event == "start" and element.tag == f"{TABLE}table":
            rows = _rows(events, element)
            if element.get(f"{TABLE}style-name") in hidden:
                deque(rows, maxlen=0)
            else:
                blocks += sheet_blocks(element.get(f"{TABLE}name", ""), rows, budget)
    return blocks


def _rows(events: Events, table: Element) -> Iterator[Sequence[str]]:
    """Yield the rows of a table up to its end, and release the memory of each row."""
    within = [table]
    spans: dict[int, tuple[int, str]] = {}  # column -> last row and text of a cell over several rows
    row_number = 0
    for event, element in events:
        if event == "start":
            within.append(element)
            continue
        within.pop()
        if not within:
            return
        is_of_inner_table = any(outer.tag == f"{TABLE}table" for outer in within[1:])
        if element.tag == f"{TABLE}table-row" and not is_of_inner_table:
            row_number += 1
            cells = _cells(element, row_number, spans)
            times = _number(element.get(f"{TABLE}number-rows-repeated"))
            row_number += times - 1
            for _ in range(times if any(cells) else 1):
                yield cells
            del within[-1][:]


def _cells(row: Element, row_number: int, spans: dict[int, tuple[int, str]]) -> Sequence[str]:
    cells: list[str] = []
    num_empty = 0
    covered: list[int] = []
    for cell in row:
        text = _shown(cell)
        times = min(
            _number(cell.get(f"{TABLE}number-columns-repeated")), _MAX_COLUMNS - len(cells) - num_empty
        )
        column = len(cells) + num_empty
        if cell.tag == f"{TABLE}covered-table-cell":
            covered.append(column)
        if not text:
            num_empty += times
            continue
        cells += [""] * num_empty + [text] * times
        num_empty = 0
        if (num_rows := _number(cell.get(f"{TABLE}number-rows-spanned"))) > 1:
            spans[column] = row_number + num_rows - 1, text
    # A value over several rows is repeated in each row with another value.
    for column in covered if cells else ():
        last_row, text = spans.get(column, (0, ""))
        if row_number <= last_row:
            cells += [""] * (column + 1 - len(cells))
            cells[column] = cells[column] or text
    return cells


def _shown(cell: Element) -> str:
    paragraphs = (one_line("".join(_texts(paragraph))) for paragraph in cell.iterfind(f"{TEXT}p"))
    text = " ".join(filter(None, paragraphs))
    return text or next(filter(None, (cell.get(value, "") for value in _VALUES)), "")


def _texts(element: Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        if child.tag in (f"{TEXT}s", f"{TEXT}tab"):
            yield " "
        elif child.tag != f"{OFFICE}annotation":
            yield from _texts(child)
        yield child.tail or ""


def _number(value: str | None) -> int:
    """Return the declared number of repetitions, 1 without a declaration."""
    return max(int(value), 1) if value and value.isdecimal() and len(value) < 10 else 1
