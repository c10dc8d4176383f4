"""Tables of an HTML page as lines: one line per row, with the names of the columns."""

from typing import TYPE_CHECKING

from rag_assets.parsers.layout import one_line, table_text

if TYPE_CHECKING:
    from resiliparse.parse.html import DocumentNode, ElementNode


def label_tables(document: "DocumentNode", body: "ElementNode") -> None:
    """Turn each row of each table into one line. Changes the page."""
    for table in reversed(list(body.query_selector_all("table").values())):  # inner tables first
        _label_rows(document, table)


def _label_rows(document: "DocumentNode", table: "ElementNode") -> None:
    grid = [
        [one_line(cell.inner_text) for cell in row.query_selector_all("td, th").values()]
        for row in table.query_selector_all("tr").values()
    ]
    is_frame = len(grid) == 1 or all(len(cells) == 1 for cells in grid)
    if is_frame and table.closest("td, th") is None:
        return
    lines = document.create_element("pre")
    lines.text_content = table_text(grid, len(table.query_selector_all("thead tr")))
    table.replace_with(lines)
