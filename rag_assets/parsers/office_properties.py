"""Properties of Office Open XML packages: the core properties, and those that an organization adds."""

from itertools import islice
from xml.etree import ElementTree

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.values import Metadata
from rag_assets.parsers.properties import (
    MOST_PROPERTIES,
    Properties,
    add,
    add_element,
    read_quietly,
    text_in,
    xml_in,
)
from rag_assets.parsers.zip_container import CORE_PROPERTIES, ZipContainer

_CUSTOM_PROPERTIES = "docProps/custom.xml"
_NAMES = {"revision": "", "lastPrinted": ""}
_INTEGERS = frozenset(("i1", "i2", "i4", "i8", "int", "ui1", "ui2", "ui4", "ui8", "uint"))
_NUMBERS = frozenset(("r4", "r8", "decimal"))


def office_properties(container: ZipContainer) -> Metadata:
    """Return the properties of a package. Unreadable ones are left out with a word."""
    return normalized(
        read_quietly("properties", lambda: _core_properties(container)),
        read_quietly("custom properties", lambda: _custom_properties(container)),
    )


def _core_properties(container: ZipContainer) -> Properties:
    found: Properties = {}
    root = xml_in(container, CORE_PROPERTIES)
    for element in islice(root if root is not None else (), MOST_PROPERTIES):
        add_element(found, element, _NAMES)
    return found


def _custom_properties(container: ZipContainer) -> Properties:
    found: Properties = {}
    root = xml_in(container, _CUSTOM_PROPERTIES)
    for element in islice(root if root is not None else (), MOST_PROPERTIES):
        for value in islice(element, 1):
            add(found, element.get("name", ""), _value(value))
    return found


def _value(element: ElementTree.Element) -> object:
    """Return the value of a custom property in the type of its element. A value of another form stays text."""
    kind, text = element.tag.rpartition("}")[2], text_in(element)
    try:
        if kind in _INTEGERS:
            return int(text)
        if kind in _NUMBERS:
            return float(text)
    except ValueError:
        return text
    if kind == "bool":
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    if kind == "vector":
        return [text_in(item) for item in islice(element, MOST_PROPERTIES)]
    return text
