"""Columns of a PostgreSQL row as metadata: typed, and bounded by the server.

The server writes each value as JSON. psycopg's own conversions raise for a time of infinity, for a year before Christ, or
for deeply nested JSON, and one such row would end the listing of all rows.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rag_assets.document_metadata.normalization import MAX_TEXT_CHARACTERS, normalized, normalized_date
from rag_assets.document_metadata.values import Metadata

if TYPE_CHECKING:
    from psycopg import sql

_MOST_TEXT_CHARACTERS = 4 * MAX_TEXT_CHARACTERS + 1
"""One more than `normalized` looks at, so that a cut is seen."""
_MOST_JSON_CHARACTERS = 10_000
_TEXTS = frozenset(("text", "varchar", "bpchar", "name"))
_NUMBERS = frozenset(("int2", "int4", "int8", "float4", "float8", "numeric"))
_TIMES = frozenset(("date", "timestamp", "timestamptz"))
_UNUSABLE = object()


def column_as_json(column: str, type_name: str) -> "sql.Composed":
    """Return an expression for a column as JSON, cut by the server.

    Args:
        type_name: name of its type in the catalog of PostgreSQL.
    """
    from psycopg import sql

    if type_name in _TEXTS:
        expression = sql.SQL("to_json(left({column}, {most}))::text")
        return expression.format(column=sql.Identifier(column), most=sql.Literal(_MOST_TEXT_CHARACTERS))
    return sql.SQL("left(to_json({column})::text, {most})").format(
        column=sql.Identifier(column), most=sql.Literal(_MOST_JSON_CHARACTERS)
    )


def metadata_of(types: Mapping[str, str], values: Sequence[str | None]) -> Metadata:
    """Return the metadata of a row.

    Args:
        types: column -> name of its type.
        values: of `column_as_json`, in the same order.
    """
    columns = zip(types.items(), values, strict=True)
    return normalized({column: _value(type_name, text) for (column, type_name), text in columns})


def _value(type_name: str, text: str | None) -> Any:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # cut, or a number of thousands of digits
        return _UNUSABLE
    if type_name == "bytea":
        return _UNUSABLE
    if type_name in _NUMBERS and isinstance(value, str):  # "NaN", "Infinity"
        return _UNUSABLE
    if (
        type_name in _TIMES and normalized_date(str(value)) is None
    ):  # "infinity", a year before 1 or after 9999
        return _UNUSABLE
    return value
