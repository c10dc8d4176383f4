"""Word documents (.docx): headings, paragraphs, lists and tables, in the order of the document.

The text is the one that Word shows with all changes accepted. Headers and footers, comments, hidden text and the
table of contents do not belong to it.

The package is read with `zipfile` and `ElementTree`, part by part. The libraries for it lose text without a word:
python-docx (1.2.0) what stands in inserted runs, content controls and text boxes, mammoth (1.13.0) simple
fields, and drawings without a fallback. python-docx also loads every picture, and gives up where a link to one
is broken, which Word forgives.
"""

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.layout import label, looks_like_header, one_line, row_line, without_marks
from rag_assets.records import ParsedDocument

MAX_XML_BYTES = 64 * 1024 * 1024
"""Unpacked size of the parts that are read, together: thousands of pages. Pictures are never unpacked."""

_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")

# Properties (they hold tab stops), deleted text, text at the place it was moved from, phonetic guides.
_NOT_SHOWN = frozenset(("pPr", "rPr", "del", "moveFrom", "rt"))
_CHARACTERS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_NOTES = {"footnoteReference": "footnotes", "endnoteReference": "endnotes"}
_HEADING_STYLE = re.compile(r"heading ([1-9])")
_MAX_STYLE_CHAIN = 20
_MAX_COLUMNS = 64  # about as many as Word allows; a cell may claim to span any number
_MAX_NUMBER_CHARACTERS = 50


class DocxParser:
    """Title: that of the properties, else the first paragraph of style Title, else the first heading."""

    name = "docx"
    version = "1"
    suffixes: tuple[str, ...] = (".docx",)

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        del filename
        if data.startswith(_OLE_MAGIC):
            if _ENCRYPTED_STREAM in data:
                raise DocumentUnreadable("encrypted", "It needs a password. Store it without one.")
            raise DocumentUnreadable("corrupt", "It is a Word document of the old kind; save it as .docx.")
        try:
            package = _Package(data)
        except zipfile.BadZipFile:
            raise DocumentUnreadable("corrupt", "It is not a zip archive, or its end is missing.") from None
        main_part = package.related("", "officeDocument")
        document = package.read(main_part)
        if document is None or document.tag != "document":
            raise DocumentUnreadable("corrupt", "It is a zip archive, but not a Word document.")
        body = _Body(
            styles=_styles(package.read(package.related(main_part, "styles"))),
            numbering=_Numbering(package.read(package.related(main_part, "numbering"))),
            notes={kind: _notes(package.read(package.related(main_part, kind))) for kind in _NOTES.values()},
        )
        body.add_blocks(document)
        properties = package.read(package.related("", "core-properties"))
        title = properties.findtext("title", "").strip() if properties is not None else ""
        return ParsedDocument(text=body.text, title=title or body.title or body.first_heading)


class _TreeBuilder(ElementTree.TreeBuilder):
    """Drops namespaces: those of transitional and strict documents differ, the names in them do not."""

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        return super().start(_local(tag), {_local(name): value for name, value in attrs.items()})

    def doctype(self, *_: object) -> None:
        # Before any entity of it is declared: they are how XML reaches for files and grows without bound.
        raise DocumentUnreadable("corrupt", "It declares a document type, which Word documents never do.")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


class _Package:
    """The parts of a document by name. Links that lead out of it are not followed."""

    def __init__(self, data: bytes) -> None:
        self._zip = zipfile.ZipFile(io.BytesIO(data))
        self._remaining_bytes = MAX_XML_BYTES
        self._relations: dict[str, list[Element]] = {}

    def related(self, part: str, kind: str) -> str:
        """Return the name of the part that stands in this relation to another; "" if there is none."""
        folder, name = posixpath.split(part)
        if part not in self._relations:
            root = self.read(posixpath.join(folder, "_rels", f"{name}.rels"))
            self._relations[part] = list(root) if root is not None else []
        for relation in self._relations[part]:
            if relation.get("Type", "").endswith(f"/{kind}"):
                return posixpath.normpath(posixpath.join("/", folder, relation.get("Target", ""))).lstrip("/")
        return ""

    def read(self, part: str) -> Element | None:
        """Return the root of a part; None if there is no such part.

        Raises:
            DocumentUnreadable: `too_large`, `encrypted`, `corrupt`.
        """
        try:
            entry = self._zip.getinfo(part)
        except KeyError:
            return None
        # No more than this is unpacked, whatever the archive holds.
        self._remaining_bytes -= entry.file_size
        if self._remaining_bytes < 0:
            limit = f"{MAX_XML_BYTES // 2**20} MiB"
            raise DocumentUnreadable("too_large", f"Its text unpacks to more than {limit}. Split it.")
        if entry.flag_bits & 1:
            raise DocumentUnreadable(
                "encrypted", "It is a zip archive with a password. Store it without one."
            )
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DocumentUnreadable("corrupt", "It is packed in a way that Word does not know.")
        with self._zip.open(entry) as file:
            parser = ElementTree.XMLParser(target=_TreeBuilder())  # noqa: S314  it refuses document types
            return ElementTree.parse(file, parser).getroot()  # noqa: S314


@dataclass(frozen=True, slots=True)
class _Style:
    name: str
    based_on: str
    properties: Element | None


def _styles(root: Element | None) -> dict[str, _Style]:
    return {
        style.get("styleId", ""): _Style(
            name=_value(style, "name").lower(),
            based_on=_value(style, "basedOn"),
            properties=style.find("pPr"),
        )
        for style in (root.iter("style") if root is not None else ())
    }


def _notes(root: Element | None) -> dict[str, Element]:
    return {note.get("id", ""): note for note in (root if root is not None else ())}


def _value(element: Element | None, path: str) -> str:
    found = element.find(path) if element is not None else None
    return found.get("val", "") if found is not None else ""


def _integer(text: str, default: int) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else default


def _is_on(element: Element | None) -> bool:
    return element is not None and element.get("val", "1") not in ("0", "false", "off")


def _shown(element: Element) -> Iterator[Element]:
    """Yield those children that a reader of the document sees."""
    for child in element:
        if child.tag == "AlternateContent":  # the same twice, for new and for old versions of Word
            yield from child[:1]
        elif not (
            child.tag in _NOT_SHOWN
            or (child.tag == "r" and _is_on(child.find("rPr/vanish")))
            or (child.tag == "sdt" and _is_on(child.find("sdtPr/showingPlcHdr")))
        ):
            yield child


class _Body:
    """Gathers the text of a document.

    Attributes:
        title: text of the first paragraph of style Title.
    """

    def __init__(
        self, styles: dict[str, _Style], numbering: "_Numbering", notes: dict[str, dict[str, Element]]
    ) -> None:
        self.title = ""
        self.first_heading = ""
        self._styles = styles
        self._numbering = numbering
        self._notes = notes
        self._blocks: list[str] = []
        self._ends_with_item = False
        self._in_cell = False

    @property
    def text(self) -> str:
        return "".join(self._blocks)

    def add_blocks(self, parent: Element) -> None:
        """Add the paragraphs and tables in an element, however wrapped."""
        for child in _shown(parent):
            if child.tag == "p":
                self._add_paragraph(child)
            elif child.tag == "tbl":
                self._add_table(child)
            else:
                self.add_blocks(child)

    def _add(self, block: str, *, is_item: bool = False) -> None:
        self._blocks += ("\n" if is_item and self._ends_with_item else "\n\n", block)
        self._ends_with_item = is_item

    def _add_paragraph(self, paragraph: Element) -> None:
        pieces: list[str] = []
        after: list[Element] = []
        self._gather(paragraph, pieces, after)
        text = "".join(pieces).strip()
        if text:
            self._add_text(text, paragraph.find("pPr"))
        for text_box_or_note in after:
            self.add_blocks(text_box_or_note)

    def _gather(self, element: Element, pieces: list[str], after: list[Element]) -> None:
        """Gather the text of a paragraph, and what is to follow it: text boxes and notes."""
        for child in _shown(element):
            if child.tag == "t":
                pieces.append(child.text or "")
            elif child.tag in _CHARACTERS:
                pieces.append(_CHARACTERS[child.tag])
            elif child.tag == "txbxContent":
                after.append(child)
            elif child.tag in _NOTES:
                # Taken out, so that many references to one note do not repeat it.
                note = self._notes[_NOTES[child.tag]].pop(child.get("id", ""), None)
                after += [note] if note is not None else []
            else:
                self._gather(child, pieces, after)

    def _add_text(self, text: str, properties: Element | None) -> None:
        chain = list(self._style_chain(_value(properties, "pStyle")))
        if any(style.name.startswith("toc ") for style in chain):
            return
        level = _heading_level(properties, chain)
        number, depth = self._list_number(properties, chain)
        if self._in_cell:
            self._add(f"{number} {text}")
        elif level:
            heading = one_line(text)
            self.first_heading = self.first_heading or heading
            if any(style.name == "title" for style in chain):
                self.title = self.title or heading
            elif self.title:
                level += 1  # below the title, which is no Heading 1
            number = "" if number == "-" else number
            self._add(f"{'#' * min(level, 6)} {one_line(f'{number} {heading}')}")
        elif number:
            self._add(f"{'  ' * depth}{number} {text}", is_item=True)
        else:
            self._add(without_marks(text))

    def _style_chain(self, style_id: str) -> Iterator[_Style]:
        """Yield a style and those it is based on; a chain may be a circle."""
        for _ in range(_MAX_STYLE_CHAIN):
            style = self._styles.get(style_id)
            if style is None:
                return
            yield style
            style_id = style.based_on

    def _list_number(self, properties: Element | None, chain: list[_Style]) -> tuple[str, int]:
        """Return what Word writes before a paragraph of a list, and its depth in the list."""
        for place in (properties, *(style.properties for style in chain)):
            if place is not None and (found := place.find("numPr")) is not None:
                depth = min(_integer(_value(found, "ilvl"), 0), 8)
                return self._numbering.next_number(_value(found, "numId"), depth), depth
        return "", 0

    def _add_table(self, table: Element) -> None:
        rows = [(row, list(_inside(row, "tc"))) for row in _inside(table, "tr")]
        if len(rows) == 1 or all(len(cells) == 1 for _, cells in rows):  # a frame, or columns on a page
            for _, cells in rows:
                for cell in cells:
                    self.add_blocks(cell)
            return
        num_headers, grid = 0, list[list[str]]()
        for row, cells in rows:
            is_header = num_headers == len(grid) and _is_on(row.find("trPr/tblHeader"))
            texts = self._row_texts(row, cells, grid[-1] if grid else [], is_header)
            if any(texts):
                grid.append(texts)
                num_headers += is_header
        if grid:
            self._add(without_marks("\n".join(_table_lines(grid, num_headers))))

    def _row_texts(self, row: Element, cells: list[Element], above: list[str], is_header: bool) -> list[str]:
        """Return one text a column: of a merged cell its text in each row, in the first of its columns."""
        texts = [""] * min(_integer(_value(row, "trPr/gridBefore"), 0), _MAX_COLUMNS)
        for cell in cells:
            merged = cell.find("tcPr/vMerge")
            if merged is not None and merged.get("val") != "restart":
                text = label(above[len(texts)]) if len(texts) < len(above) else ""
            else:
                text = self._cell_text(cell)
            span = min(max(_integer(_value(cell, "tcPr/gridSpan"), 1), 1), _MAX_COLUMNS)
            texts += [text] + [label(text) if is_header else ""] * (span - 1)
        return texts

    def _cell_text(self, cell: Element) -> str:
        outer = self._blocks, self._in_cell
        self._blocks, self._in_cell = [], True
        self.add_blocks(cell)
        text = one_line(self.text)
        self._blocks, self._in_cell = outer
        return text


def _heading_level(properties: Element | None, chain: list[_Style]) -> int:
    """Return the outline level, from 1; 0 for body text. Names of styles are English in every Word."""
    for place, name in ((properties, ""), *((style.properties, style.name) for style in chain)):
        level = _value(place, "outlineLvl")
        if level:
            return (_integer(level, 9) + 1) % 10
        if name == "title":
            return 1
        if match := _HEADING_STYLE.fullmatch(name):
            return int(match[1])
    return 0


def _inside(element: Element, tag: str) -> Iterator[Element]:
    """Yield the rows of a table, or the cells of a row, however wrapped."""
    for child in _shown(element):
        if child.tag == tag:
            yield child
        elif child.tag not in ("tbl", "tc", "p"):
            yield from _inside(child, tag)


def _table_lines(grid: list[list[str]], num_headers: int) -> list[str]:
    """Return one line a row, with the names of the columns where the table has some."""
    width = max(map(len, grid))
    if not num_headers and width > 2 and len(grid) > 1 and looks_like_header(grid[0]):
        num_headers = 1
    headers = [
        label(" ".join(dict.fromkeys(cells[column] for cells in grid[:num_headers] if column < len(cells))))
        for column in range(width if num_headers else 0)
    ]
    if num_headers == len(grid):
        return [row_line([], headers)]
    # Two columns without a header row are mostly a name and its value.
    if width == 2 and not num_headers:
        return [": ".join(filter(None, cells)) for cells in grid]
    return [row_line(headers, cells) for cells in grid[num_headers:]]


@dataclass(slots=True)
class _List:
    """An abstract numbering definition: how each level is written, and how far it has counted."""

    levels: dict[int, tuple[str, str, int]] = field(default_factory=dict)  # format, pattern, start
    counters: dict[int, int] = field(default_factory=dict)


class _Numbering:
    """The numbers that Word writes before headings and items; they are not in the text."""

    def __init__(self, root: Element | None) -> None:
        lists: dict[str, _List] = {}
        self._lists: dict[str, _List] = {}
        self._restarts: dict[str, list[tuple[int, int]]] = {}
        for element in root if root is not None else ():
            if element.tag == "abstractNum":
                lists[element.get("abstractNumId", "")] = _List(
                    {
                        _integer(level.get("ilvl", ""), 0): (
                            _value(level, "numFmt"),
                            _value(level, "lvlText")[:_MAX_NUMBER_CHARACTERS],
                            _integer(_value(level, "start"), 1),
                        )
                        for level in element.iter("lvl")
                    }
                )
            elif element.tag == "num":
                num_id = element.get("numId", "")
                self._lists[num_id] = lists.get(_value(element, "abstractNumId"), _List())
                self._restarts[num_id] = [
                    (_integer(override.get("ilvl", ""), 0), _integer(_value(override, "startOverride"), 1))
                    for override in element.iter("lvlOverride")
                    if override.find("startOverride") is not None
                ]

    def next_number(self, num_id: str, depth: int) -> str:
        """Return the number of the next item, or `-` for a bullet; "" if it has none."""
        found = self._lists.get(num_id)
        if found is None:
            return ""
        for level, start in self._restarts.pop(num_id, ()):
            found.counters[level] = start - 1
        number_format, pattern, start = found.levels.get(depth, ("bullet", "", 1))
        if number_format in ("bullet", "none"):
            return "-" if number_format == "bullet" else ""
        found.counters[depth] = found.counters.get(depth, start - 1) + 1
        for deeper in [level for level in found.counters if level > depth]:
            del found.counters[deeper]

        def number_of(match: re.Match[str]) -> str:
            level = int(match[1]) - 1
            level_format, _, level_start = found.levels.get(level, ("decimal", "", 1))
            return _written(found.counters.get(level, level_start), level_format)

        return re.sub(r"%([1-9])", number_of, pattern).strip()


_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl")),
    *((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)


def _written(number: int, number_format: str) -> str:
    """Return a number as letters or Roman numerals; digits for all else, and beyond their range."""
    if number_format.endswith("Letter") and 1 <= number <= 26:
        written = chr(ord("a") + number - 1)
    elif number_format.endswith("Roman") and 1 <= number < 4000:
        written = ""
        for value, sign in _ROMAN:
            written += sign * (number // value)
            number %= value
    else:
        return str(number)
    return written.upper() if number_format.startswith("upper") else written
