"""The locations of a point that meet a filter, decided as the engines decide it.

A store finds a point if one of its locations meets all conditions. It does not say which one. The other locations may
be closed to the reader.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rag_assets.document_metadata.normalization import normalized_date
from rag_assets.records import Payload
from rag_assets.text.spellings import spellings
from rag_assets.vector_stores.filters import NAMES, Clause, Clauses
from rag_assets.vector_stores.metadata_conditions import PREFIX

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}


def matching_locations(locations: Sequence[Payload], clauses: Clauses) -> list[Payload]:
    """Return the locations that meet all conditions on a location, in their order."""
    return [
        location for location in locations if all(_meets(location, clause) for clause in clauses.of_location)
    ]


def _meets(location: Payload, clause: Clause) -> bool:
    if clause.match == "either":
        return any(_meets(location, one) for one in clause.value)
    return any(_is_match(value, clause) for value in _values(location, clause.key))


def _values(location: Payload, key: str) -> list[Any]:
    """Return the values of a field: those of a list, or one, or none for null."""
    if key.startswith(PREFIX):
        value = location.get("metadata", {}).get(key.removeprefix(PREFIX).strip('"'))
    else:
        value = location.get(key)
    if isinstance(value, list):
        return list[Any](value)
    return [] if value is None else [value]


def _is_match(value: Any, clause: Clause) -> bool:
    """Whether one value meets one condition. A value of another type never does."""
    match clause.match:
        case "equals":
            return type(value) is type(clause.value) and value == clause.value
        case "any_of":
            return isinstance(value, str) and value in clause.value
        case "prefix":
            prefixes = spellings(clause.value) if clause.key in NAMES else [clause.value]
            return isinstance(value, str) and value.startswith(tuple(prefixes))
        case "number_range":
            return (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and _is_within(value, clause.value)
            )
        case _:
            moment = _moment(value)
            return moment is not None and _is_within(moment, clause.value)


def _is_within(value: Any, bounds: Mapping[str, Any]) -> bool:
    return all(_COMPARISONS[bound](value, at) for bound, at in bounds.items())


def _moment(value: Any) -> datetime | None:
    # `fromisoformat` takes forms such as 20260131 too, which are no dates for the engines.
    if not isinstance(value, str) or normalized_date(value) is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
