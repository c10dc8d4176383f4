"""Conditions on metadata: their values in the normal form, and the check of their types.

A text never equals a number. A condition of another type than the values of its key would silently match nothing, so
it is an error wherever the types are known.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import cast

from rag_assets.document_metadata.kinds import KEYS_LEFT_OUT, Kinds, ValueKind, known_kinds
from rag_assets.document_metadata.normalization import (
    MAX_TEXT_CHARACTERS,
    is_date,
    normalized_key,
    normalized_number,
    normalized_text,
)
from rag_assets.document_metadata.policy import MetadataKind
from rag_assets.document_metadata.sensitive import is_personal_key
from rag_assets.errors import ConfigurationError
from rag_assets.records import Condition, SearchFilter
from rag_assets.text.control_characters import quoted

PREFIX = "metadata."
"""Begins the key of a condition on metadata."""

ScalarValue = str | int | float | bool
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_]+")
_PLURALS: dict[ValueKind, str] = {
    "text": "texts",
    "number": "numbers",
    "date": "dates",
    "boolean": "booleans",
}


def metadata_key(condition_key: str) -> str | None:
    """Return the normalized key of metadata, or None if a condition is on something else.

    Raises:
        ConfigurationError: there can be no such key.
    """
    if not condition_key.startswith(PREFIX):
        return None
    key = normalized_key(condition_key.removeprefix(PREFIX))
    if key is None:
        raise ConfigurationError(
            f"cannot filter by {quoted(str(condition_key))}: write metadata.KEY, for example metadata.year"
        )
    return key


def metadata_path(key: str) -> str:
    """Return the path of a key within a location, in the notation of Qdrant."""
    return PREFIX + (key if _PLAIN_PATH.fullmatch(key) else f'"{key}"')


def scalar_value(key: str, value: object) -> ScalarValue:
    """Return a value of a condition in the form in which it is stored.

    Raises:
        ConfigurationError: metadata hold no such value.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return normalized_text(value)[:MAX_TEXT_CHARACTERS].rstrip()
    if isinstance(value, int | float):
        number = normalized_number(value)
        if number is not None:
            return number
        raise ConfigurationError(
            f"cannot filter metadata.{key} with {value}: whole numbers in metadata are below 2^53 (9007199254740992)"
            if isinstance(value, int)
            else f"cannot filter metadata.{key} with {value}: it is no finite number"
        )
    raise ConfigurationError(
        f"cannot filter metadata.{key} with a value of type {type(value).__name__}: metadata hold texts, numbers below "
        "2^53, booleans, and dates"
    )


def alternatives(key: str, value: object) -> list[ScalarValue]:
    """Return the values of `any_of`. Raises `ConfigurationError` as `scalar_value` does."""
    if isinstance(value, str) or not isinstance(value, Sequence | set | frozenset):
        raise ConfigurationError(f"cannot filter metadata.{key} by any_of: its value must be a list")
    return [scalar_value(key, one) for one in cast("Iterable[object]", value)]


def prefix_value(key: str, value: object) -> str:
    """Return the text of a prefix condition. Raises `ConfigurationError` for anything else."""
    if not isinstance(value, str):
        raise ConfigurationError(f"cannot filter metadata.{key} by prefix: its value must be a text")
    return unicodedata.normalize("NFC", value)


def is_of_numbers(bounds: Iterable[object]) -> bool:
    """Whether these bounds of a range are numbers. If not, they are dates."""
    return all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in bounds)


def check_metadata_types(
    search_filter: SearchFilter | None, kinds: Kinds | None, indexes: Mapping[str, MetadataKind]
) -> None:
    """Compare the conditions on metadata with the values of the documents.

    Args:
        kinds: of the generation, or None if they are unknown.
        indexes: as in `RAG_METADATA_INDEXES`.

    Raises:
        ConfigurationError: no document has the key, or its values are of another type.
    """
    for condition in search_filter.conditions if search_filter is not None else ():
        key = metadata_key(condition.key)
        known = None if key is None else known_kinds(kinds, indexes, key)
        if key is None or known is None:
            continue
        if not known:
            raise ConfigurationError(_unknown(key, {*(kinds or {}), *indexes} - {KEYS_LEFT_OUT}))
        for asked in _asked_kinds(key, condition):
            if not asked & known:
                held, compared = (
                    " and ".join(_PLURALS[one] for one in sorted(names)) for names in (known, asked)
                )
                raise ConfigurationError(
                    f"cannot filter metadata.{key} by {condition.match} of {compared}: its values are {held}"
                )
            if condition.match == "range" and key in indexes and not asked & _kinds_in_range(indexes[key]):
                # The engine would compare numbers with the microseconds of dates.
                [compared] = (_PLURALS[one] for one in asked)
                raise ConfigurationError(
                    f"cannot filter metadata.{key} by range of {compared}: RAG_METADATA_INDEXES has it as {indexes[key]}"
                )


def _kinds_in_range(index: MetadataKind) -> frozenset[ValueKind]:
    """Return the kinds of bounds that an engine compares rightly under an index. Without one of its own it reads payloads."""
    if index == "datetime":
        return frozenset(("date",))
    return frozenset(("number",)) if index in ("integer", "float") else frozenset(("number", "date"))


def _unknown(key: str, keys: set[str]) -> str:
    message = f"no document has metadata.{key}"
    if is_personal_key(key):
        return f"{message}: personal fields are left out, unless RAG_METADATA_KEEP={key} keeps them"
    if close := get_close_matches(key, keys, 1):
        return f"{message}: did you mean metadata.{close[0]}?"
    if not keys:
        return f"{message}: no document in production has metadata"
    return f"{message}. A key named in RAG_METADATA_INDEXES may be missing from all documents"


def _asked_kinds(key: str, condition: Condition) -> list[frozenset[ValueKind]]:
    """Return the kinds of values that can meet a condition, for each of its alternatives."""
    value = condition.value
    if condition.match == "prefix":
        return [frozenset(("text", "date"))]
    if condition.match == "any_of":
        return [_kinds_equal_to(one) for one in alternatives(key, value)]
    if condition.match == "range":
        if not isinstance(value, Mapping):
            return []  # refused elsewhere
        bounds = cast("Mapping[str, object]", value).values()
        return [frozenset(("number" if is_of_numbers(bounds) else "date",))]
    return [_kinds_equal_to(scalar_value(key, value))]


def _kinds_equal_to(value: ScalarValue) -> frozenset[ValueKind]:
    if isinstance(value, bool):
        return frozenset(("boolean",))
    if isinstance(value, int | float):
        return frozenset(("number",))
    return frozenset(("text", "date")) if is_date(value) else frozenset(("text",))
