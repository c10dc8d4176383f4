"""Metadata in one line for a person."""

from collections.abc import Mapping
from typing import Any

_MOST_VALUE_CHARACTERS = 80


def metadata_text(metadata: Mapping[str, Any]) -> str:
    """Return for example `department: HR, tags: leave; pay`.

    Args:
        metadata: as in a payload.
    """
    return ", ".join(f"{key}: {_value_text(value)}" for key, value in metadata.items())


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = "; ".join(value) if isinstance(value, list) else str(value)
    return text if len(text) <= _MOST_VALUE_CHARACTERS else f"{text[:_MOST_VALUE_CHARACTERS]}…"
