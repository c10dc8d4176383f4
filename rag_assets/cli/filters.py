"""Filters of the command line -> `SearchFilter`."""

import re
from collections.abc import Sequence

from rag_assets.errors import ConfigurationError
from rag_assets.records import Condition, SearchFilter

_EXPRESSION = re.compile(r"\s*([A-Za-z_]+)\s*(<=|>=|<|>|=)(.*)", re.DOTALL)
_RANGES = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


def parse_filters(expressions: Sequence[str]) -> SearchFilter | None:
    """Parse `field=value`, `field=a,b` (any of), `field=a*` (prefix), `field>=value` and so on.

    Several ranges on one field become one condition. Without expressions the result is None.

    Raises:
        ConfigurationError: an expression has another form.
    """
    conditions: list[Condition] = []
    ranges: dict[str, dict[str, float | str]] = {}
    for expression in expressions:
        match = _EXPRESSION.fullmatch(expression)
        if match is None or not match[3].strip():
            raise ConfigurationError(
                f"invalid filter {expression!r}: write FIELD=VALUE, FIELD=A,B, FIELD=PREFIX* or FIELD>=VALUE"
            )
        key, operator, value = match[1], match[2], match[3].strip()
        if operator != "=":
            ranges.setdefault(key, {})[_RANGES[operator]] = _bound(key, value)
        elif "," in value:
            conditions.append(Condition(key, "any_of", _alternatives(key, value)))
        elif value.endswith("*"):
            conditions.append(Condition(key, "prefix", value[:-1]))
        else:
            conditions.append(Condition(key, "equals", _typed(key, value)))
    conditions.extend(Condition(key, "range", bounds) for key, bounds in ranges.items())
    return SearchFilter(tuple(conditions)) if conditions else None


def _typed(key: str, value: str) -> int | str:
    from rag_assets.vector_stores.indexed_fields import INTEGER_FIELDS

    if key not in INTEGER_FIELDS:
        return value
    try:
        return int(value)
    except ValueError:
        raise ConfigurationError(f"filter on {key}: {value!r} is not a whole number") from None


def _alternatives(key: str, value: str) -> list[int | str]:
    parts = [part.strip() for part in value.split(",")]
    for part in parts:
        if not part or part.endswith("*"):
            # Taken as plain values they would silently match nothing.
            raise ConfigurationError(
                f"filter on {key}: a list cannot contain {part!r}; write a prefix alone, as in {key}=PREFIX*"
            )
    return [_typed(key, part) for part in parts]


def _bound(key: str, value: str) -> float | str:
    """Return a number for a numeric field. Values of other fields are dates, even `20260131`."""
    from rag_assets.vector_stores.indexed_fields import INTEGER_FIELDS

    if key not in INTEGER_FIELDS:
        return value
    try:
        return float(value)
    except ValueError:
        raise ConfigurationError(f"filter on {key}: {value!r} is not a number") from None
