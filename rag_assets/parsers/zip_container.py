"""Documents in the form of ZIP archives: recognition of their kind, and limits on unpacking.

Here belongs the protection of the process from an archive and from the XML inside. Names in an archive are only keys:
nothing is written to disk, no archive within an archive is opened.
"""

import io
import shutil
import struct
import zipfile
from collections.abc import Callable, Collection, Iterator
from typing import IO
from xml.etree import ElementTree
from xml.parsers import expat

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.layout import one_line

MAX_MEMBERS = 20_000
MAX_RATIO = 200
"""Unpacked to packed size of a part. The XML of real documents stays below 50."""
MAX_XML_DEPTH = 256

_RATIO_MATTERS_ABOVE_BYTES = 16 * 1024 * 1024
_PACKED_AS_DOCUMENTS_ARE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CHUNK_BYTES = 256 * 1024
_LOCAL_HEADER = b"PK\x03\x04"
_LOCAL_HEADER_BYTES = 30
_DIRECTORY_ENTRY = b"PK\x01\x02"
_DIRECTORY_ENTRY_BYTES = 46
_END_OF_DIRECTORY = b"PK\x05\x06"
_END_OF_DIRECTORY_BYTES = 22
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_MAX_COMMENT_BYTES = 65_535
_MAX_LOOKED_AT_MEMBERS = 2_000

CORE_PROPERTIES = "docProps/core.xml"
"""The part of an Office Open XML package with its title."""

ElementHandler = Callable[[str, str, dict[str, str]], None]
"""Called with the name of the part, the name of the element with its prefix, and its attributes."""


def declared_type(data: bytes) -> str:
    """Return the media type at the beginning of an OpenDocument or EPUB file, "" for other files."""
    if (
        not data.startswith(_LOCAL_HEADER)
        or data[_LOCAL_HEADER_BYTES : _LOCAL_HEADER_BYTES + 8] != b"mimetype"
    ):
        return ""
    size, _, _, extra = struct.unpack("<IIHH", data[18:30])
    start = _LOCAL_HEADER_BYTES + 8 + extra
    if struct.unpack("<H", data[6:8])[0] & 8:  # its size follows the content
        size = data[start : start + 256].find(b"PK")
    return data[start : start + min(max(size, 0), 256)].strip().decode("ascii", "replace")


def holds_office_part(data: bytes, folder: str) -> bool:
    """Return whether this is an Office Open XML package with this folder (`word/`, `ppt/`, `xl/`)."""
    if not data.startswith(b"PK"):
        return False
    has_types = has_folder = False
    for name in _member_names(data):
        has_types = has_types or name == b"[Content_Types].xml"
        has_folder = has_folder or name.startswith(folder.encode())
        if has_types and has_folder:
            return True
    return False


def holds_member(data: bytes, name: str) -> bool:
    """Return whether this is a ZIP archive with a member of this name."""
    return data.startswith(b"PK") and name.encode() in _member_names(data)


def _member_names(data: bytes) -> Iterator[bytes]:
    """Yield the first 2,000 names in the directory, none if this is not an archive.

    Not by `zipfile`: it reads the whole directory, and this runs for every file of a source.
    """
    end = data.rfind(_END_OF_DIRECTORY, max(len(data) - _END_OF_DIRECTORY_BYTES - _MAX_COMMENT_BYTES, 0))
    if end < 0 or end + _END_OF_DIRECTORY_BYTES > len(data):
        return
    size, declared_offset = struct.unpack("<II", data[end + 12 : end + 20])
    # With other bytes before the archive, the offset is wrong but the size is right.
    position = end - size if data.startswith(_DIRECTORY_ENTRY, max(end - size, 0)) else declared_offset
    for _ in range(_MAX_LOOKED_AT_MEMBERS):
        entry = data[position : position + _DIRECTORY_ENTRY_BYTES] if position >= 0 else b""
        if len(entry) < _DIRECTORY_ENTRY_BYTES or not entry.startswith(_DIRECTORY_ENTRY):
            return
        name_bytes, extra_bytes, comment_bytes = struct.unpack("<HHH", entry[28:34])
        start = position + _DIRECTORY_ENTRY_BYTES
        yield data[start : start + name_bytes]
        position = start + name_bytes + extra_bytes + comment_bytes


class ZipContainer:
    """A document in the form of a ZIP archive. Nothing is unpacked before `check`."""

    def __init__(self, data: bytes) -> None:
        """Read the directory.

        Raises:
            DocumentUnreadable: `corrupt`, `too_large`.
        """
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            raise DocumentUnreadable("corrupt", "It is not a ZIP archive, or its end is missing.") from None
        members = self._archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise DocumentUnreadable("too_large", f"It has more than {MAX_MEMBERS:,} parts. Split it.")
        _refuse_overlaps(members)
        self._members = {member.filename: member for member in members}
        self._checked: set[str] = set()

    def __contains__(self, name: object) -> bool:
        return name in self._members

    @property
    def xml_names(self) -> list[str]:
        """The names of the parts that are XML, in an Office Open XML package."""
        return [name for name in self._members if name.endswith((".xml", ".rels"))]

    def check(self, names: Collection[str], max_bytes: int) -> None:
        """Admit these members for reading, if together they unpack to no more than `max_bytes`.

        Unpacking stops at the size in the directory: a larger member fails its checksum.

        Raises:
            DocumentUnreadable: `encrypted`, `corrupt`, `too_large`.
        """
        members = [self._members[name] for name in names]
        if sum(member.file_size for member in members) > max_bytes:
            raise DocumentUnreadable("too_large", f"It unpacks to more than {max_bytes >> 20} MiB. Split it.")
        if any(member.flag_bits & 1 for member in members):
            raise DocumentUnreadable(
                "encrypted", "It is a ZIP archive with a password. Store it without one."
            )
        if any(member.compress_type not in _PACKED_AS_DOCUMENTS_ARE for member in members):
            raise DocumentUnreadable(
                "corrupt",
                "It uses a compression unknown to office programs. Open the file and save it again.",
            )
        for member in members:
            if member.file_size > max(MAX_RATIO * member.compress_size, _RATIO_MATTERS_ABOVE_BYTES):
                raise DocumentUnreadable(
                    "too_large",
                    f"A part of it unpacks to more than {MAX_RATIO} times its size, like a ZIP bomb.",
                )
        self._checked.update(names)

    def check_xml(
        self,
        names: Collection[str],
        *,
        max_bytes: int,
        max_nodes: int,
        on_element: ElementHandler | None = None,
    ) -> None:
        """As `check`, for parts with XML. They must have no document type, and together at most `max_nodes`.

        Args:
            max_nodes: elements and attributes.
            on_element: called for each element.

        Raises:
            DocumentUnreadable: `encrypted`, `corrupt`, `too_large`.
        """
        self.check(names, max_bytes)
        guard = _XmlGuard(max_nodes, on_element)
        for name in names:
            with self.open(name) as part:
                guard.check(name, part)

    def open(self, name: str) -> IO[bytes]:
        """Return a stream of a checked part."""
        if name not in self._checked:
            raise DocumentUnreadable("corrupt", "A part of it is missing.")
        return self._archive.open(self._members[name])

    def read(self, name: str) -> bytes:
        """Return the content of a checked part."""
        with self.open(name) as part:
            return part.read()

    def copy(self, names: Collection[str]) -> io.BytesIO:
        """Return an archive of these checked parts. No link in it can lead to an unchecked part."""
        copied = io.BytesIO()
        with zipfile.ZipFile(copied, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name in names:
                with self.open(name) as source, archive.open(name, "w") as target:
                    shutil.copyfileobj(source, target, _CHUNK_BYTES)
        return copied

    def edited_copy(self, names: Collection[str], edit: Callable[[str, bytes], bytes]) -> io.BytesIO:
        """As `copy`, with the content of each part changed by `edit(name, content)`."""
        copied = io.BytesIO()
        with zipfile.ZipFile(copied, "w") as archive:
            for name in names:
                archive.writestr(name, edit(name, self.read(name)))
        return copied

    def title_in(self, name: str) -> str:
        """Return the title in this checked part with the properties of a document, "" if it has none."""
        if name not in self:
            return ""
        return one_line(ElementTree.fromstring(self.read(name)).findtext(f".//{_TITLE}") or "")  # noqa: S314  checked


def _refuse_overlaps(members: list[zipfile.ZipInfo]) -> None:
    """Refuse members with shared bytes: they make a small archive unpack to petabytes."""
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise DocumentUnreadable(
                "corrupt", "Parts of the archive overlap. Open the file and save it again."
            )
        end = member.header_offset + _LOCAL_HEADER_BYTES + member.compress_size


class _XmlGuard:
    def __init__(self, max_nodes: int, on_element: ElementHandler | None) -> None:
        self._max_nodes = max_nodes
        self._on_element = on_element
        self._num_nodes = self._depth = 0
        self._part = ""

    def check(self, name: str, part: IO[bytes]) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._refuse
        self._part, self._depth = name, 0
        while chunk := part.read(_CHUNK_BYTES):
            parser.Parse(chunk, False)
        parser.Parse(b"", True)

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        self._num_nodes += 1 + len(attributes)
        self._depth += 1
        if self._num_nodes > self._max_nodes:
            raise DocumentUnreadable(
                "too_large", f"It has more than {self._max_nodes:,} XML nodes. Split it."
            )
        if self._depth > MAX_XML_DEPTH:
            raise DocumentUnreadable("corrupt", f"Its XML is nested more than {MAX_XML_DEPTH} levels deep.")
        if self._on_element is not None:
            self._on_element(self._part, name, attributes)

    def _end(self, _: str) -> None:
        self._depth -= 1

    def _refuse(self, *_: object) -> None:
        # Before its entities are declared: with them XML reads files and grows without bound.
        raise DocumentUnreadable("corrupt", "It declares a document type, unlike any office document.")
