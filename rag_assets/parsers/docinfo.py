"""Metadata of reStructuredText: the field list at the top of a document."""

from itertools import islice
from typing import TYPE_CHECKING, Any

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.values import Metadata
from rag_assets.parsers.properties import MOST_PROPERTIES, Properties, add, keywords, read_quietly

if TYPE_CHECKING:
    from docutils import nodes

_LISTS = ("keywords", "tags", "categories")


def docinfo_metadata(document: "nodes.document | None") -> Metadata:
    """Return the fields at the top of a document read by docutils."""
    return normalized(read_quietly("field list", lambda: _fields(document)))


def _fields(document: "nodes.document | None") -> Properties:
    from docutils import nodes

    found: Properties = {}
    for docinfo in islice(document.findall(nodes.docinfo) if document else (), 1):
        for field in islice(docinfo, MOST_PROPERTIES):
            if isinstance(field, nodes.field):
                name, text = _text(field[0]), _text(field[1])
                add(found, name, keywords(text) if name.lower() in _LISTS else text)
            elif isinstance(field, nodes.authors):
                for author in islice(field, MOST_PROPERTIES):
                    add(found, "author", _text(author))
            else:
                add(found, type(field).__name__, _text(field))
    return found


def _text(node: Any) -> str:
    return " ".join(node.astext().split())
