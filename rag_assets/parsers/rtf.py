"""Rich Text Format (.rtf): paragraphs, headings by their style, rows of tables, and notes at the end.

Our own code, because striprtf (0.0.35) ignores headings and header rows, keeps the deletions of tracked changes, drops
footnotes, and accepts a truncated file as complete. Here belongs the meaning of the control words. No embedded or linked
content is opened.
"""

import re
from codecs import lookup
from dataclasses import dataclass, field, replace

from rag_assets.document_metadata.normalization import normalized
from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.layout import looks_like_header, one_line, table_text, without_marks
from rag_assets.parsers.properties import Properties, read_quietly
from rag_assets.parsers.rtf_info import INFO, INFO_TEXTS, INFO_TIMES, Times, info_properties
from rag_assets.records import ParsedDocument

_MAX_DEPTH = 1_000
_TOKEN = re.compile(
    r"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})? ?"
    r"|\\'(?P<hex>[0-9a-fA-F]{2})"
    r"|\\(?P<symbol>.)"
    r"|(?P<brace>[{}])"
    r"|[\r\n]+"
    r"|(?P<text>[^\\{}\r\n]+)"
    r"|\\",
    re.DOTALL,
)
_CHARACTERS = {
    "tab": "\t",
    "line": "\n",
    "lbr": "\n",
    "softline": "\n",
    "emdash": "—",
    "endash": "–",
    "bullet": "•",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "emspace": " ",
    "enspace": " ",
    "qmspace": " ",
    "nestcell": " ",
    "nestrow": " ",
}
_SYMBOLS = {"~": " ", "_": "-", "\\": "\\", "{": "{", "}": "}"}
_PARAGRAPH_ENDS = frozenset(("par", "sect", "page", "column"))
# Groups without text of the document. Those that begin with \* are left out unless they are known.
_LEFT_OUT = frozenset(
    (
        *("colortbl", "fldinst", "header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr"),
        *("footerf", "pict", "info", "shprslt", "xe", "tc", "tcn", "rxe", "ftnsep", "ftnsepc", "aftnsep"),
        *("aftnsepc", "ftncn", "aftncn", "template", "upr", "filetbl", "listtable", "nonesttables", "sp"),
        "txe",
    )
)
_KNOWN_THOUGH_STARRED = frozenset(("fldrslt", "shpinst"))
_SYMBOL_CHARSET = 2
_ENCODINGS = {
    77: "mac_roman",
    128: "cp932",
    129: "cp949",
    130: "johab",
    134: "gbk",
    136: "cp950",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
    254: "cp437",
    255: "cp850",
}
_HEADING_STYLE = re.compile(r"heading ([1-9])$", re.IGNORECASE)


@dataclass(slots=True)
class _Group:
    """The state restored by a closing brace.

    Attributes:
        destination: of the text: `body`, `note`, `title`, `fonts`, `styles`, or `none`.
        unicode_skip: number of characters after a Unicode character that replace it in old readers.
    """

    destination: str = "body"
    font: int = -1
    style: int = 0
    outline_level: int = -1
    unicode_skip: int = 1
    in_table: bool = False
    is_deleted: bool = False


@dataclass(slots=True)
class _Table:
    rows: list[list[str]] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    num_headers: int = 0
    is_header: bool = False


class RtfParser:
    """Title: from the properties, else the first heading."""

    name = "rtf"
    version = "2"
    suffixes: tuple[str, ...] = (".rtf",)

    def recognizes(self, data: bytes) -> bool:
        """See `RecognizesContent`."""
        return data[:64].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{\\rtf")

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        del filename
        if not self.recognizes(data):
            raise DocumentUnreadable("corrupt", "It does not begin like an RTF file.")
        reader = _Reader(data.decode("latin-1"))
        reader.read()
        metadata = normalized(read_quietly("properties", lambda: reader.info))
        return ParsedDocument(text=reader.text, title=reader.title, metadata=metadata)


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self._group = _Group()
        self._outer: list[_Group] = []
        self._default_encoding = "cp1252"
        self._fonts: dict[int, str] = {}
        self._symbol_fonts: set[int] = set()
        self._default_font = -1
        self._font_in_table = -1
        self._styles: dict[int, int] = {}  # number -> level of heading
        destinations = ("body", "note", "title", "styles", *INFO_TEXTS)
        self._pieces: dict[str, list[str]] = {name: [] for name in destinations}
        self._times = Times()
        self._bytes = bytearray()  # of the text, in the encoding of the font
        self._table = _Table()
        self._blocks: list[str] = []
        self._notes: list[str] = []
        self._first_heading = ""

    @property
    def text(self) -> str:
        notes = [f"  {number}. {note}" for number, note in enumerate(self._notes, 1)]
        return "\n\n".join([*self._blocks, *(["\n".join(notes)] if notes else [])])

    @property
    def title(self) -> str:
        return one_line("".join(self._pieces["title"])) or self._first_heading

    @property
    def info(self) -> Properties:
        return info_properties(self._pieces, self._times)

    def read(self) -> None:
        position, to_skip = self._source.index("{"), 0
        starred = False
        while token := _TOKEN.match(self._source, position):
            position = token.end()
            kind = token.lastgroup
            if kind == "text":
                text = token["text"][to_skip:]
                to_skip = max(to_skip - len(token["text"]), 0)
                self._add_bytes(text.encode("latin-1"))
            elif kind == "hex":
                if to_skip:
                    to_skip -= 1
                else:
                    self._add_bytes(bytes.fromhex(token["hex"]))
            elif kind == "brace":
                to_skip = 0
                if token["brace"] == "{":
                    self._open()
                elif self._close():
                    self._end_paragraph()
                    self._end_table()
                    return
            elif kind == "symbol":
                if token["symbol"] == "*":
                    starred = True
                    continue
                if to_skip:
                    to_skip -= 1
                elif token["symbol"] in "\r\n":
                    self._end_paragraph()
                else:
                    self._add(_SYMBOLS.get(token["symbol"], ""))
            elif token["word"]:
                word = token["word"]
                number = int(token["number"]) if token["number"] else None
                if word == "bin":
                    position += max(number or 0, 0)
                elif word == "u" and number is not None:
                    self._add(chr(number % 0x10000))
                    to_skip = self._group.unicode_skip
                elif to_skip:
                    to_skip -= 1
                else:
                    self._obey(word, number, starred)
            starred = False
        raise DocumentUnreadable("corrupt", "It ends in the middle: a brace is not closed.")

    def _open(self) -> None:
        self._flush()
        if len(self._outer) >= _MAX_DEPTH:
            raise DocumentUnreadable("corrupt", f"It is nested more than {_MAX_DEPTH} levels deep.")
        self._outer.append(replace(self._group))

    def _close(self) -> bool:
        """End a group, and return whether it was the document."""
        self._flush()
        ended, self._group = self._group, self._outer.pop()
        if ended.destination == "note" != self._group.destination:
            self._notes.append(one_line("".join(self._pieces["note"])))
            self._pieces["note"].clear()
        elif ended.destination == "styles":
            self._end_style(ended.style)
        return not self._outer

    def _end_style(self, number: int) -> None:
        """End a style with its group. The name may end with a semicolon."""
        name = one_line("".join(self._pieces["styles"])).rstrip(";")
        self._pieces["styles"].clear()
        if heading := _HEADING_STYLE.match(name):
            self._styles[number] = min(int(heading[1]) + 1, 6)
        elif name.lower() == "title":
            self._styles[number] = 1

    def _obey(self, word: str, number: int | None, starred: bool) -> None:
        group = self._group
        if word in _PARAGRAPH_ENDS:
            self._end_paragraph()
        elif word in _CHARACTERS:
            self._add(_CHARACTERS[word])
        elif word in ("cell", "row", "trowd", "trhdr"):
            self._obey_table(word)
        elif word == "footnote":
            if group.destination == "body":
                self._add(f"[{len(self._notes) + 1}]")
                group.destination, group.is_deleted = "note", False
        elif word == "fonttbl":
            self._enter("fonts")
        elif word == "stylesheet":
            self._enter("styles")
        elif word == "title" and group.destination in ("none", INFO):
            group.destination = "title"
        elif group.destination == INFO and (word in INFO_TEXTS or word in INFO_TIMES):
            group.destination = word
        elif group.destination in INFO_TIMES:
            self._times.take(group.destination, word, number)
        elif word == "ud" and len(self._outer) > 1:  # the text of the enclosing group, in Unicode
            group.destination = self._outer[-2].destination
        elif (word in _LEFT_OUT or starred) and word not in _KNOWN_THOUGH_STARRED:
            self._enter(INFO if word == INFO else "none")
        else:
            self._obey_format(word, number)

    def _enter(self, destination: str) -> None:
        self._flush()
        self._group.destination = destination

    def _obey_format(self, word: str, number: int | None) -> None:
        group = self._group
        match word:
            case "pard":
                group.style, group.outline_level, group.in_table = 0, -1, False
            case "plain":
                self._flush()
                group.is_deleted, group.font = False, self._default_font
            case "deleted":
                self._flush()
                group.is_deleted = number != 0
            case "intbl":
                group.in_table = True
            case "s":
                group.style = number or 0
            case "outlinelevel":
                group.outline_level = number if number is not None else -1
            case "uc":
                group.unicode_skip = min(max(number or 0, 0), 100)
            case "f":
                self._flush()
                group.font = number if number is not None else -1
            case "deff":
                self._default_font = group.font = number if number is not None else -1
            case "fcharset" if group.destination == "fonts":
                if number == _SYMBOL_CHARSET:
                    self._symbol_fonts.add(group.font)
                elif number in _ENCODINGS:
                    self._fonts[group.font] = _ENCODINGS[number]
            case "ansicpg":
                self._default_encoding = _known_encoding(f"cp{number}")
            case "mac":
                self._default_encoding = "mac_roman"
            case _:
                pass

    def _obey_table(self, word: str) -> None:
        self._flush()
        if self._group.destination != "body":
            return
        table = self._table
        if word == "cell":
            table.cells.append(one_line(self._taken()))
        elif word == "row":
            if table.is_header and table.num_headers == len(table.rows):
                table.num_headers += 1
            table.rows.append(table.cells)
            table.cells = []
        else:
            table.is_header = word == "trhdr"

    def _add(self, text: str) -> None:
        self._flush()
        if self._group.destination in self._pieces and not self._group.is_deleted:
            self._pieces[self._group.destination].append(text)

    def _add_bytes(self, data: bytes) -> None:
        if self._group.destination in self._pieces and not self._group.is_deleted:
            self._bytes += data

    def _flush(self) -> None:
        """Decode the text so far, because the rest may have another encoding."""
        if not self._bytes:
            return
        font = self._group.font
        if font in self._symbol_fonts:
            # Symbol fonts hold pictures. Lists use them for bullets.
            text = self._bytes.decode("ascii", "replace").replace("\ufffd", "•")
        else:
            text = self._bytes.decode(self._fonts.get(font, self._default_encoding), "replace")
        self._bytes.clear()
        self._pieces[self._group.destination].append(text)

    def _taken(self) -> str:
        text = "".join(self._pieces["body"])
        self._pieces["body"].clear()
        # A character beyond the first plane is written as a surrogate pair.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _end_paragraph(self) -> None:
        self._flush()
        group = self._group
        if group.destination != "body":
            if group.destination in self._pieces:
                self._pieces[group.destination].append(" ")
            return
        if group.in_table:
            self._pieces["body"].append(" ")
            return
        text = "\n".join(map(one_line, self._taken().strip().split("\n")))
        self._end_table()
        if not text:
            return
        level = self._styles.get(group.style, group.outline_level + 2 if 0 <= group.outline_level <= 8 else 0)
        if level:
            text = one_line(text)
            self._first_heading = self._first_heading or text
            self._blocks.append(f"{'#' * min(level, 6)} {text}")
        else:
            self._blocks.append(without_marks(text))

    def _end_table(self) -> None:
        table, self._table = self._table, _Table()
        rows = [cells for cells in (*table.rows, table.cells) if any(cells)]
        if rows:
            is_marked = table.num_headers and looks_like_header(rows[0])
            self._blocks.append(table_text(rows, table.num_headers if is_marked else 0))


def _known_encoding(name: str) -> str:
    try:
        return lookup(name).name
    except LookupError:
        return "cp1252"
