"""Archives: one document with a section for each document inside, ordered by path. And single compressed files.

Here belongs the choice of members. Left out are files that would be ignored in a folder too (pictures, hidden files),
links, devices, and names leading out of the archive. Nothing touches the disk.
"""

import io
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers.nested import Budget, Parts
from rag_assets.records import ParsedDocument

if TYPE_CHECKING:
    import tarfile
    import zipfile

_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_SHORT_NAMES = {".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".gz": "", ".bz2": "", ".xz": ""}
_ZIP = b"PK\x03\x04"
_TAR = slice(257, 262), b"ustar"
_TAR_BLOCK_BYTES = 512
_READ_BYTES = 1 << 20
# End of the central directory of a ZIP archive, with its comment of at most 65,535 bytes.
_ZIP_END = struct.Struct("<4s4H2LH")
_ZIP_ENTRY = b"PK\x01\x02"
_ZIP_ENTRY_BYTES = 46

_Members = Iterator[tuple[str, bytes | DocumentUnreadable]]


class ArchiveParser:
    """ZIP and tar, compressed or not, and gzip, bzip2 and xz. A single compressed file keeps its title."""

    name = "archive"
    version = "1"
    suffixes: tuple[str, ...] = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz")

    def recognizes(self, data: bytes) -> bool:
        """See `RecognizesContent`. Office documents and books are ZIP archives too, with parsers of their own."""
        if data.startswith(_ZIP):
            return _is_plain_zip(data)
        return _is_tar(data) or data.startswith(tuple(_COMPRESSIONS))

    def parse_container(self, data: bytes, filename: str, parts: Parts) -> ParsedDocument:
        name = filename.rpartition("/")[2]
        for magic, kind in _COMPRESSIONS.items():
            if data.startswith(magic):
                data, name = _decompressed(data, kind, parts.budget), _inner_name(name)
                if not _is_tar(data):
                    return parts.read(data, name)
                break
        if _is_tar(data):
            members = _tar_members(data, parts)
        elif data.startswith((_ZIP, b"PK\x05\x06")):
            members = _zip_members(data, parts)
        else:
            raise DocumentUnreadable("corrupt", "It is not an archive, despite its name.")
        return ParsedDocument(text="\n\n".join(parts.sections(members, are_all=True)))


def _is_plain_zip(data: bytes) -> bool:
    """Return whether a ZIP archive is complete, and neither an office document nor a book."""
    if data[30:38] == b"mimetype":
        return False
    start = data.rfind(b"PK\x05\x06", -_ZIP_END.size - 0xFFFF)
    if start < 0 or len(data) - start < _ZIP_END.size:
        return False
    _, _, _, _, _, size, offset, _ = _ZIP_END.unpack_from(data, start)
    directory = data[offset : offset + size]
    found = directory.find(b"[Content_Types].xml")
    while found >= 0:
        entry = found - _ZIP_ENTRY_BYTES
        if entry >= 0 and directory.startswith(_ZIP_ENTRY, entry):
            return False
        found = directory.find(b"[Content_Types].xml", found + 1)
    return True


def _is_tar(data: bytes) -> bool:
    place, mark = _TAR
    return data[place] == mark


def _inner_name(name: str) -> str:
    lower = name.lower()
    for suffix, inner in _SHORT_NAMES.items():
        if lower.endswith(suffix):
            return name[: -len(suffix)] + inner
    return name


def _decompressed(data: bytes, kind: str, budget: Budget) -> bytes:
    import bz2
    import gzip
    import lzma

    openers = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
    parts: list[bytes] = []
    try:
        with openers[kind](io.BytesIO(data)) as file:
            while part := file.read(_READ_BYTES):
                budget.take_bytes(len(part))
                parts.append(part)
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        raise DocumentUnreadable(
            "corrupt", f"It cannot be unpacked: it is not a complete {kind} file."
        ) from None
    return b"".join(parts)


def _zip_members(data: bytes, parts: Parts) -> _Members:
    import zipfile

    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        raise DocumentUnreadable("corrupt", "It is not a ZIP archive, or its end is missing.") from None
    # Of several entries with one name the last one counts, as for every program that unpacks archives.
    entries = {entry.filename.replace("\\", "/"): entry for entry in archive.infolist()}
    for name, entry in sorted(entries.items()):
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if not entry.is_dir() and kind in (0, stat.S_IFREG) and _is_wanted(name, parts):
            yield name, _read_zip_member(archive, entry, parts.budget)


def _read_zip_member(
    archive: "zipfile.ZipFile", entry: "zipfile.ZipInfo", budget: Budget
) -> bytes | DocumentUnreadable:
    if entry.flag_bits & 1:
        return DocumentUnreadable("encrypted", "It needs a password.")
    # zipfile unpacks no more than the size in the directory.
    budget.take_bytes(entry.file_size)
    try:
        return archive.read(entry)
    except MemoryError:
        raise
    except Exception:  # a member can be broken in many ways, with as many kinds of errors
        return DocumentUnreadable("corrupt", "It cannot be unpacked.")


def _tar_members(data: bytes, parts: Parts) -> _Members:
    import tarfile

    # tarfile accepts a truncated archive as complete.
    if data[-_TAR_BLOCK_BYTES:].strip(b"\0"):
        raise DocumentUnreadable("corrupt", "Its end is missing.")
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            members = {_tar_name(member): member for member in archive if member.isreg()}
            for name, member in sorted(members.items()):
                if _is_wanted(name, parts):
                    yield name, _read_tar_member(archive, member, parts.budget)
    except tarfile.TarError:
        raise DocumentUnreadable("corrupt", "It is not a complete tar archive.") from None


def _tar_name(member: "tarfile.TarInfo") -> str:
    return member.name.removeprefix("./")


def _read_tar_member(archive: "tarfile.TarFile", member: "tarfile.TarInfo", budget: Budget) -> bytes:
    budget.take_bytes(member.size)
    file = archive.extractfile(member)
    return file.read() if file else b""


def _is_wanted(name: str, parts: Parts) -> bool:
    folders = PurePosixPath(name).parts
    if not folders or name.startswith("/") or ":" in folders[0] or "__MACOSX" in folders:
        return False
    return not any(folder.startswith(".") for folder in folders) and parts.may_be_part(name)
