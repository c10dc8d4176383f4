"""Variables that look like settings and that nothing reads: most are misspelt, and would be ignored without a word.

Here belongs which `RAG_…` variables mean something, and which of them one that does not was meant to be. Values are
never looked at.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from rag_assets.settings import Settings
from rag_assets.sources import SOURCES
from rag_assets.sources.declarations import OLDER_VARIABLES, referenced_variables, variable_of

_PREFIX = "RAG_"


def unread_variables(names: Iterable[str], sources_file: Path | None = None) -> list[str]:
    """Return a sentence for each variable that begins with `RAG_` and is read by nothing, by name.

    Args:
        names: of all variables that are set.
        sources_file: may refer to variables of any name, which it then reads.
    """
    settings = {str(field.alias) for field in Settings.model_fields.values()}
    options = {variable_of(kind, option) for kind in SOURCES for option in SOURCES[kind].Options.model_fields}
    read = settings | options | referenced_variables(sources_file)
    return [
        f"{name} is no setting: {_advice(name, settings | options)}"
        for name in sorted(set(names))
        # Settings are found in lower case too.
        if name.startswith(_PREFIX) and name not in read and name.upper() not in settings
    ]


def _advice(name: str, known: Iterable[str]) -> str:
    if name in OLDER_VARIABLES:
        return f"did you mean {OLDER_VARIABLES[name]}?"
    # Without what all begin with: it would make any two alike, and keep RAG_QDRANT_URL from QDRANT_URL.
    by_rest = {candidate.removeprefix(_PREFIX): candidate for candidate in known}
    close = get_close_matches(name.upper().removeprefix(_PREFIX), sorted(by_rest), n=1)
    return f"did you mean {by_rest[close[0]]}?" if close else "see docs/settings.md"
