"""Books (.epub): the chapters in reading order, each by resiliparse.

Here belongs the way from the archive to the chapters. EbookLib is not used: its license is the AGPL. Nothing is
fetched, no picture is unpacked.
"""

import posixpath
import re
from importlib.metadata import version
from itertools import islice
from urllib.parse import unquote
from xml.etree import ElementTree

from rag_assets.document_metadata.normalization import normalized
from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.html import is_too_deep, marked_text, plain_text
from rag_assets.parsers.html_tables import label_tables
from rag_assets.parsers.properties import MOST_PROPERTIES, Properties, add, add_element, read_quietly, text_in
from rag_assets.parsers.zip_container import ZipContainer, declared_type, holds_member
from rag_assets.records import ParsedDocument
from rag_assets.text.decoding import decode_text

MAX_CHAPTER_BYTES = 64 * 1024 * 1024
"""Unpacked size of all chapters together. Pictures and fonts do not count."""

_MAX_PACKAGE_BYTES = 16 * 1024 * 1024
_MAX_PACKAGE_NODES = 500_000
_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_CHAPTER_TYPES = ("application/xhtml+xml", "text/html", "text/x-oeb1-document")
# Books scramble their embedded fonts. Undoing that needs no key, and fonts are not read.
_FONT_SCRAMBLING = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
# HTML has no other empty elements: an empty <title/> would stay open to the end of the chapter.
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "wbr")
)
_MARK = re.compile(r"<[^<>]{0,500}>")
_EMPTY_ELEMENT = re.compile(r"<([A-Za-z][\w:.-]*)((?:\s[^<>]*)?)/>")


class EpubParser:
    """Title: from the package document."""

    name = "epub"
    suffixes: tuple[str, ...] = (".epub",)

    def __init__(self) -> None:
        self.version = f"2/{version('resiliparse')}"

    def recognizes(self, data: bytes) -> bool:
        """See `RecognizesContent`."""
        return declared_type(data) == "application/epub+zip" or holds_member(data, _CONTAINER)

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        del filename
        container = ZipContainer(data)
        root_file = _xml(container, _CONTAINER).find(".//{*}rootfile")
        package_name = root_file.get("full-path", "") if root_file is not None else ""
        package = _xml(container, package_name)
        chapters = list(dict.fromkeys(_chapters(package, posixpath.dirname(package_name))))
        if any(name not in container for name in chapters):
            raise DocumentUnreadable("corrupt", "A chapter of it is missing.")
        if _encrypted(container).intersection(chapters):
            raise DocumentUnreadable("encrypted", "It is copy-protected. Store an unprotected copy.")
        container.check(chapters, MAX_CHAPTER_BYTES)
        texts = (_chapter_text(container.read(name)) for name in chapters)
        return ParsedDocument(
            text="\n\n".join(filter(str.strip, texts)),
            title=container.title_in(package_name),
            metadata=normalized(read_quietly("properties", lambda: _properties(package))),
        )


def _xml(container: ZipContainer, name: str) -> ElementTree.Element:
    if name not in container:
        raise DocumentUnreadable("corrupt", "It is a ZIP archive, but not an EPUB.")
    container.check_xml([name], max_bytes=_MAX_PACKAGE_BYTES, max_nodes=_MAX_PACKAGE_NODES)
    return ElementTree.fromstring(container.read(name))  # noqa: S314  checked


def _chapters(package: ElementTree.Element, folder: str) -> list[str]:
    """Return the names of the chapters in their order, without the table of contents."""
    items = {item.get("id"): item for item in package.iterfind("./{*}manifest/{*}item")}
    names: list[str] = []
    for reference in package.iterfind("./{*}spine/{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is None:
            raise DocumentUnreadable("corrupt", "A chapter of it is missing.")
        is_contents = "nav" in item.get("properties", "").split()
        if item.get("media-type") in _CHAPTER_TYPES and not is_contents:
            path = unquote(item.get("href", "").partition("#")[0])
            names.append(posixpath.normpath(posixpath.join(folder, path)))
    return names


def _properties(package: ElementTree.Element) -> Properties:
    """Return the metadata of a package document, also those added by the programs of libraries."""
    found: Properties = {}
    metadata = package.find("./{*}metadata")
    for element in islice(metadata if metadata is not None else (), MOST_PROPERTIES):
        if element.tag.rpartition("}")[2] != "meta":
            add_element(found, element)
        elif element.get("property") and not element.get("refines"):  # EPUB 3
            add(found, element.get("property", "").removeprefix("dcterms:"), text_in(element))
        elif element.get("name") not in ("cover", None):  # EPUB 2
            add(found, element.get("name", ""), element.get("content"))
    if isinstance(description := found.get("description"), str):  # libraries write HTML into it
        found["description"] = " ".join(_MARK.sub(" ", description).split())
    return found


def _encrypted(container: ZipContainer) -> set[str]:
    """Return the names of the members with real encryption."""
    if _ENCRYPTION not in container:
        return set()
    return {
        unquote(reference.get("URI", ""))
        for data in _xml(container, _ENCRYPTION).iterfind(".//{*}EncryptedData")
        if not any(
            method.get("Algorithm") in _FONT_SCRAMBLING for method in data.iterfind("{*}EncryptionMethod")
        )
        for reference in data.iterfind(".//{*}CipherReference")
    }


def _chapter_text(data: bytes) -> str:
    from resiliparse.parse.html import HTMLTree

    html = _EMPTY_ELEMENT.sub(_closed, decode_text(data, html=True))
    tree = HTMLTree.parse(html)
    if tree.document is None or tree.body is None or is_too_deep(html):
        return plain_text(tree)
    label_tables(tree.document, tree.body)
    return marked_text(tree, main_content=False)


def _closed(element: re.Match[str]) -> str:
    name, attributes = element.groups()
    return element[0] if name.lower() in _VOID else f"<{name}{attributes}></{name}>"
