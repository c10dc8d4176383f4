"""Valid names of generations and collections: the same in every store, so data can be moved between stores."""

import re

from rag_assets.errors import ConfigurationError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,119}")
_RESERVED = frozenset({"held", "meta", "none", "previous"})
SEPARATOR = "--"
"""Separates the parts of a name on the server. No part may contain it."""


def is_name(name: str) -> bool:
    """Return whether this is a valid name of a generation."""
    return _NAME.fullmatch(name) is not None and SEPARATOR not in name and name not in _RESERVED


def check_generation_name(name: str) -> None:
    """Raises: ConfigurationError: a generation cannot have this name."""
    if not is_name(name):
        raise ConfigurationError(
            f"invalid name of a generation: {name!r}. Use at most 120 letters, digits, '-', '_' and '.', begin with a "
            f"letter or digit, and avoid '--' and the reserved names {', '.join(sorted(_RESERVED))}"
        )


def check_collection_name(name: str) -> None:
    """Raises: ConfigurationError: a knowledge base cannot have this name."""
    if _NAME.fullmatch(name) is None or SEPARATOR in name:
        raise ConfigurationError(
            f"invalid name of a knowledge base: {name!r}. Use at most 120 letters, digits, '-', '_' and '.', begin "
            "with a letter or digit, and avoid '--'"
        )
