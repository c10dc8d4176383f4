"""Word documents (.docx) by mammoth, which makes HTML of them, and resiliparse, which makes text of that.

Here belongs what protects the process from the archive, and what must be changed so that the text comes out
right. The text is the one that Word shows with all changes accepted. Nothing is fetched, no picture unpacked.
"""

import io
import re
import zipfile
from importlib.metadata import version
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.parsers import expat

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.html import HEADINGS, marked_text
from rag_assets.parsers.layout import label, looks_like_header, one_line, row_line, without_marks
from rag_assets.records import ParsedDocument

if TYPE_CHECKING:
    from resiliparse.parse.html import DocumentNode, ElementNode

MAX_XML_BYTES = 64 * 1024 * 1024
"""Unpacked size of the XML parts, together. Pictures do not count."""
MAX_XML_NODES = 1_000_000
"""Elements and attributes: about a thousand pages. mammoth (1.13.0) takes some 1 kB and 0.1 ms for each."""

_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")
# Simple fields and phonetic guides: mammoth skips them with all that is in them, but looks into smart tags.
_SKIPPED_WRAPPER = re.compile(rb"(?<=[</])w:(?:fldSimple|rubyBase|ruby)(?=[\s>])")
# Headings are one level below the title. Names of styles are English in every Word; their case does not matter.
_STYLE_MAP = "\n".join(
    (
        "p[style-name='Title'] => h1.title:fresh",
        *(f"p[style-name='Heading {level}'] => h{min(level + 1, 6)}:fresh" for level in range(1, 10)),
        "p[style-name^='TOC '] => !",
        "r[style-name='Placeholder Text'] => !",
    )
)


class DocxParser:
    """Title: that of the properties, else the first paragraph of style Title, else the first heading."""

    name = "docx"
    suffixes: tuple[str, ...] = (".docx",)

    def __init__(self) -> None:
        self.version = f"1/{version('mammoth')}/{version('resiliparse')}"

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        import mammoth
        from resiliparse.parse.html import HTMLTree

        del filename
        parts = _checked_parts(data)
        # Packed anew, so that no link in the archive leads mammoth to a part that was not checked.
        checked = io.BytesIO()
        with zipfile.ZipFile(checked, "w") as archive:
            for name, xml in parts.items():
                archive.writestr(name, _SKIPPED_WRAPPER.sub(b"w:smartTag", xml))
        try:
            html: str = mammoth.convert_to_html(
                checked,
                style_map=_STYLE_MAP,
                convert_image=_no_image,
                include_embedded_style_map=False,
                external_file_access=False,
            ).value
        except OSError:  # no disk is involved: it finds no main part
            raise DocumentUnreadable("corrupt", "It is a zip archive, but not a Word document.") from None
        tree = HTMLTree.parse(html.replace("\u2011", "-"))  # else no search for ISO-9001 finds it
        document, body = tree.document, tree.body
        if document is None or body is None:
            return ParsedDocument(text="")
        for arrow in body.query_selector_all("a[href^='#footnote-ref-'], a[href^='#endnote-ref-']").values():
            arrow.remove()
        for table in reversed(list(body.query_selector_all("table").values())):  # inner tables first
            _label_rows(document, table)
        for paragraph in body.query_selector_all("p").values():
            if (text := paragraph.inner_text) != without_marks(text):
                paragraph.text_content = without_marks(text)
        core = parts.get("docProps/core.xml")
        titles = [(ElementTree.fromstring(core).findtext("{*}title") or "") if core else ""]  # noqa: S314  checked
        for selector in ("h1.title", HEADINGS):
            titles += [heading.inner_text for heading in body.query_selector_all(selector).values()]
        title = next(filter(None, map(one_line, titles)), "")
        return ParsedDocument(text=marked_text(tree, main_content=False), title=title)


def _no_image(_: object) -> list[object]:
    return []


def _checked_parts(data: bytes) -> dict[str, bytes]:
    """Return the XML parts by name: no more of them than is bearable, none with a document type.

    Raises:
        DocumentUnreadable: `encrypted`, `corrupt`, `too_large`.
    """
    if data.startswith(_OLE_MAGIC):
        if _ENCRYPTED_STREAM in data:
            raise DocumentUnreadable("encrypted", "It needs a password. Store it without one.")
        raise DocumentUnreadable("corrupt", "It is a Word document of the old kind; save it as .docx.")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile:
        raise DocumentUnreadable("corrupt", "It is not a zip archive, or its end is missing.") from None
    entries = {it.filename: it for it in archive.infolist() if it.filename.endswith((".xml", ".rels"))}
    # Before anything is unpacked. No more than the directory says is unpacked later.
    if sum(entry.file_size for entry in entries.values()) > MAX_XML_BYTES:
        raise DocumentUnreadable("too_large", f"It unpacks to more than {MAX_XML_BYTES >> 20} MiB. Split it.")
    if any(entry.flag_bits & 1 for entry in entries.values()):
        raise DocumentUnreadable("encrypted", "It is a zip archive with a password. Store it without one.")
    if {entry.compress_type for entry in entries.values()} - {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise DocumentUnreadable("corrupt", "It is packed in a way that Word does not know.")
    parts = {name: archive.read(entry) for name, entry in entries.items()}
    _check_xml(parts)
    return parts


def _check_xml(parts: dict[str, bytes]) -> None:
    num_nodes = 0

    def count(_: str, attributes: dict[str, str]) -> None:
        nonlocal num_nodes
        num_nodes += 1 + len(attributes)
        if num_nodes > MAX_XML_NODES:
            raise DocumentUnreadable("too_large", f"It has more than {MAX_XML_NODES:,} XML nodes. Split it.")

    def refuse(*_: object) -> None:
        # Before any entity of it is declared: they are how XML reaches for files and grows without bound.
        raise DocumentUnreadable("corrupt", "It declares a document type, which Word documents never do.")

    for xml in parts.values():
        parser = expat.ParserCreate()
        parser.StartElementHandler = count
        parser.StartDoctypeDeclHandler = refuse
        parser.Parse(xml, True)


def _label_rows(document: "DocumentNode", table: "ElementNode") -> None:
    """Turn each row into one line, with the names of the columns where the table has some."""
    grid = [
        [one_line(cell.inner_text) for cell in row.query_selector_all("td, th").values()]
        for row in table.query_selector_all("tr").values()
    ]
    is_frame = len(grid) == 1 or all(len(cells) == 1 for cells in grid)
    if is_frame and table.closest("td, th") is None:
        return
    num_headers = len(table.query_selector_all("thead tr"))
    if grid and not num_headers and len(grid[0]) > 2 and looks_like_header(grid[0]):
        num_headers = 1
    # Among merged cells the place of a cell in its row does not tell its column.
    if len(set(map(len, grid))) > 1 or num_headers == len(grid):
        num_headers = 0
    headers = [label(" ".join(dict.fromkeys(names))) for names in zip(*grid[:num_headers], strict=True)]
    lines = document.create_element("pre")
    lines.text_content = without_marks("\n".join(row_line(headers, cells) for cells in grid[num_headers:]))
    table.replace_with(lines)
