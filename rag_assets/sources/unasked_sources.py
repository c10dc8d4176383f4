"""Sources that are set up by variables or a file, but not named in `RAG_SOURCES`: they are ignored."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rag_assets.settings import variables_of
from rag_assets.sources.declarations import kinds_of, referenced_variables, variable_of
from rag_assets.sources.registry import SOURCES
from rag_assets.sources.web.options import DEFAULT_FILE
from rag_assets.text.wording import counted

_FOREIGN_PREFIXES = {"notion": "NOTION_", "confluence": "CONFLUENCE_"}
"""Kind -> prefix of variables that other programs read for it."""
_HERE = Path()
_LISTS_OF_URLS = ("file", "urls", "sitemaps")


def unasked_sources(
    names: Sequence[str], sources_file: Path | None, environment: Mapping[str, str], home: Path = _HERE
) -> dict[str, str]:
    """Return kind -> sign of its set-up, as a clause without values, for kinds that no source has.

    Args:
        names, sources_file, home: as in `build_sources`.

    Raises:
        ConfigurationError: the sources file is missing or invalid.
    """
    asked = kinds_of(names, sources_file)
    referenced = referenced_variables(sources_file)
    found: dict[str, str] = {}
    for kind, source in SOURCES.items():
        if kind in asked:
            continue
        fields = source.Options.model_fields
        signs = [name for name, field in fields.items() if field.is_required()]
        if kind == "urls":
            signs.extend(_LISTS_OF_URLS)
        variables = [
            variable
            for name in signs
            for variable in variables_of(variable_of(kind, name), fields[name])
            if environment.get(variable)
        ]
        if prefix := _FOREIGN_PREFIXES.get(kind):
            variables += sorted(
                name for name, value in environment.items() if name.startswith(prefix) and value
            )
        variables = [variable for variable in variables if variable not in referenced]
        if variables:
            found[kind] = f"{' and '.join(variables)} {'is' if len(variables) == 1 else 'are'} set"
        elif kind == "urls" and (count := _num_lines(home / DEFAULT_FILE)):
            found[kind] = f"{DEFAULT_FILE} has {counted(count, 'line')}"
    return found


def _num_lines(path: Path) -> int:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in lines)
