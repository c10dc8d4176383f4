"""Filters as text, such as `path=hr/*` -> `SearchFilter`. The command line and the MCP server read them."""

import re
from collections.abc import Callable, Sequence, Set

from rag_assets.errors import ConfigurationError
from rag_assets.records import Condition, SearchFilter
from rag_assets.text.control_characters import quoted
from rag_assets.vector_stores.indexed_fields import INTEGER_FIELDS

_EXPRESSION = re.compile(r"\s*([A-Za-z_]+|metadata\.[^<>=]{1,200}?)\s*(<=|>=|<|>|=)(.*)", re.DOTALL)
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?", re.ASCII)
_METADATA = "metadata."
_RANGES = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


KindsOf = Callable[[str], Set[str] | None]
"""Metadata key as typed -> kinds of its values, empty if no document has it, or None if they are unknown."""


def parse_filters(expressions: Sequence[str], kinds_of: KindsOf = lambda _: None) -> SearchFilter | None:
    """Parse `field=value`, `field=a,b` (any of), `field=a*` (prefix), `field>=value` and so on.

    Several ranges on one field become one condition. Without expressions the result is None.

    Args:
        kinds_of: decides whether `2024` is a number or a text, for metadata. If it may be both, both are found.

    Raises:
        ConfigurationError: an expression has another form.
    """
    conditions: list[Condition] = []
    ranges: dict[str, dict[str, float | str]] = {}
    for expression in expressions:
        match = _EXPRESSION.fullmatch(expression)
        if match is None or not match[3].strip():
            raise ConfigurationError(
                f"invalid filter {quoted(expression)}: write FIELD=VALUE, FIELD=A,B, FIELD=PREFIX* or FIELD>=VALUE"
            )
        key, operator, value = match[1], match[2], match[3].strip()
        kinds = kinds_of(key.removeprefix(_METADATA)) if key.startswith(_METADATA) else None
        if operator != "=":
            bound = _metadata_bound(key, value, kinds) if key.startswith(_METADATA) else _bound(key, value)
            ranges.setdefault(key, {})[_RANGES[operator]] = bound
        elif "," in value:
            conditions.append(Condition(key, "any_of", _alternatives(key, value, kinds)))
        elif value.endswith("*"):
            conditions.append(Condition(key, "prefix", value[:-1]))
        else:
            values = _typed(key, value, kinds)
            conditions.append(
                Condition(key, "equals", values[0]) if len(values) == 1 else Condition(key, "any_of", values)
            )
    conditions.extend(Condition(key, "range", bounds) for key, bounds in ranges.items())
    return SearchFilter(tuple(conditions)) if conditions else None


def _typed(key: str, value: str, kinds: Set[str] | None) -> list[int | float | bool | str]:
    """Return a value in the type of its field, or in each of its types."""
    if key.startswith(_METADATA):
        return _metadata_values(key, value, kinds)
    if key not in INTEGER_FIELDS:
        return [value]
    try:
        return [int(value)]
    except ValueError:
        raise ConfigurationError(f"filter on {key}: {quoted(value)} is not a whole number") from None


def _metadata_values(key: str, value: str, kinds: Set[str] | None) -> list[int | float | bool | str]:
    if kinds is not None and not kinds:
        return [value]  # no document has the key: the search says so
    values: list[int | float | bool | str] = []
    if kinds is None or kinds & {"text", "date"}:
        values.append(value)
    if (kinds is None or "number" in kinds) and _NUMBER.fullmatch(value):
        values.append(_number(value))
    if (kinds is None or "boolean" in kinds) and value.lower() in ("true", "false"):
        values.append(value.lower() == "true")
    if not values:
        raise ConfigurationError(
            f"filter on {key}: {quoted(value)} is not a {' or a '.join(sorted(kinds or ()))}"
        )
    return values


def _metadata_bound(key: str, value: str, kinds: Set[str] | None) -> float | str:
    """Return a number for numbers, and anything else as a date."""
    if (kinds is None or "number" in kinds) and _NUMBER.fullmatch(value):
        return _number(value)
    if kinds == {"number"}:
        raise ConfigurationError(f"filter on {key}: {quoted(value)} is not a number")
    return value


def _number(value: str) -> int | float:
    return float(value) if "." in value else int(value)


def _alternatives(key: str, value: str, kinds: Set[str] | None) -> list[int | float | bool | str]:
    parts = [part.strip() for part in value.split(",")]
    for part in parts:
        if not part or part.endswith("*"):
            # Taken as plain values they would silently match nothing.
            raise ConfigurationError(
                f"filter on {key}: a list cannot contain {quoted(part)}; write a prefix alone, as in {key}=PREFIX*"
            )
    found = [typed for part in parts for typed in _typed(key, part, kinds)]
    # A value of metadata may hold a comma itself.
    return [*found, value] if key.startswith(_METADATA) and (not kinds or "text" in kinds) else found


def _bound(key: str, value: str) -> float | str:
    """Return a number for a numeric field. Values of other fields are dates, even `20260131`."""
    if key not in INTEGER_FIELDS:
        return value
    try:
        return float(value)
    except ValueError:
        raise ConfigurationError(f"filter on {key}: {quoted(value)} is not a number") from None
