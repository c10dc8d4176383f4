"""Properties of OpenDocument files: those of the format, and those that the user defines."""

from itertools import islice

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.values import Metadata
from rag_assets.parsers.odf_names import META, OFFICE
from rag_assets.parsers.properties import (
    MOST_PROPERTIES,
    Properties,
    add,
    add_element,
    read_quietly,
    text_in,
    xml_in,
)
from rag_assets.parsers.zip_container import ZipContainer

ODF_PROPERTIES = "meta.xml"

_NAMES = {
    "initial-creator": "author",
    "creator": "last_modified_by",
    "creation-date": "created",
    "date": "modified",
    "keyword": "keywords",
    **dict.fromkeys(
        (
            *(
                "generator",
                "document-statistic",
                "editing-cycles",
                "editing-duration",
                "print-date",
                "printed-by",
            ),
            *("template", "auto-reload", "hyperlink-behaviour"),
        ),
        "",
    ),
}


def odf_properties(container: ZipContainer) -> Metadata:
    """Return the properties of an OpenDocument file. Unreadable ones are left out with a word."""
    return normalized(read_quietly("properties", lambda: _properties(container)))


def _properties(container: ZipContainer) -> Properties:
    found: Properties = {}
    root = xml_in(container, ODF_PROPERTIES)
    fields = root if root is not None else ()
    inner = root.find(f"{OFFICE}meta") if root is not None else None
    for element in islice(fields if inner is None else inner, MOST_PROPERTIES):
        if element.tag == f"{META}user-defined":
            text = text_in(element)
            add(found, element.get(f"{META}name", ""), _value(element.get(f"{META}value-type", ""), text))
        else:
            add_element(found, element, _NAMES)
    return found


def _value(kind: str, text: str) -> object:
    try:
        if kind == "float":
            return float(text)
    except ValueError:
        return text
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    return text
