"""Metadata of a document, as every parser collects them: never a reason to lose its text, and with the same names.

The names of formats become one set: `author`, `created`, `modified`, `subject`, `keywords`, `description`, `category`,
`language`, `last_modified_by`. Other fields keep their name. The title is a field of its own. Producing programs are left
out.
"""

import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any
from xml.etree import ElementTree

from rag_assets.document_metadata.values import Metadata
from rag_assets.parsers.zip_container import ZipContainer

Properties = dict[str, Any]
"""Name -> value of any type. Normalized later."""

MOST_PROPERTIES = 2_000
"""Further ones are not looked at."""

_MAX_XML_BYTES = 2 << 20
_MAX_XML_NODES = 100_000
_MOST_TEXTS = 200
_MOST_CHARACTERS = 8_000
_SEPARATOR = re.compile(r"[,;]")
_COMMON_NAMES = {"creator": "author", "contentStatus": "status"}


def read_quietly(what: str, read: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return what `read` returns, or metadata with a word about `what` if it fails in any way."""
    try:
        return read()
    except BaseException as error:
        # A panic in a Rust library arrives as a BaseException of this name.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        return not_readable(what)


def not_readable(what: str) -> Metadata:
    """Return metadata without values that say: these properties could not be read."""
    return Metadata.of({}, (f"not readable: {what}",))


def add(found: Properties, name: str, value: object) -> None:
    """Add a value. Several values for one name become a list."""
    if not name or value is None or value == "":
        return
    earlier = found.get(name)
    if earlier is None:
        found[name] = value
    elif isinstance(earlier, list):
        earlier.extend(value if isinstance(value, list) else [value])
    else:
        found[name] = [earlier, *value] if isinstance(value, list) else [earlier, value]


def keywords(text: str) -> list[str]:
    """Return the keywords of a text with commas or semicolons."""
    return [word for part in _SEPARATOR.split(text[:_MOST_CHARACTERS]) if (word := part.strip())]


def add_element(
    found: Properties, element: ElementTree.Element, names: Mapping[str, str] | None = None
) -> None:
    """Add the text of an element under its name, without the namespace. Keywords become a list.

    Args:
        names: name of the element -> name here, "" to leave it out, besides those that all formats share.
    """
    name = element.tag.rpartition("}")[2]
    name = (names or {}).get(name, _COMMON_NAMES.get(name, name))
    if name not in ("", "title"):
        text = text_in(element)
        add(found, name, keywords(text) if name == "keywords" else text)


def text_in(element: ElementTree.Element) -> str:
    """Return the text in an element on one line, cut where nothing reads on."""
    return " ".join("".join(islice(element.itertext(), _MOST_TEXTS))[:_MOST_CHARACTERS].split())


def xml_in(container: ZipContainer, name: str) -> ElementTree.Element | None:
    """Return the root of a small part with properties, None if the container has no such part.

    Raises:
        DocumentUnreadable: it is too large, or no XML.
    """
    if name not in container:
        return None
    container.check_xml([name], max_bytes=_MAX_XML_BYTES, max_nodes=_MAX_XML_NODES)
    return ElementTree.fromstring(container.read(name))  # noqa: S314  checked
