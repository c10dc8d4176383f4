"""Filters as written on a command line -> `SearchFilter`."""

import re
from collections.abc import Sequence

from rag_assets.errors import ConfigurationError
from rag_assets.records import Condition, SearchFilter

_EXPRESSION = re.compile(r"\s*([A-Za-z_]+)\s*(<=|>=|<|>|=)(.*)", re.DOTALL)
_RANGES = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


def parse_filters(expressions: Sequence[str]) -> SearchFilter | None:
    """Read `field=value`, `field=a,b` (any of), `field=a*` (prefix), `field>=value` and so on.

    Several ranges on one field are joined. Returns None for no expressions.

    Raises:
        ConfigurationError: an expression has another form.
    """
    conditions: list[Condition] = []
    ranges: dict[str, dict[str, float | str]] = {}
    for expression in expressions:
        match = _EXPRESSION.fullmatch(expression)
        if match is None or not match[3].strip():
            raise ConfigurationError(
                f"filter {expression!r} is not understood: write FIELD=VALUE, FIELD=A,B, FIELD=PREFIX* or FIELD>=VALUE"
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
    from rag_assets.vector_stores.base import INTEGER_FIELDS

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
            # As plain values they would find nothing, without a word.
            raise ConfigurationError(
                f"filter on {key}: {part!r} cannot stand in a list; a prefix stands alone, as in {key}=PREFIX*"
            )
    return [_typed(key, part) for part in parts]


def _bound(key: str, value: str) -> float | str:
    """Return a number for a field of numbers; the rest are dates, and `20260131` is one."""
    from rag_assets.vector_stores.base import INTEGER_FIELDS

    if key not in INTEGER_FIELDS:
        return value
    try:
        return float(value)
    except ValueError:
        raise ConfigurationError(f"filter on {key}: {value!r} is not a number") from None
