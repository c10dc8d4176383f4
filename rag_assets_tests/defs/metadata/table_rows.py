"""The rows of a table as plain dictionaries."""

from typing import Any

import dagster as dg


def rows(table: dg.TableMetadataValue | None) -> list[dict[str, Any]]:
    assert table is not None
    return [dict(record.data) for record in table.records]
