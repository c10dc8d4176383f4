"""Which sources there are: those of the sources file, and those that environment variables describe.

A name is that of an entry of the file, or else a kind: the source of that kind and that name is then described by
variables `RAG_<KIND>_<OPTION>`. What an option is called, and what it may hold, only the source knows.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rag_assets.errors import ConfigurationError
from rag_assets.invalid_values import describe_invalid_values
from rag_assets.sources import SOURCES
from rag_assets.sources.base import Source

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
OLDER_VARIABLES = {"RAG_FILESYSTEM_FOLDER": "RAG_DOCUMENTS_DIR"}
"""What the variable of an option would be called -> what it is called: it is older than the rule."""


def variable_of(kind: str, option: str) -> str:
    """Return the environment variable for an option of the source that is named like its kind."""
    name = f"RAG_{kind}_{option}".upper()
    return OLDER_VARIABLES.get(name, name)


def referenced_variables(sources_file: Path | None) -> set[str]:
    """Return the variables that the sources file refers to; none if it cannot be read, which `build_sources` tells."""
    try:
        text = sources_file.read_text(encoding="utf-8") if sources_file else ""
    except (OSError, UnicodeDecodeError):
        return set()
    return set(_REFERENCE.findall(text))


def build_sources(
    names: Sequence[str], sources_file: Path | None, environment: Mapping[str, str]
) -> list[Source]:
    """Return the named sources, each once.

    Args:
        names: none means every source of the file; without a file, the folder of documents.
        environment: variables that options are read from, and that the file refers to as `${NAME}`.

    Raises:
        ConfigurationError: a name that is not known, or an option that is missing or cannot be used.
    """
    declared = _read_declarations(sources_file) if sources_file else {}
    sources: list[Source] = []
    for name in _chosen(names, declared):
        if name in declared:
            sources.append(_from_file(name, declared[name], sources_file, environment))
        elif name in SOURCES:
            sources.append(_from_variables(name, environment))
        else:
            known = ", ".join(sorted({*declared, *SOURCES}))
            raise ConfigurationError(f"RAG_SOURCES names an unknown source: {name}. Known: {known}.")
    return sources


def source_names(names: Sequence[str], sources_file: Path | None) -> list[str]:
    """Return the names of the sources that `build_sources` would build, whether or not their options can be used.

    Raises:
        ConfigurationError: the sources file cannot be used.
    """
    return _chosen(names, _read_declarations(sources_file) if sources_file else {})


def _chosen(names: Sequence[str], declared: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(names or declared or ("filesystem",)))


def _read_declarations(path: Path) -> dict[str, dict[str, Any]]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"RAG_SOURCES_FILE: there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({type(error).__name__})") from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f", line {line + 1}"
        raise ConfigurationError(f"{path}{where}: this is not YAML") from None
    sources = content.get("sources") if isinstance(content, dict) else None
    if not isinstance(sources, dict) or not sources or set(content) != {"sources"}:
        raise ConfigurationError(
            f"{path}: expected `sources:` with at least one source by name, nothing else"
        )
    for name, declaration in sources.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"{path}: {name!r} cannot be the name of a source: letters, digits, `_`, `.`, `-`"
            )
        if not isinstance(declaration, dict) or not isinstance(declaration.get("kind"), str):
            raise ConfigurationError(f"{path}: source {name}: `kind` is missing. Known: {_kinds()}.")
        if declaration["kind"] not in SOURCES:
            raise ConfigurationError(
                f"{path}: source {name}: unknown kind {declaration['kind']}. Known: {_kinds()}."
            )
    return sources


def _from_file(
    name: str, declaration: Mapping[str, Any], path: Path | None, environment: Mapping[str, str]
) -> Source:
    where = f"{path}: source {name}"
    options = {
        option: _resolved(value, environment, where)
        for option, value in declaration.items()
        if option != "kind"
    }
    return _build(
        name, declaration["kind"], options, {option: f"{where}: {option}" for option in options}, where
    )


def _from_variables(kind: str, environment: Mapping[str, str]) -> Source:
    fields = SOURCES[kind].Options.model_fields
    variables = {option: variable_of(kind, option) for option in fields}
    options: dict[str, Any] = {}
    for option, variable in variables.items():
        if environment.get(variable):
            value = environment[variable]
            options[option] = _split(value) if _is_list(fields[option].annotation) else value
    return _build(kind, kind, options, variables, f"source {kind}")


def _build(name: str, kind: str, options: Mapping[str, Any], shown: Mapping[str, str], where: str) -> Source:
    try:
        return SOURCES[kind](name, SOURCES[kind].Options(**options))
    except ValidationError as error:
        fields = SOURCES[kind].Options.model_fields
        labels = {"": where, **shown}
        raise ConfigurationError(
            describe_invalid_values(
                error, fields, lambda name: labels.get(name, name), f"a source of kind {kind}"
            )
        ) from None


def _resolved(value: Any, environment: Mapping[str, str], where: str) -> Any:
    """Put variables in the place of `${NAME}`, at any depth."""
    if isinstance(value, str):

        def variable(match: re.Match[str]) -> str:
            if match[1] not in environment:
                raise ConfigurationError(f"{where} refers to ${{{match[1]}}}, which is not set")
            return environment[match[1]]

        return _REFERENCE.sub(variable, value)
    if isinstance(value, dict):
        return {key: _resolved(inner, environment, where) for key, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, environment, where) for inner in value]
    return value


def _is_list(annotation: Any) -> bool:
    return "tuple[" in str(annotation)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _kinds() -> str:
    return ", ".join(sorted(SOURCES))
