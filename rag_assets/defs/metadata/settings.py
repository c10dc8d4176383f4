"""Metadata about settings: those that differ from their defaults, and those for one run only."""

from collections.abc import Iterable, Sequence
from typing import Any

from rag_assets.defs.metadata.tables import column, shortened, table
from rag_assets.effective_settings import OVERRIDES, EffectiveSetting, Override

_WORD_LENGTH = 28  # of a page 1,440 pixels wide


def settings_metadata(changed: Iterable[EffectiveSetting], overrides: Sequence[Override]) -> dict[str, Any]:
    """Return the settings of a refresh with another value than the default, and their origins."""
    rows = (
        {
            "setting": f"{row.variable} = {_short(row.value)} (default {_short(row.default)})",
            "origin": _short(row.origin),
        }
        for row in changed
    )
    settings = table(rows, column("setting"), column("origin"), max_rows=100)
    return {"settings": settings, **override_metadata(overrides)}


def override_metadata(overrides: Sequence[Override]) -> dict[str, Any]:
    """Return the settings with a value for this run only. Without any: nothing."""
    if not overrides:
        return {}
    rows = (
        {"setting": one.variable, "value": one.value or "empty", "otherwise": one.without or "empty"}
        for one in overrides
    )
    return {
        OVERRIDES: table(
            rows,
            column("setting"),
            column("value", description="of this run only"),
            column("otherwise", description="the value of other runs"),
        )
    }


def _short(value: str) -> str:
    """Shorten a path. `rag-assets settings` prints it in full."""
    return " ".join(shortened(word, _WORD_LENGTH) for word in value.split(" ")) or "empty"
