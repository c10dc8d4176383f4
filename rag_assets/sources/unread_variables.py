"""Unknown `RAG_…` variables: most are misspelled settings, otherwise ignored silently.

Names are compared with the known settings and options. Values are never read.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from rag_assets.settings import Settings, variables_of
from rag_assets.sources.declarations import OLDER_VARIABLES, referenced_variables, variable_of
from rag_assets.sources.registry import SOURCES

_PREFIX = "RAG_"


def unread_variables(names: Iterable[str], sources_file: Path | None = None) -> list[str]:
    """Return a sentence for each unknown variable with the prefix `RAG_`, sorted by name.

    Args:
        names: all variables of the environment.
        sources_file: its `${NAME}` references count as known variables.
    """
    settings = {str(field.alias): field for field in Settings.model_fields.values()}
    options = {
        variable_of(kind, option): field
        for kind in SOURCES
        for option, field in SOURCES[kind].Options.model_fields.items()
    }
    known = settings | options
    read = {one for name, field in known.items() for one in variables_of(name, field)}
    read |= referenced_variables(sources_file)
    return [
        f"Unknown setting {name}; {_advice(name, known)}"
        for name in sorted(set(names))
        # Settings are read in lower case too.
        if name.startswith(_PREFIX) and name not in read and name.upper() not in settings
    ]


def _advice(name: str, known: Iterable[str]) -> str:
    if name in OLDER_VARIABLES:
        return f"did you mean {OLDER_VARIABLES[name]}?"
    # Without the common prefix: it makes all names similar, and RAG_QDRANT_URL would not match QDRANT_URL.
    by_rest = {candidate.removeprefix(_PREFIX): candidate for candidate in known}
    close = get_close_matches(name.upper().removeprefix(_PREFIX), sorted(by_rest), n=1)
    return f"did you mean {by_rest[close[0]]}?" if close else "see docs/settings.md"
