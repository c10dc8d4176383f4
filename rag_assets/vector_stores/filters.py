"""Checked search filters, in a form common to the embedded engine and the server.

Conditions on fields of a location, and on its metadata, go together: one and the same location must meet them all. Two
or more of them become a nested condition on `locations`. A single one is a plain condition.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import ge, le
from typing import Any, Literal, TypeVar

from rag_assets.errors import ConfigurationError
from rag_assets.records import Condition, SearchFilter
from rag_assets.text.control_characters import quoted
from rag_assets.text.spellings import spellings
from rag_assets.vector_stores.indexed_fields import (
    DATETIME_FIELDS,
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    LOCATION_DATETIME_FIELDS,
    LOCATION_KEYWORD_FIELDS,
)
from rag_assets.vector_stores.metadata_conditions import (
    alternatives,
    is_of_numbers,
    metadata_key,
    metadata_path,
    prefix_value,
    scalar_value,
)

LOCATIONS = "locations"

_Condition = TypeVar("_Condition")

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

_BOUNDS = ("gt", "gte", "lt", "lte")
_LEAST_INEXACT_BOUND = 10**15
_DATES = (*DATETIME_FIELDS, *LOCATION_DATETIME_FIELDS)
_LOCATION_FIELDS = (*LOCATION_KEYWORD_FIELDS, *LOCATION_DATETIME_FIELDS)
_FIELDS = (*KEYWORD_FIELDS, *INTEGER_FIELDS, *DATETIME_FIELDS, *_LOCATION_FIELDS)
NAMES = ("document_id", "path", "filename", "title")
"""Fields of a location that are compared in every spelling of their accents."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One checked condition.

    Attributes:
        key: path of the field.
        value: a text, an integer or a boolean (equals), a list of texts or integers (any_of), a text (prefix), bounds as
            numbers (number_range) or as datetimes with a time zone (date_range), or clauses (either).
    """

    key: str
    match: Literal["equals", "any_of", "prefix", "number_range", "date_range", "either"]
    value: Any


@dataclass(frozen=True, slots=True)
class Clauses:
    """A checked filter.

    Attributes:
        of_point: conditions on fields of the point.
        of_location: conditions on fields of a location, with the key relative to it.
        nothing: no point can meet the filter, for example `any_of` without values, for a reader without groups.
    """

    of_point: tuple[Clause, ...] = ()
    of_location: tuple[Clause, ...] = ()
    nothing: bool = False


def is_fixed_field(key: str) -> bool:
    """Whether a key of a condition is a field of every point or location, and no metadata."""
    return key in _FIELDS


def parse_filter(search_filter: SearchFilter | None) -> Clauses:
    """Check a filter and sort its conditions.

    Raises:
        ConfigurationError: the field is unknown, or does not allow this comparison.
    """
    conditions = search_filter.conditions if search_filter is not None else ()
    of_point: list[Clause] = []
    of_location: list[Clause] = []
    for condition in conditions:
        key = metadata_key(condition.key)
        clause = _clause(condition) if key is None else _metadata_clause(key, condition)
        (of_point if key is None and condition.key not in _LOCATION_FIELDS else of_location).append(clause)
    return Clauses(
        tuple(of_point),
        tuple(of_location),
        nothing=any(
            clause.match in ("any_of", "either") and not clause.value for clause in of_point + of_location
        ),
    )


def conditions_of(
    clauses: Clauses,
    condition: Callable[[Clause, str], _Condition],
    nested: Callable[[list[_Condition]], _Condition],
    either: Callable[[list[_Condition]], _Condition],
) -> list[_Condition]:
    """Return the conditions of an engine for these clauses.

    Args:
        condition: converts a clause, given the prefix of its key.
        nested: joins conditions on one and the same location.
        either: joins conditions of which one must hold.
    """

    def spelled(clause: Clause, prefix: str) -> _Condition:
        if clause.match == "either":
            return either([condition(one, prefix) for one in clause.value])
        values = spellings(clause.value) if clause.match == "prefix" and clause.key in NAMES else []
        if len(values) < 2:
            return condition(clause, prefix)
        return either([condition(replace(clause, value=value), prefix) for value in values])

    conditions = [condition(clause, "") for clause in clauses.of_point]
    if len(clauses.of_location) == 1:
        conditions.append(spelled(clauses.of_location[0], f"{LOCATIONS}[]."))
    elif clauses.of_location:
        conditions.append(nested([spelled(clause, "") for clause in clauses.of_location]))
    return conditions


def _clause(condition: Condition) -> Clause:
    key, match, value = condition.key, condition.match, condition.value
    if key not in _FIELDS:
        fields = ", ".join(sorted((*_FIELDS, "metadata.KEY")))
        raise ConfigurationError(f"cannot filter by {quoted(str(key))}: the fields are {fields}")
    if key in _DATES:
        if match != "range":
            raise ConfigurationError(f"cannot filter {key} by {match}: it is a date, use a range")
        return Clause(
            key, "date_range", _tightest({bound: _date(key, at) for bound, at in _bounds(key, value)})
        )
    kind = int if key in INTEGER_FIELDS else str
    if match == "range" and kind is int:
        return Clause(
            key, "number_range", _tightest({bound: _number(key, at) for bound, at in _bounds(key, value)})
        )
    if match == "equals" and _is(value, str) and key in NAMES and len(spellings(value)) > 1:
        return Clause(key, "any_of", spellings(value))
    if match == "equals" and _is(value, kind):
        return Clause(key, "equals", value)
    if match == "any_of" and isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
        values: list[Any] = list(value)
        if all(_is(one, kind) for one in values):
            if key in NAMES:
                values = [spelling for one in values for spelling in spellings(one)]
            return Clause(key, "any_of", values)
    if match == "prefix" and kind is str and _is(value, str):
        return Clause(key, "prefix", value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        raise ConfigurationError(f"cannot filter {key} with {value}: its numbers are below 2^63")
    raise ConfigurationError(
        f"cannot filter {key} by {match} with a value of type {type(value).__name__}: it contains "
        f"{'integers of 64 bits' if kind is int else 'UTF-8 text'}"
    )


def _metadata_clause(key: str, condition: Condition) -> Clause:
    path, value = metadata_path(key), condition.value
    if condition.match == "equals":
        return _equal_to(path, scalar_value(key, value))
    if condition.match == "any_of":
        return _any_of(path, alternatives(key, value))
    if condition.match == "prefix":
        return Clause(path, "prefix", prefix_value(key, value))
    if condition.match != "range":
        raise ConfigurationError(
            f"cannot filter {condition.key} by {condition.match}: the comparisons are equals, any_of, prefix and range"
        )
    bounds = _bounds(condition.key, value)
    if is_of_numbers(bound for _, bound in bounds):
        numbers = {bound: _exact_number(condition.key, at) for bound, at in bounds}
        return Clause(path, "number_range", _tightest(numbers))
    dates = {bound: _date(condition.key, at) for bound, at in bounds}
    return Clause(path, "date_range", _tightest(dates))


def _equal_to(path: str, value: str | float | bool) -> Clause:
    if isinstance(value, str | bool):
        return Clause(path, "equals", value)
    # Qdrant compares only whole numbers for equality. Bounds of more than 15 digits reach a server one bit off.
    if isinstance(value, int) and abs(value) >= _LEAST_INEXACT_BOUND:
        return Clause(path, "equals", value)
    return Clause(path, "number_range", {"gte": value, "lte": value})


def _any_of(path: str, values: Sequence[str | float | bool]) -> Clause:
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) == len(values):
        return Clause(path, "any_of", texts)
    others = [_equal_to(path, value) for value in values if not isinstance(value, str)]
    return Clause(path, "either", [*([Clause(path, "any_of", texts)] if texts else []), *others])


def _is(value: object, kind: type) -> bool:
    """Return whether a value has this type and can be stored by an engine."""
    if isinstance(value, str):
        return kind is str and _LONE_SURROGATE.search(value) is None
    return isinstance(value, kind) and isinstance(value, int) and not isinstance(value, bool) and _fits(value)


def _fits(number: float) -> bool:
    return -(2**63) <= number < 2**63


def _bounds(key: str, value: object) -> list[tuple[str, object]]:
    if not isinstance(value, Mapping) or not value or any(bound not in _BOUNDS for bound in value):
        raise ConfigurationError(
            f"the range of {key} must be a mapping with at least one of {', '.join(_BOUNDS)}"
        )
    return [(str(bound), at) for bound, at in value.items()]


def _tightest(bounds: dict[str, Any]) -> dict[str, Any]:
    """Return at most one lower and one upper bound. Of two, an index of the engine looks at one, perhaps the wrong one."""
    for strict, loose, is_tighter in (("gt", "gte", ge), ("lt", "lte", le)):
        if strict in bounds and loose in bounds:
            del bounds[loose if is_tighter(bounds[strict], bounds[loose]) else strict]
    return bounds


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"a bound of {key} must be a number")
    if not _fits(value):
        raise ConfigurationError(f"a bound of {key} must be a number below 2^63, not {value}")
    return value


def _exact_number(key: str, value: object) -> float:
    number = _number(key, value)
    if abs(number) >= _LEAST_INEXACT_BOUND:
        raise ConfigurationError(f"a bound of {key} must be a number of at most 15 digits, not {value}")
    return number


def _date(key: str, value: object) -> datetime:
    try:
        date = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return date.astimezone(UTC) if date.tzinfo is not None else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"a bound of {key} must be an ISO 8601 date, for example 2026-01-31"
        ) from None
