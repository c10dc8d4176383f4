"""Excel workbooks (.xlsx) by openpyxl: the visible sheets, one paragraph per row, with the displayed values.

Read as a stream. Nothing is calculated: a formula has the value stored by Excel. python-calamine is nine times as fast
but was not chosen: it does not distinguish 12.5% from 0.125.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from rag_assets.parsers.cell_format import shown
from rag_assets.parsers.office_properties import office_properties
from rag_assets.parsers.old_office import refuse_ole
from rag_assets.parsers.sheets import CellBudget, sheet_blocks
from rag_assets.parsers.zip_container import CORE_PROPERTIES, ZipContainer, holds_office_part
from rag_assets.records import ParsedDocument

MAX_XML_BYTES = 256 * 1024 * 1024
"""Unpacked size of all parts read."""
MAX_XML_NODES = 12_000_000
"""Elements and attributes: some 2,000,000 cells."""

# Not needed for the values, and openpyxl may fail on them.
_LEFT_OUT = (
    *("docProps/", "customXml/", "xl/chartsheets/", "xl/charts/", "xl/drawings/", "xl/externalLinks/"),
    *("xl/pivot", "xl/theme/", "xl/comments", "xl/threadedComments/", "xl/tables/", "xl/queryTables/"),
)

MergedRange = tuple[int, int, int]
"""First row, last row, first column, counted from 1."""


class XlsxParser:
    """Title: from the properties."""

    name = "xlsx"
    suffixes: tuple[str, ...] = (".xlsx", ".xlsm")

    def __init__(self) -> None:
        self.version = f"2/{version('openpyxl')}"

    def recognizes(self, data: bytes) -> bool:
        """See `RecognizesContent`."""
        return holds_office_part(data, "xl/")

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        from openpyxl import load_workbook
        from openpyxl.worksheet._read_only import ReadOnlyWorksheet

        refuse_ole(data, filename)
        container = ZipContainer(data)
        names = [name for name in container.xml_names if not name.startswith(_LEFT_OUT)]
        merged: dict[str, list[MergedRange]] = defaultdict(list)

        values = CellBudget()  # counted in advance: reading takes far longer than counting

        def note(part: str, element: str, attributes: dict[str, str]) -> None:
            name = element.rpartition(":")[2]
            if name in ("v", "is"):
                values.take(1)
            elif name == "mergeCell" and (merged_range := _merged_range(attributes.get("ref", ""))):
                merged[part].append(merged_range)

        title_parts = [CORE_PROPERTIES] if CORE_PROPERTIES in container else []
        container.check_xml(
            [*names, *title_parts], max_bytes=MAX_XML_BYTES, max_nodes=MAX_XML_NODES, on_element=note
        )
        budget = CellBudget()
        blocks: list[str] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings quote the workbook
            workbook = load_workbook(container.copy(names), read_only=True, data_only=True, keep_links=False)
            for sheet in workbook.worksheets:
                if isinstance(sheet, ReadOnlyWorksheet) and sheet.sheet_state == "visible":
                    sheet.reset_dimensions()  # the declared dimensions are often wrong
                    part: str = getattr(sheet, "_worksheet_path", "")
                    rows = _filled_down(_shown_rows(sheet), merged[part])
                    blocks += sheet_blocks(sheet.title, rows, budget)
        title = container.title_in(CORE_PROPERTIES)
        return ParsedDocument(text="\n\n".join(blocks), title=title, metadata=office_properties(container))


def _shown_rows(sheet: Any) -> Iterator[list[str]]:
    for row in sheet.iter_rows():
        yield ["" if cell.value is None else shown(cell.value, cell.number_format) for cell in row]


def _merged_range(reference: str) -> MergedRange | None:
    """Return a range over several rows, None for any other text."""
    from openpyxl.utils.cell import range_boundaries

    try:
        first_column, first_row, _, last_row = range_boundaries(reference)
    except (ValueError, TypeError):
        return None
    if not (first_column and first_row and last_row) or last_row <= first_row:
        return None
    return first_row, last_row, first_column


def _filled_down(rows: Iterator[list[str]], merged: list[MergedRange]) -> Iterator[Sequence[str]]:
    """Yield the rows. A value merged over several rows is repeated in each row with another value."""
    waiting = sorted(merged, reverse=True)
    open_ranges: dict[int, tuple[int, str]] = {}
    for number, cells in enumerate(rows, 1):
        has_values = any(cells)
        while waiting and waiting[-1][0] <= number:
            _, last_row, column = waiting.pop()
            if column <= len(cells) and cells[column - 1]:
                open_ranges[column] = last_row, cells[column - 1]
        for column, (last_row, value) in list(open_ranges.items()):
            if number > last_row:
                del open_ranges[column]
            elif has_values:
                cells += [""] * (column - len(cells))
                cells[column - 1] = cells[column - 1] or value
        yield cells
