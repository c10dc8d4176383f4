"""Raw values of a source or a document -> `Metadata`: one form of keys and values, bounded, without secrets.

Nothing raises because of a value: it is left out, and counted in `Metadata.left_out`. A value of any size costs
little time.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from numbers import Integral, Real
from operator import index
from typing import Any, cast
from uuid import UUID

from rag_assets.document_metadata.sensitive import is_secret_key, is_secret_value
from rag_assets.document_metadata.values import NO_METADATA, Metadata, MetadataValue

MAX_KEYS = 64
MAX_KEY_CHARACTERS = 64
MAX_TEXT_CHARACTERS = 500
MAX_LIST_TEXTS = 50
MAX_BYTES = 4_000
"""Of all keys and values together, in UTF-8. Every point of the document holds them."""
MOST_LEFT_OUT = 20
"""Entries of `Metadata.left_out`."""

_MOST_RAW_VALUES = 1_000
_MOST_DEPTH = 3
_MOST_EXACT_INTEGER = 2**53
_MOST_EXACT_DIGITS = 15
_MOST_EXACT_POWER_OF_TEN = 22
_WORD_BEGINS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_WORD = re.compile(r"[\W_]+")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?(?:Z|[+-]\d\d:?\d\d))?)?")
_SPACE_BEFORE_ZONE = re.compile(r" (?=[Z+-])")
_DATE_FORM = "0000-00-00T00:00:00Z"
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b\u2028\u2029\ufeff\ud800-\udfff]+")


def normalized(*raws: Mapping[Any, Any]) -> Metadata:
    """Return the metadata of a source or a parser in the normal form.

    Keys become lower case with underscores: `docType`, `doc-type` and `Doc Type` are all `doc_type`. Mappings in mappings
    are flattened: `project_name`. Of two values for one key the first counts. Dates become UTC. Without a time zone they
    are taken as UTC. A text is a date only if all of it is ISO 8601.

    Args:
        raws: keys and values of any type. For a key in several of them the first counts.
    """
    if len(raws) == 1 and isinstance(raws[0], Metadata):
        return raws[0]
    found: dict[str, MetadataValue] = {}
    left_out = dict.fromkeys(entry for raw in raws if isinstance(raw, Metadata) for entry in raw.left_out)
    if not left_out and not any(raws):
        return NO_METADATA
    room = MAX_BYTES
    for number, (key, value) in enumerate(_flat(raws)):
        if number == _MOST_RAW_VALUES:
            left_out["too many keys"] = None
            break
        name = normalized_key(key)
        if name is None:
            left_out["not usable: (a key)"] = None
        elif name not in found:
            kept, problem = _kept(name, value)
            if kept is not None:
                size = size_bytes(name, kept)
                if len(found) >= MAX_KEYS or size > room:
                    kept, problem = None, "too many keys" if len(found) >= MAX_KEYS else f"no room: {name}"
                else:
                    found[name] = kept
                    room -= size
            if problem:
                left_out[problem] = None
    return Metadata.of(found, bounded_left_out(left_out))


def as_metadata(given: object) -> Metadata:
    """Return metadata as they are, a mapping as metadata, and anything else as no metadata."""
    if isinstance(given, Metadata):
        return given
    if isinstance(given, Mapping):
        return normalized(cast("Mapping[Any, Any]", given))
    return NO_METADATA if given is None else Metadata(left_out=("not usable: (all metadata)",))


def normalized_key(key: object) -> str | None:
    """Return the normal form of a key, or None if it has none."""
    text = _key_text(key)
    if text is None or len(text) > 2 * MAX_KEY_CHARACTERS:
        return None
    text = _WORD_BEGINS.sub("_", unicodedata.normalize("NFC", _UNPRINTABLE.sub(" ", text)))
    # Some letters have a lower case of two characters, one of them no letter.
    name = _NO_WORD.sub("_", unicodedata.normalize("NFC", text.lower())).strip("_")
    return name if 0 < len(name) <= MAX_KEY_CHARACTERS else None


def normalized_pattern(pattern: str) -> str:
    """Return a pattern of keys with its words in the form of keys: `docType` is `doc_type`, `internal-*` is `internal_*`."""
    words = _WORD_BEGINS.sub("_", unicodedata.normalize("NFC", pattern.strip()))
    return "".join(
        part if part in ("*", "?") else _NO_WORD.sub("_", part).lower() for part in re.split(r"([*?])", words)
    )


def normalized_text(text: str) -> str:
    """Return one line of a text in the normal form. A text in ISO 8601 becomes the one form of dates."""
    line = _UNPRINTABLE.sub(" ", text[: 4 * MAX_TEXT_CHARACTERS])
    line = unicodedata.normalize("NFC", line).strip()
    return normalized_date(line) or line


def normalized_date(text: str) -> str | None:
    """Return a text in ISO 8601 as `2026-01-31T12:00:00Z`, or None for another text."""
    if not text[:4].isdecimal() or not text.isascii() or _DATE.fullmatch(text) is None:
        return None
    try:
        return _moment(datetime.fromisoformat(_SPACE_BEFORE_ZONE.sub("", text.replace(",", "."))))
    except (ValueError, OverflowError):
        return None


def is_date(value: object) -> bool:
    """Whether a normalized value is a date."""
    return isinstance(value, str) and len(value) == len(_DATE_FORM) and normalized_date(value) == value


def size_bytes(key: str, value: MetadataValue) -> int:
    """Return the size of a pair, as counted for `MAX_BYTES`."""
    texts = value if isinstance(value, tuple) else (value if isinstance(value, str) else "12345678",)
    return len(key.encode()) + sum(len(text.encode()) for text in texts)


def bounded_left_out(left_out: Iterable[str]) -> tuple[str, ...]:
    """Return the first entries of `left_out`, and `more` for the rest."""
    entries = tuple(dict.fromkeys(left_out))
    return entries if len(entries) <= MOST_LEFT_OUT else (*entries[: MOST_LEFT_OUT - 1], "more")


def _key_text(key: object) -> str | None:
    if isinstance(key, int) and not isinstance(key, bool):
        # Python refuses to write numbers of thousands of digits.
        return str(key) if -_MOST_EXACT_INTEGER < key < _MOST_EXACT_INTEGER else None
    return key if isinstance(key, str) else None


def _flat(mappings: Iterable[Mapping[Any, Any]]) -> Iterator[tuple[object, object]]:
    for mapping in mappings:
        yield from _flattened(mapping, "", 1)


def _flattened(mapping: Mapping[Any, Any], prefix: str, depth: int) -> Iterator[tuple[object, object]]:
    for key, value in mapping.items():
        text = _key_text(key)
        name = None if text is None else f"{prefix}{text[:MAX_TEXT_CHARACTERS]}"
        if isinstance(value, Mapping) and depth < _MOST_DEPTH and name is not None:
            yield from _flattened(cast("Mapping[Any, Any]", value), f"{name}_", depth + 1)
        else:
            yield name, value


def _kept(key: str, value: object) -> tuple[MetadataValue | None, str]:
    """Return the normal form of a value and what was wrong, None without a value and "" without a problem."""
    if value is None or (isinstance(value, str | bytes | list | tuple | set | Mapping) and not value):
        return None, ""
    if is_secret_key(key):
        return None, f"secret: {key}"
    if isinstance(value, list | tuple | set | frozenset):
        return _kept_list(key, cast("Iterable[object]", value))
    scalar = _scalar(value)
    if scalar is None:
        return None, f"not usable: {key}"
    if isinstance(scalar, str):
        return _kept_text(
            key, scalar, was_longer=isinstance(value, str) and len(value) > 4 * MAX_TEXT_CHARACTERS
        )
    return scalar, ""


def _kept_text(key: str, text: str, *, was_longer: bool) -> tuple[str | None, str]:
    # An identifier such as 1234-56-78 is a text.
    if text.startswith(("19", "20")) and _DATE.fullmatch(text) and normalized_date(text) is None:
        return None, f"broken date: {key}"
    if is_secret_value(text):
        return None, f"secret: {key}"
    if len(text) > MAX_TEXT_CHARACTERS or was_longer:
        return text[:MAX_TEXT_CHARACTERS].rstrip() or None, f"cut: {key}"
    return text or None, ""


def _kept_list(key: str, values: Iterable[object]) -> tuple[MetadataValue | None, str]:
    texts: dict[str, None] = {}
    problem = ""
    if isinstance(values, set | frozenset):
        # The order of a set differs between processes, and with it the texts that are cut.
        values = sorted(values, key=lambda value: str(_scalar(value)))
    listed = list(islice(values, MAX_LIST_TEXTS + 1))
    for value in listed[:MAX_LIST_TEXTS]:
        scalar = None if value is None else _scalar(value)
        if scalar is None:
            problem = f"not usable: {key}" if value is not None else problem
            continue
        text = scalar if isinstance(scalar, str) else str(scalar).lower()
        kept, found = _kept_text(key, text, was_longer=len(text) > MAX_TEXT_CHARACTERS)
        problem = found or problem
        if kept:
            texts[kept] = None
    if len(listed) > MAX_LIST_TEXTS:
        problem = f"cut: {key}"
    return tuple(texts) or None, problem


def _scalar(value: object) -> str | int | float | bool | None:
    """Return a single value in the normal form, or None for anything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return normalized_text(value)
    if isinstance(value, Real | Decimal):  # also those of numpy
        return normalized_number(value)
    if isinstance(value, date):
        try:
            moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
            return _moment(moment) if value == value else None  # `NaT` of pandas is unequal to itself
        except (ValueError, OverflowError):
            return None
    if getattr(value, "dtype", None) == "bool" and getattr(value, "shape", None) == ():
        return bool(value)
    return str(value) if isinstance(value, UUID) else None


def normalized_number(value: Real | float | Decimal) -> int | float | None:
    """Return a number with at most 15 significant digits and 22 decimals, a whole one as an integer.

    Qdrant reads other decimals back as their neighbors: 123456789.12345679 came back one bit smaller. A double holds
    these digits, and a power of ten up to the 22nd, exactly. So one division reads them without an error.

    Returns:
        None if this form cannot hold it.
    """
    try:
        if isinstance(value, Integral):
            whole = index(value)
            return whole if -_MOST_EXACT_INTEGER < whole < _MOST_EXACT_INTEGER else None
        number = float(value)
    except (TypeError, ValueError, OverflowError, ArithmeticError):
        return None
    if not math.isfinite(number):
        return None
    if number.is_integer() and abs(number) < _MOST_EXACT_INTEGER:
        return int(number)
    digits = Decimal(f"{number:.{_MOST_EXACT_DIGITS}g}")
    exponent = digits.as_tuple().exponent
    if not isinstance(exponent, int) or exponent > _MOST_EXACT_POWER_OF_TEN:
        return None
    rounded = round(float(digits), _MOST_EXACT_POWER_OF_TEN)
    return int(rounded) if rounded.is_integer() and abs(rounded) < _MOST_EXACT_INTEGER else rounded


def _moment(moment: datetime) -> str:
    moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
