"""Which names a generation and a collection may have: the same in every store, so that data can move."""

import re

from rag_assets.errors import ConfigurationError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,119}")
_RESERVED = frozenset({"held", "meta", "none", "previous"})
SEPARATOR = "--"
"""Stands between the parts of a name on the server, and so in none of them."""


def is_name(name: str) -> bool:
    """Return whether a generation may have this name."""
    return _NAME.fullmatch(name) is not None and SEPARATOR not in name and name not in _RESERVED


def check_generation_name(name: str) -> None:
    """Raises: ConfigurationError."""
    if not is_name(name):
        raise ConfigurationError(
            f"a generation cannot be named {name!r}: use letters, digits, '-', '_' and '.', begin with a letter "
            f"or digit, no '--', at most 120 characters, and none of {', '.join(sorted(_RESERVED))}"
        )


def check_collection_name(name: str) -> None:
    """Raises: ConfigurationError."""
    if _NAME.fullmatch(name) is None or SEPARATOR in name:
        raise ConfigurationError(
            f"a knowledge base cannot be named {name!r}: use letters, digits, '-', '_' and '.', begin with a "
            "letter or digit, no '--', at most 120 characters"
        )
