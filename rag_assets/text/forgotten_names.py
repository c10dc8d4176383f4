"""Names of purged documents taken out of sentences, such as the message of an error."""

import re
from collections.abc import Callable, Collection
from typing import Any

FORGOTTEN = "a purged document"
_BEFORE, _AFTER = r"(?<![\w./:%-])", r"(?![\w%-]|[./:]\w)"
"""A name inside a longer one is another name: `a.md` in `data.md`, `two:a.md` or `a.md.bak`."""


def forgetting(names: Collection[str]) -> Callable[[str], str]:
    """Return the function that replaces these names in a text, the longest first."""
    ordered = sorted({name for name in names if name}, key=len, reverse=True)
    if not ordered:
        return lambda text: text
    pattern = re.compile(f"{_BEFORE}(?:{'|'.join(map(re.escape, ordered))}){_AFTER}")
    return lambda text: pattern.sub(FORGOTTEN, text)


def forgotten_in(value: Any, forget: Callable[[str], str]) -> Any:
    """Return JSON-compatible data with every text changed, also the keys."""
    if isinstance(value, str):
        return forget(value)
    if isinstance(value, list | tuple):
        return [forgotten_in(one, forget) for one in value]
    if isinstance(value, dict):
        return {forget(str(key)): forgotten_in(one, forget) for key, one in value.items()}
    return value
