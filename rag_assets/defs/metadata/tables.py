"""Tables, and bars made of text. Dagster shows them at once, without a click."""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

_BAR_CELLS = 10


def shown(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out empty values: None, and tables without rows."""
    return {
        key: value
        for key, value in metadata.items()
        if value is not None and not (isinstance(value, dg.TableMetadataValue) and not value.records)
    }


def bar(share: float, cells: int = _BAR_CELLS) -> str:
    """Draw a share from 0 to 1, precise to an eighth of a character."""
    full, eighths = divmod(round(share * cells * 8), 8)
    return ("█" * full + " ▏▎▍▌▋▊▉"[eighths].strip()).ljust(cells, "░")


def shortened(text: str, length: int) -> str:
    """Cut a long text in the middle. The end of a path has the name of the file, so more is kept of it.

    The UI breaks no path, and one that is too long pushes other columns off the page.
    """
    if len(text) <= length:
        return text
    begin = (length - 1) // 3
    return f"{text[:begin]}…{text[begin + 1 - length :]}"


def column(name: str, column_type: str = "string", description: str | None = None) -> dg.TableColumn:
    return dg.TableColumn(name, column_type, description)


def table(
    rows: Iterable[dict[str, Any]], *columns: dg.TableColumn, max_rows: int = 20
) -> dg.TableMetadataValue:
    """Return a table. Rows beyond `max_rows` are replaced by one with their number."""
    all_rows = list(rows)
    records = [dg.TableRecord(row) for row in all_rows[:max_rows]]
    if len(all_rows) > max_rows:
        first, *others = (heading.name for heading in columns)
        note = {first: f"… {len(all_rows) - max_rows} more"}
        records.append(dg.TableRecord(note | dict.fromkeys(others)))
    return dg.MetadataValue.table(records, dg.TableSchema(list(columns)))


def breakdown(part: str, counts: Mapping[str, int]) -> dg.TableMetadataValue:
    """Return the parts of a whole as counts and bars, without empty parts.

    Args:
        part: heading of the first column, the name of a part.
    """
    total = sum(counts.values())
    rows = (
        {part: name, "count": count, "share": bar(count / total)} for name, count in counts.items() if count
    )
    return table(rows, column(part), column("count", "int"), column("share"))
