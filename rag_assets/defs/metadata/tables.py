"""Tables, and bars made of text: the forms in which Dagster shows metadata at once, without a click."""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

_BAR_CELLS = 10


def shown(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing: None, and tables without a row."""
    return {
        key: value
        for key, value in metadata.items()
        if value is not None and not (isinstance(value, dg.TableMetadataValue) and not value.records)
    }


def bar(share: float) -> str:
    """Draw a share, 0 to 1, to an eighth of a character."""
    full, eighths = divmod(round(share * _BAR_CELLS * 8), 8)
    return ("█" * full + " ▏▎▍▌▋▊▉"[eighths].strip()).ljust(_BAR_CELLS, "░")


def column(name: str, column_type: str = "string", description: str | None = None) -> dg.TableColumn:
    return dg.TableColumn(name, column_type, description)


def table(
    rows: Iterable[dict[str, Any]], *columns: dg.TableColumn, most_rows: int = 20
) -> dg.TableMetadataValue:
    every = list(rows)
    records = [dg.TableRecord(row) for row in every[:most_rows]]
    if len(every) > most_rows:
        first, *others = (heading.name for heading in columns)
        note = {first: f"… {len(every) - most_rows} more"}
        records.append(dg.TableRecord(note | dict.fromkeys(others)))
    return dg.MetadataValue.table(records, dg.TableSchema(list(columns)))


def breakdown(part: str, counts: Mapping[str, int]) -> dg.TableMetadataValue:
    """How a whole divides into parts, as bars; parts that are empty are left out.

    Args:
        part: what a part is called, the head of the first column.
    """
    total = sum(counts.values())
    rows = (
        {part: name, "count": count, "share": bar(count / total)} for name, count in counts.items() if count
    )
    return table(rows, column(part), column("count", "int"), column("share"))
