"""Sources from their declarations: entries of the sources file, or environment variables.

A name in `RAG_SOURCES` is an entry of the file or a kind. A kind is also the name of a source described by variables
`RAG_<KIND>_<OPTION>`. Names and values of options are defined by each source.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from rag_assets.environment import secret, secret_variables
from rag_assets.errors import ConfigurationError
from rag_assets.invalid_values import describe_invalid_values, may_hold_secrets
from rag_assets.secret_values import remember, remember_arguments
from rag_assets.sources.base import Source
from rag_assets.sources.registry import SOURCES

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HERE = Path()
OLDER_VARIABLES = {"RAG_FILESYSTEM_FOLDER": "RAG_DOCUMENTS_DIR"}
"""Variable by the rule -> actual variable, for an option older than the rule."""


def variable_of(kind: str, option: str) -> str:
    """Return the environment variable for an option of the source named after its kind."""
    name = f"RAG_{kind}_{option}".upper()
    return OLDER_VARIABLES.get(name, name)


def referenced_variables(sources_file: Path | None) -> set[str]:
    """Return the variables in the sources file, and those for the places of secrets. An unreadable file has none here: `build_sources` reports it."""
    try:
        text = sources_file.read_text(encoding="utf-8") if sources_file else ""
    except (OSError, UnicodeDecodeError):
        return set()
    names = set(_REFERENCE.findall(text))
    return {variable for name in names for variable in secret_variables(name)}


def build_sources(
    names: Sequence[str], sources_file: Path | None, environment: Mapping[str, str], home: Path = _HERE
) -> list[Source]:
    """Return the named sources, without duplicates.

    Args:
        names: empty for all sources of the file, or for the folder of documents if there is no file.
        environment: variables with options, and for `${NAME}` in the file.
        home: folder of relative paths in options.

    Raises:
        ConfigurationError: an unknown name, or a missing or invalid option.
    """
    declared = _read_declarations(sources_file) if sources_file else {}
    sources: list[Source] = []
    for name in _chosen(names, declared):
        if name in declared:
            sources.append(_from_file(name, declared[name], sources_file, environment, home))
        elif name in SOURCES:
            sources.append(_from_variables(name, environment, home))
        else:
            known = ", ".join(sorted({*declared, *SOURCES}))
            raise ConfigurationError(f"RAG_SOURCES: unknown source {name}. Known: {known}.")
    return sources


def source_names(names: Sequence[str], sources_file: Path | None) -> list[str]:
    """Return the names of the sources that `build_sources` would build, without checking their options.

    Raises:
        ConfigurationError: the sources file is missing or invalid.
    """
    return _chosen(names, _read_declarations(sources_file) if sources_file else {})


def kinds_of(names: Sequence[str], sources_file: Path | None) -> set[str]:
    """Return the kinds of the sources that `build_sources` would build.

    Raises:
        ConfigurationError: the sources file is missing or invalid.
    """
    declared = _read_declarations(sources_file) if sources_file else {}
    return {declared[name]["kind"] if name in declared else name for name in _chosen(names, declared)}


def _chosen(names: Sequence[str], declared: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(names or declared or ("filesystem",)))


def _read_declarations(path: Path) -> dict[str, dict[str, Any]]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"RAG_SOURCES_FILE: file {path} not found") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({type(error).__name__})") from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f", line {line + 1}"
        raise ConfigurationError(f"{path}{where}: invalid YAML") from None
    sources = content.get("sources") if isinstance(content, dict) else None
    if not isinstance(sources, dict) or not sources or set(content) != {"sources"}:
        raise ConfigurationError(f"{path}: expected one key, `sources:`, with at least one source below it")
    for name, declaration in sources.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"{path}: invalid source name {name!r}. Use up to 100 letters, digits, `_`, `.` and `-`, neither `.` nor `-` first."
            )
        if not isinstance(declaration, dict) or not isinstance(declaration.get("kind"), str):
            raise ConfigurationError(f"{path}: source {name}: `kind` is missing. Known kinds: {_kinds()}.")
        if declaration["kind"] not in SOURCES:
            raise ConfigurationError(
                f"{path}: source {name}: unknown kind {declaration['kind']}. Known kinds: {_kinds()}."
            )
    return sources


def _from_file(
    name: str,
    declaration: Mapping[str, Any],
    path: Path | None,
    environment: Mapping[str, str],
    home: Path,
) -> Source:
    where, kind = f"{path}: source {name}", declaration["kind"]
    options = {
        option: _resolved(value, environment, where, home)
        for option, value in declaration.items()
        if option != "kind"
    }
    shown = {option: f"{where}: {option}" for option in (*SOURCES[kind].Options.model_fields, *options)}
    return _build(name, kind, options, shown, where, home)


def _from_variables(kind: str, environment: Mapping[str, str], home: Path) -> Source:
    fields = SOURCES[kind].Options.model_fields
    variables = {option: variable_of(kind, option) for option in fields}
    options: dict[str, Any] = {}
    for option, variable in variables.items():
        is_secret = may_hold_secrets(fields[option].annotation)
        value = secret(variable, environment, home) if is_secret else environment.get(variable)
        if value:
            options[option] = _split(value) if _is_list(fields[option].annotation) else value
    return _build(kind, kind, options, variables, f"source {kind}", home)


def _build(
    name: str, kind: str, options: Mapping[str, Any], shown: Mapping[str, str], where: str, home: Path
) -> Source:
    for option, field in SOURCES[kind].Options.model_fields.items():
        if field.annotation is SecretStr:
            remember(str(options.get(option, "")))
        elif may_hold_secrets(field.annotation):
            remember_arguments(options.get(option))
    try:
        checked = SOURCES[kind].Options(**options)
        # Not `model_copy`, which would count a default as set.
        vars(checked).update({option: home / value for option, value in checked if isinstance(value, Path)})
        return SOURCES[kind](name, checked)
    except ValidationError as error:
        fields = SOURCES[kind].Options.model_fields
        labels = {"": where, **shown}
        raise ConfigurationError(
            describe_invalid_values(
                error, fields, lambda name: labels.get(name, name), f"a source of kind {kind}"
            )
        ) from None


def _resolved(value: Any, environment: Mapping[str, str], where: str, home: Path) -> Any:
    """Replace `${NAME}` by the value of the variable, or of its file, at any depth."""
    if isinstance(value, str):

        def variable(match: re.Match[str]) -> str:
            found = secret(match[1], environment, home)
            if found is None:
                raise ConfigurationError(
                    f"{where}: ${{{match[1]}}} is not set. Set the variable, or write the value."
                )
            return found

        return _REFERENCE.sub(variable, value)
    if isinstance(value, dict):
        return {key: _resolved(inner, environment, where, home) for key, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, environment, where, home) for inner in value]
    return value


def _is_list(annotation: Any) -> bool:
    return "tuple[" in str(annotation)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _kinds() -> str:
    return ", ".join(sorted(SOURCES))
