"""Plain words for values refused by pydantic, in settings and in options of sources.

Each problem names the variable, the values it may have, and the value it has now. A value is quoted only if it is a
number or a single short word: a key pasted into the wrong variable must not reach a log.
"""

import re
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

_QUOTABLE = re.compile(r"[A-Za-z_]{1,12}|[-+]?[\d.,_]{1,20} ?[A-Za-z%]{0,4}")

FORM = "form"
"""Key in `json_schema_extra` of a field: its form in words, where type and limits do not say enough."""


def describe_invalid_values(
    error: ValidationError, fields: Mapping[str, FieldInfo], label_of: Callable[[str], str], owner: str
) -> str:
    """Return every problem of a refused model, separated by semicolons.

    Args:
        fields: by their name in the error.
        label_of: name of a field -> the name known to the user, such as its variable. "" -> the name of the whole.
        owner: owner of the fields, such as `a source of kind s3`.
    """
    return "; ".join(
        _problem(item, fields, label_of, owner)
        for item in error.errors(include_url=False, include_context=True)
    )


def _problem(item: Any, fields: Mapping[str, FieldInfo], label_of: Callable[[str], str], owner: str) -> str:
    name = str(item["loc"][0]) if item["loc"] else ""
    field = fields.get(name)
    label = label_of(name)
    if item["type"] == "value_error":  # raised by a validator of ours
        return f"{label}: {item['ctx']['error']}"
    if item["type"] == "extra_forbidden" or field is None:
        return f"{label}: unknown option; {owner} has {', '.join(fields)}"
    if item["type"] == "missing":
        return f"{label}: required, but not set. {field.description}"
    return f"{label}: expected {expected_form(field)}, found {_shown(item['input'], field)}"


def expected_form(field: FieldInfo) -> str:
    """Return the possible values of a field in words, for example `a whole number of at least 16`."""
    if isinstance(field.json_schema_extra, dict) and FORM in field.json_schema_extra:
        return str(field.json_schema_extra[FORM])
    annotation = _without_none(field.annotation)
    if get_origin(annotation) is Literal:
        *others, last = (f"`{value}`" for value in get_args(annotation))
        return f"{', '.join(others)} or {last}" if others else last
    if annotation is bool:
        return "`true` or `false`"
    if annotation in (int, float):
        return ("a whole number" if annotation is int else "a number") + _limits(field)
    if annotation is Path:
        return "a path"
    if get_origin(annotation) in (tuple, list):
        return "a list of texts"
    if get_origin(annotation) is dict:
        return "a mapping (in a variable, a JSON object)"
    pattern = next(filter(None, (getattr(item, "pattern", None) for item in field.metadata)), None)
    return f"text of the form {pattern}" if pattern else "text"


def _limits(field: FieldInfo) -> str:
    limits = {
        name: f"{getattr(item, name):g}" if isinstance(getattr(item, name), float) else getattr(item, name)
        for item in field.metadata
        for name in ("gt", "ge", "le", "lt")
        if getattr(item, name, None) is not None
    }
    if limits.keys() == {"ge", "le"}:
        return f" from {limits['ge']} to {limits['le']}"
    words = {"gt": "greater than", "ge": "of at least", "le": "of at most", "lt": "less than"}
    return "".join(
        f"{' and' if number else ''} {words[name]} {limit}"
        for number, (name, limit) in enumerate(limits.items())
    )


def _shown(value: object, field: FieldInfo) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple | set):
        return "a list"
    if value is None:
        return "no value"
    text = str(value)
    if not text:
        return "an empty value"
    if _QUOTABLE.fullmatch(text) and not may_hold_secrets(field.annotation):
        return f"`{text}`"
    return "a value not shown here, because it could be a key"


def may_hold_secrets(annotation: Any) -> bool:
    """Whether a field is a secret, or a mapping of arguments with secrets among them."""
    annotation = _without_none(annotation)
    return annotation is SecretStr or get_origin(annotation) is dict


def _without_none(annotation: Any) -> Any:
    """Return `X` for `X`, `X | None` and `Annotated[X, …]`."""
    if get_origin(annotation) is Annotated:
        return _without_none(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        others = [one for one in get_args(annotation) if one is not type(None)]
        return _without_none(others[0])
    return annotation
