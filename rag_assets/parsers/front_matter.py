"""Metadata in YAML front matter. Values mean what YAML 1.2 says: `NO` is a text, `12:30` is no number."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.values import NO_METADATA, Metadata
from rag_assets.parsers.properties import keywords, not_readable, read_quietly

_MAX_CHARACTERS = 32 * 1024
_LISTS = ("keywords", "tags", "categories")
_KINDS = (
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9]\d*)", "-+0123456789"),
    ("float", r"[-+]?\d*\.\d+(?:[eE][-+]?\d+)?", "-+.0123456789"),
    ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
    (
        "timestamp",
        r"\d{4}-\d\d-\d\d(?:(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?(?:[ \t]*(?:Z|[-+]\d\d?(?::?\d\d)?))?)?",
        "0123456789",
    ),
)


def front_matter_metadata(source: str) -> Metadata:
    """Return the metadata in the YAML between the two marks, without the title."""
    if not source.strip():
        return NO_METADATA
    if len(source) > _MAX_CHARACTERS:
        return not_readable("front matter")
    return normalized(read_quietly("front matter", lambda: _mapping(source)))


def _mapping(source: str) -> Mapping[str, Any]:
    import yaml

    found = yaml.load(source, _loader())  # noqa: S506  a safe one
    if found is None:
        return {}
    if not isinstance(found, dict):
        return not_readable("front matter")
    values = {key: it for key, it in cast("dict[Any, Any]", found).items() if key != "title"}
    for name in _LISTS:
        if isinstance(text := values.get(name), str):
            values[name] = keywords(text)
    return values


@cache
def _loader() -> Any:
    """Return the safe loader of PyYAML with the types of YAML 1.2, in which no value is an error."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("Loader", (base,), {"yaml_implicit_resolvers": {}})
    for kind, pattern, first in _KINDS:
        tag = f"tag:yaml.org,2002:{kind}"
        loader.add_implicit_resolver(tag, re.compile(f"(?:{pattern})$", re.ASCII), list(first))
    for kind in ("int", "float", "timestamp", "bool", "null", "binary"):
        tag = f"tag:yaml.org,2002:{kind}"
        loader.add_constructor(tag, _or_text(loader.yaml_constructors[tag]))
    loader.add_constructor(None, _text_of)
    return loader


def _or_text(construct: Any) -> Any:
    def constructed(loader: Any, node: Any) -> Any:
        try:
            return construct(loader, node)
        except (ValueError, TypeError, AttributeError, OverflowError, LookupError):
            return _text_of(loader, node)

    return constructed


def _text_of(_: Any, node: Any) -> Any:
    """Return a value of an unknown type, or a broken date, as the text that it is."""
    return node.value if isinstance(node.value, str) else None
