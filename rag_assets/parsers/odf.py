"""OpenDocument texts, spreadsheets and presentations (.odt, .ods, .odp), as LibreOffice writes them.

Read directly from the XML. The library odfdo builds the tree of a whole spreadsheet, and leaves it to its caller to tell
text from comments, deleted paragraphs and page numbers. Here belongs the meaning of each element.
"""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.layout import one_line, table_text, without_marks
from rag_assets.parsers.odf_names import DRAW, OFFICE, PRESENTATION, STYLE, SVG, TABLE, TEXT
from rag_assets.parsers.odf_properties import ODF_PROPERTIES, odf_properties
from rag_assets.parsers.ods_sheets import spreadsheet_blocks
from rag_assets.parsers.zip_container import ZipContainer, declared_type
from rag_assets.records import ParsedDocument

Element = ElementTree.Element

MAX_XML_BYTES = 64 * 1024 * 1024
"""Unpacked size of a text or a presentation."""
MAX_XML_NODES = 1_500_000
"""Elements and attributes of a text or a presentation: more than a thousand pages."""
MAX_SHEET_XML_BYTES = 512 * 1024 * 1024
MAX_SHEET_XML_NODES = 12_000_000
"""Of a spreadsheet. It is read row by row."""

_MEDIA_TYPE = "application/vnd.oasis.opendocument."
_CONTENT, _STYLES, _MANIFEST = "content.xml", "styles.xml", "META-INF/manifest.xml"
_MIMETYPE = "mimetype"
_MAX_MIMETYPE_BYTES = 1 << 20
_MAX_MANIFEST_BYTES = 16 * 1024 * 1024
_INDEXES = tuple(
    f"{TEXT}{name}"
    for name in (
        *("table-of-content", "alphabetical-index", "illustration-index", "table-index", "object-index"),
        *("user-index", "bibliography"),
    )
)
# Elements inside the text without text of the document. Ruby text is the reading of its base.
_NO_TEXT = frozenset(
    (
        *(*_INDEXES, f"{TEXT}tracked-changes", f"{TEXT}ruby-text", f"{TEXT}sequence-decls"),
        *(f"{TEXT}variable-decls", f"{TEXT}user-field-decls", f"{OFFICE}annotation", f"{OFFICE}forms"),
        *(f"{PRESENTATION}notes", f"{TEXT}page-number", f"{OFFICE}event-listeners", f"{DRAW}object"),
        *("{http://www.w3.org/1998/Math/MathML}math", f"{SVG}title"),
        f"{SVG}desc",
    )
)
_ROW_GROUPS = tuple(f"{TABLE}{name}" for name in ("table-header-rows", "table-rows", "table-row-group"))
_SPACES = tuple(f"{TEXT}{name}" for name in ("p", "h", "s", "tab", "line-break"))
_SHAPES_ON_EVERY_PAGE = ("page-number", "footer", "header", "date-time")
_XML_BREAK = re.compile(r"\s+")


class OdfParser:
    """Title: from the properties, else the first paragraph of style Title, else the first heading."""

    name = "odf"
    version = "2"
    suffixes: tuple[str, ...] = (".odt", ".ods", ".odp", ".odg", ".ott", ".ots", ".otp")

    def recognizes(self, data: bytes) -> bool:
        """See `RecognizesContent`."""
        return declared_type(data).startswith(_MEDIA_TYPE)

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        del filename
        container = ZipContainer(data)
        if _CONTENT not in container:
            raise DocumentUnreadable("corrupt", "It is a ZIP archive, but not an OpenDocument file.")
        _refuse_encrypted(container)
        names = [name for name in (_CONTENT, _STYLES, ODF_PROPERTIES) if name in container]
        is_spreadsheet = _media_type(container).startswith(f"{_MEDIA_TYPE}spreadsheet")
        container.check_xml(
            names,
            max_bytes=MAX_SHEET_XML_BYTES if is_spreadsheet else MAX_XML_BYTES,
            max_nodes=MAX_SHEET_XML_NODES if is_spreadsheet else MAX_XML_NODES,
        )
        title, metadata = container.title_in(ODF_PROPERTIES), odf_properties(container)
        if is_spreadsheet:
            with container.open(_CONTENT) as content:
                text = "\n\n".join(spreadsheet_blocks(content))
                return ParsedDocument(text=text, title=title, metadata=metadata)
        content = ElementTree.fromstring(container.read(_CONTENT))  # noqa: S314  checked
        styles = [content]
        if _STYLES in container:
            styles.append(ElementTree.fromstring(container.read(_STYLES)))  # noqa: S314  checked
        reader = _Reader(styles)
        body = content.find(f"{OFFICE}body")
        text = reader.read(body) if body is not None else ""
        return ParsedDocument(text=text, title=title or reader.title, metadata=metadata)


def _media_type(container: ZipContainer) -> str:
    if _MIMETYPE not in container:
        return ""
    container.check([_MIMETYPE], _MAX_MIMETYPE_BYTES)
    return container.read(_MIMETYPE).decode("ascii", "replace").strip()


def _refuse_encrypted(container: ZipContainer) -> None:
    if _MANIFEST in container:
        container.check([_MANIFEST], _MAX_MANIFEST_BYTES)
        if b"encryption-data" in container.read(_MANIFEST):
            raise DocumentUnreadable("encrypted", "It needs a password. Store it without one.")


class _Reader:
    """Turns the body of a text or a presentation into blocks, in order. Notes come last."""

    def __init__(self, styles: list[Element]) -> None:
        self._parents: dict[str, str] = {}
        self._hidden: set[str] = set()
        self._numbered: set[tuple[str, str]] = set()
        for root in styles:
            for style in root.iter(f"{STYLE}style"):
                name = style.get(f"{STYLE}name", "")
                self._parents[name] = style.get(f"{STYLE}parent-style-name", "")
                properties = style.find(f"{STYLE}drawing-page-properties")
                if properties is not None and properties.get(f"{PRESENTATION}visibility") == "hidden":
                    self._hidden.add(name)
            for list_style in root.iter(f"{TEXT}list-style"):
                for level in list_style.iter(f"{TEXT}list-level-style-number"):
                    self._numbered.add((list_style.get(f"{STYLE}name", ""), level.get(f"{TEXT}level", "")))
        self._blocks: list[str] = []
        self._notes: list[str] = []
        self._boxes: list[Element] = []
        self._first_title = self._first_heading = ""
        self._num_pages = 0

    @property
    def title(self) -> str:
        return self._first_title or self._first_heading

    def read(self, body: Element) -> str:
        self._read_blocks(body)
        notes = [f"  {number}. {note}" for number, note in enumerate(self._notes, 1)]
        return "\n\n".join([*self._blocks, *(["\n".join(notes)] if notes else [])])

    def _read_blocks(self, parent: Element) -> None:
        for element in parent:
            if element.tag in _NO_TEXT or self._is_on_every_page(element):
                continue
            match element.tag.removeprefix(TEXT) if element.tag.startswith(TEXT) else element.tag:
                case "p" | "h":
                    self._read_paragraph(element)
                case "list":
                    self._add("\n".join(self._items(element, "", 1)))
                    self._read_boxes()
                case _ if element.tag == f"{TABLE}table":
                    self._read_table(element)
                case _ if element.tag == f"{DRAW}page":
                    self._read_page(element)
                case _:
                    self._read_blocks(element)

    def _add(self, block: str) -> None:
        if block.strip():
            self._blocks.append(block)

    def _read_paragraph(self, element: Element) -> None:
        text = self._text(element)
        is_title = self._has_style(element, "Title")
        if text and (is_title or element.tag == f"{TEXT}h"):
            text = one_line(text)
            level = 0 if is_title else _number(element.get(f"{TEXT}outline-level"), 1)
            self._add(f"{'#' * min(level + 1, 6)} {text}")
            if is_title:
                self._first_title = self._first_title or text
            self._first_heading = self._first_heading or text
        else:
            self._add(without_marks(text))
        self._read_boxes()

    def _read_boxes(self) -> None:
        """Read the text boxes of a paragraph after it."""
        while self._boxes:
            boxes, self._boxes = self._boxes, []
            for box in boxes:
                self._read_blocks(box)

    def _has_style(self, element: Element, wanted: str) -> bool:
        """Return whether a paragraph has this style, or a style of the document derived from it."""
        name = element.get(f"{TEXT}style-name", "")
        return name == wanted or self._parents.get(name) == wanted

    def _text(self, element: Element) -> str:
        """Return the text in a paragraph, and collect its notes and text boxes."""
        parts: list[str] = []
        self._collect(element, parts)
        return "\n".join(one_line(line) for line in "".join(parts).split("\n")).strip()

    def _collect(self, element: Element, parts: list[str]) -> None:
        parts.append(_XML_BREAK.sub(" ", element.text or ""))
        for child in element:
            match child.tag.removeprefix(TEXT) if child.tag.startswith(TEXT) else child.tag:
                case _ if child.tag in _NO_TEXT:
                    pass
                case "s" | "tab":
                    parts.append(" ")
                case "line-break":
                    parts.append("\n")
                case "note":
                    body = child.find(f"{TEXT}note-body")
                    self._notes.append(one_line(_flat_text(body)) if body is not None else "")
                    parts.append(f"[{len(self._notes)}]")
                case tag if tag.startswith(DRAW):
                    self._boxes.append(child)
                case "p" | "h":  # within a note or a shape inside this paragraph
                    parts.append(" ")
                    self._collect(child, parts)
                case _:
                    self._collect(child, parts)
            parts.append(_XML_BREAK.sub(" ", child.tail or ""))

    def _items(self, element: Element, style: str, level: int) -> Iterator[str]:
        style = element.get(f"{TEXT}style-name", style)
        is_numbered = (style, str(level)) in self._numbered
        number = _number(element.get(f"{TEXT}start-value"), 1) - 1
        for item in element:
            texts: list[str] = []
            inner: list[str] = []
            for child in item:
                if child.tag == f"{TEXT}list":
                    inner += self._items(child, style, level + 1)
                elif child.tag in (f"{TEXT}p", f"{TEXT}h"):
                    texts.append(one_line(self._text(child)))
                elif child.tag == f"{TABLE}table":
                    texts.append(one_line(_flat_text(child)))
            if text := " ".join(filter(None, texts)):
                number += 1
                mark = f"{number}." if is_numbered else "•"
                yield f"{'  ' * (level - 1)}{mark} {text}"
            yield from inner

    def _read_table(self, element: Element) -> None:
        headers = element.find(f"{TABLE}table-header-rows")
        rows = list(_rows(element))
        if len(rows) == 1 or all(len(row) == 1 for row in rows):  # a frame
            for row in rows:
                for cell in row:
                    self._read_blocks(cell)
            return
        grid = [[one_line(self._text_of_cell(cell)) for cell in row] for row in rows]
        self._add(table_text(grid, sum(1 for _ in _rows(headers)) if headers is not None else 0))
        self._read_boxes()

    def _text_of_cell(self, cell: Element) -> str:
        parts: list[str] = []
        for child in cell:
            self._collect(child, parts)
            parts.append(" ")
        return "".join(parts)

    def _read_page(self, page: Element) -> None:
        """Read a slide under its title."""
        self._num_pages += 1
        if page.get(f"{DRAW}style-name") in self._hidden:
            return
        title = ""
        for frame in page.iter(f"{DRAW}frame"):
            if not title and frame.get(f"{PRESENTATION}class") == "title":
                title = one_line(_flat_text(frame))
                frame.clear()
        self._first_heading = self._first_heading or title
        before = len(self._blocks)
        self._read_blocks(page)
        notes = page.find(f"{PRESENTATION}notes")
        if notes is not None:
            texts = (
                one_line(_flat_text(frame))
                for frame in notes.iter(f"{DRAW}frame")
                if frame.get(f"{PRESENTATION}class") == "notes"
            )
            if text := " ".join(filter(None, texts)):
                self._add(f"Notes: {text}")
        if title or len(self._blocks) > before:
            self._blocks.insert(before, f"## {title or f'Slide {self._num_pages}'}")

    def _is_on_every_page(self, element: Element) -> bool:
        return element.get(f"{PRESENTATION}class") in _SHAPES_ON_EVERY_PAGE


def _flat_text(element: Element) -> str:
    """Return all text in an element, paragraphs with a space between them."""
    parts: list[str] = []

    def collect(outer: Element) -> None:
        parts.append(outer.text or "")
        for child in outer:
            if child.tag not in _NO_TEXT:
                if child.tag in _SPACES:
                    parts.append(" ")
                collect(child)
            parts.append(child.tail or "")

    collect(element)
    return "".join(parts)


def _rows(table: Element) -> Iterator[Element]:
    """Yield the rows of a table, without those of tables inside it."""
    for child in table:
        if child.tag == f"{TABLE}table-row":
            yield child
        elif child.tag in _ROW_GROUPS:
            yield from _rows(child)


def _number(value: str | None, default: int) -> int:
    return int(value) if value and value.isdecimal() and len(value) < 10 else default
