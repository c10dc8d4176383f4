"""PowerPoint presentations (.pptx) by python-pptx: the visible slides in order, each under its title.

No picture is unpacked, and no link of a slide is followed.
"""

import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.layout import label, looks_like_header, one_line, row_line, table_text, without_marks
from rag_assets.parsers.office_properties import office_properties
from rag_assets.parsers.old_office import refuse_ole
from rag_assets.parsers.zip_container import CORE_PROPERTIES, ZipContainer, holds_office_part
from rag_assets.records import ParsedDocument

if TYPE_CHECKING:
    from pptx.slide import Slide

MAX_XML_BYTES = 64 * 1024 * 1024
"""Unpacked size of the XML parts, together. Pictures do not count."""
MAX_XML_NODES = 2_000_000
"""Elements and attributes: several thousand slides."""

_CONTENT_TYPES = "[Content_Types].xml"
# Slide shows and templates are presentations of another content type. python-pptx accepts only presentations.
_OTHER_MAIN_PART = re.compile(rb"presentationml\.(?:slideshow|template)\.main")
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_DIAGRAM_DATA = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}dm"
_ALTERNATIVES = "{http://schemas.openxmlformats.org/markup-compatibility/2006}AlternateContent"
_ON_EVERY_SLIDE = ("DATE", "FOOTER", "HEADER", "SLIDE_NUMBER")


class PptxParser:
    """Title: from the properties, else the first title of a slide."""

    name = "pptx"
    suffixes: tuple[str, ...] = (".pptx", ".pptm", ".ppsx")

    def __init__(self) -> None:
        self.version = f"2/{version('python-pptx')}"

    def recognizes(self, data: bytes) -> bool:
        """See `RecognizesContent`."""
        return holds_office_part(data, "ppt/")

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        from pptx.opc.constants import RELATIONSHIP_TYPE
        from pptx.package import Package
        from pptx.parts.presentation import PresentationPart

        refuse_ole(data, filename)
        container = ZipContainer(data)
        names = container.xml_names
        container.check_xml(names, max_bytes=MAX_XML_BYTES, max_nodes=MAX_XML_NODES)
        package = Package.open(container.edited_copy(names, _as_presentation))
        main = package.part_related_by(RELATIONSHIP_TYPE.OFFICE_DOCUMENT)
        if not isinstance(main, PresentationPart):
            raise DocumentUnreadable("corrupt", "It is a ZIP archive, but not a PowerPoint presentation.")
        blocks: list[str] = []
        titles = [container.title_in(CORE_PROPERTIES)]
        for number, slide in enumerate(main.presentation.slides, 1):
            if slide.element.get("show") in ("0", "false"):
                continue
            _choose_alternatives(slide)
            title = one_line(slide.shapes.title.text_frame.text) if slide.shapes.title is not None else ""
            titles.append(title)
            content = [block for block in (*_blocks(slide.shapes), _notes(slide)) if block.strip()]
            if title or content:
                blocks += [f"## {title or f'Slide {number}'}", *content]
        title = next(filter(None, titles), "")
        return ParsedDocument(text="\n\n".join(blocks), title=title, metadata=office_properties(container))


def _as_presentation(name: str, xml: bytes) -> bytes:
    """Declare a slide show or a template as a presentation."""
    return _OTHER_MAIN_PART.sub(b"presentationml.presentation.main", xml) if name == _CONTENT_TYPES else xml


def _choose_alternatives(slide: "Slide") -> None:
    """Replace alternatives by the first one: python-pptx sees none. A text box with a formula has alternatives."""
    for alternatives in list(slide.element.iter(_ALTERNATIVES)):
        parent = alternatives.getparent()
        if parent is not None and len(alternatives):
            place = parent.index(alternatives)
            parent[place : place + 1] = list(alternatives[0])


def _blocks(shapes: Any) -> Iterator[str]:
    """Yield the texts of shapes without the title, in the reading order of screen readers."""
    from pptx.enum.shapes import MSO_SHAPE_TYPE, PP_PLACEHOLDER

    for shape in shapes:
        placeholder = shape.placeholder_format.type if shape.is_placeholder else None
        is_title = shape.is_placeholder and shape.placeholder_format.idx == 0
        if is_title or (placeholder is not None and placeholder.name in _ON_EVERY_SLIDE):
            continue
        if shape.has_text_frame:
            is_list = placeholder in (PP_PLACEHOLDER.BODY, PP_PLACEHOLDER.OBJECT)
            yield _paragraphs(shape.text_frame.paragraphs, is_list)
        elif getattr(shape, "has_table", False):
            yield _table(shape.table)
        elif getattr(shape, "has_chart", False):
            yield _chart(ElementTree.fromstring(shape.chart_part.blob))  # noqa: S314  checked
        elif diagram := next(shape._element.iter(f"{_DIAGRAM}relIds"), None):
            yield _diagram(ElementTree.fromstring(shape.part.related_part(diagram.get(_DIAGRAM_DATA)).blob))  # noqa: S314  checked
        elif shape.shape_type == MSO_SHAPE_TYPE.GROUP:
            yield from _blocks(shape.shapes)


def _paragraphs(paragraphs: Any, is_list: bool) -> str:
    """Return the paragraphs of a text box, as list items if the layout intends a list."""
    texts = [(paragraph.level, one_line(paragraph.text)) for paragraph in paragraphs]
    texts = [(level, text) for level, text in texts if text]
    if is_list and len(texts) > 1:
        return "\n".join(f"{'  ' * level}• {text}" for level, text in texts)
    return "\n".join(without_marks(text) for _, text in texts)


def _notes(slide: "Slide") -> str:
    frame = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
    notes = _paragraphs(frame.paragraphs, is_list=False) if frame is not None else ""
    return f"Notes: {notes}" if notes else ""


def _table(table: Any) -> str:
    grid = [[one_line(cell.text) for cell in row.cells] for row in table.rows]
    # PowerPoint marks the first row of every new table, whatever its content.
    return table_text(grid, int(table.first_row and len(grid) > 1 and looks_like_header(grid[0])))


def _chart(chart: ElementTree.Element) -> str:
    """Return the title of a chart and a line for each category, with the values of all series."""
    title = chart.find(f"{_CHART}chart/{_CHART}title")
    headers, columns = [""], [dict[int, str]()]
    for series in chart.iter(f"{_CHART}ser"):
        for name in ("cat", "xVal"):
            columns[0] |= _points(series.find(f"{_CHART}{name}"))
        headers.append(label(" ".join(_points(series.find(f"{_CHART}tx")).values())))
        columns.append(_points(series.find(f"{_CHART}val")) | _points(series.find(f"{_CHART}yVal")))
    rows = sorted({place for column in columns for place in column})
    lines = [row_line(headers, [column.get(place, "") for column in columns]) for place in rows]
    return without_marks("\n".join([*(_texts(title) if title is not None else ()), *lines]))


def _points(values: ElementTree.Element | None) -> dict[int, str]:
    """Return the values stored with a chart, by their position."""
    if values is None:
        return {}
    points = ((point.get("idx", ""), point.findtext(f"{_CHART}v")) for point in values.iter(f"{_CHART}pt"))
    return {int(place): one_line(text) for place, text in points if place.isdecimal() and text}


def _diagram(data: ElementTree.Element) -> str:
    """Return the texts of SmartArt in the order of its outline."""
    items = (" ".join(_texts(point)) for point in data.iter(f"{_DIAGRAM}pt"))
    return "\n".join(f"• {item}" for item in items if item)


def _texts(element: ElementTree.Element) -> Iterator[str]:
    """Yield the paragraphs in an element."""
    for paragraph in element.iter(f"{_DRAWING}p"):
        if text := one_line("".join(run.text or "" for run in paragraph.iter(f"{_DRAWING}t"))):
            yield text
