"""Documents in a folder and its subfolders.

No link leads out of the folder, and nothing but regular files is opened.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import quote_from_bytes, unquote_to_bytes

from pydantic import Field

from rag_assets.disk.file_names import name_on_disk, shown_name
from rag_assets.disk.mount_points import MountPoints
from rag_assets.disk.root_folder import RootFolder
from rag_assets.errors import DocumentUnreadable, SourceUnavailable
from rag_assets.parsers.registry import may_be_document, supported_suffixes
from rag_assets.records import Outage, SourceEntry
from rag_assets.settings import UserPath
from rag_assets.sources.base import (
    DEFAULT_MAX_BYTES,
    Reading,
    SourceOptions,
    is_ignored,
    token_by_clock,
    too_large_error,
)
from rag_assets.sources.file_selection import LINK, OTHER, FileOptions, FileSelection
from rag_assets.sources.times import iso_utc
from rag_assets.time_limits import NothingCame, OneByOne

# Errors of stat for a link that leads nowhere, or in a circle.
_DEAD_LINK = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))
_PATIENCE_SECONDS = 120.0
_SLOWEST_BYTES_PER_SECOND = 1_000_000
_LOST_AND_FOUND = "lost+found"  # of a file system, readable by root only


class FilesystemOptions(FileOptions):
    """The folder, and the size limit of a file."""

    folder: UserPath = Field(Path("data/documents"), description="Folder with the documents.")
    max_bytes: int = Field(DEFAULT_MAX_BYTES, gt=0, description="Larger files are quarantined.")


@dataclass(frozen=True, slots=True)
class _Found:
    """Something in a folder.

    Attributes:
        status: of a document, None for a folder.
    """

    name: str
    is_link: bool
    is_folder: bool = False
    status: os.stat_result | None = None


class FilesystemSource:
    """A folder of documents.

    Hidden files, hidden folders and leftovers of editors are left out. A link stands for its target inside the folder.
    A folder reachable in several ways is listed once.
    """

    Options: ClassVar[type[SourceOptions]] = FilesystemOptions
    watched_as: Literal["folder", "bucket"] = "folder"
    parallel_reads = 1  # a disk is not faster with more, and documents read ahead would fill the memory

    def __init__(self, name: str, options: FilesystemOptions) -> None:
        self.name = name
        self.options = options
        self.root = Path(os.path.abspath(options.folder))  # noqa: PTH100  Path.absolute keeps `..`
        self.max_bytes = options.max_bytes
        self._selection = FileSelection(options)
        self._outages: dict[str, Outage] = {}
        self._mounts: dict[str, str] = {}
        self._mount_points = MountPoints()
        self._reader = OneByOne(f"read-{name}")

    @property
    def local_folder(self) -> Path:
        return self.root

    def list_entries(self) -> Iterator[SourceEntry]:
        """Yield one entry per document. The order depends only on the names.

        A folder that cannot be read is an outage of itself. The others are listed.

        Raises:
            SourceUnavailable: the documents folder itself cannot be listed.
        """
        self._selection.clear()
        self._outages, self._mounts, self._mount_points = {}, {}, MountPoints()
        try:
            root = RootFolder(self.root)
        except OSError as error:
            raise self._unavailable(error) from error
        with root:
            self._note_volume_of(root.real_path)
            # Linked folders come last: a folder inside the root keeps its own name.
            linked_folders: deque[str] = deque([""])
            visited: set[tuple[int, int]] = set()
            while linked_folders:
                folders = [linked_folders.popleft()]
                while folders:
                    folder = folders.pop()
                    inner_folders: list[str] = []
                    for found in self._scan(root, folder, visited):
                        path = f"{folder}/{found.name}" if folder else found.name
                        if found.is_folder and not self._selection.enters(path):
                            continue
                        if found.is_folder:
                            (linked_folders if found.is_link else inner_folders).append(path)
                        elif found.status is not None:
                            yield self._entry(path, found.status)
                    folders.extend(reversed(inner_folders))

    @property
    def left_out(self) -> Mapping[str, int]:
        """See `CountsLeftOut`. A link that leads nowhere or out of the folder counts as a link."""
        return self._selection.left_out

    @property
    def mounts(self) -> Mapping[str, str]:
        """See `NamesMounts`."""
        return self._mounts

    def outages(self) -> Iterable[Outage]:
        """See `FailsInParts`."""
        return self._outages.values()

    def read(self, entry: SourceEntry, known_token: str = "") -> Reading:
        """Return one listed document.

        Raises:
            DocumentUnreadable: `too_large`, or `unreadable`: gone, forbidden, or no longer a file.
            SourceUnavailable: the documents folder is gone, or its volume hangs.
        """
        del known_token  # the caller has compared it already
        patience_seconds = _PATIENCE_SECONDS + entry.size_bytes / _SLOWEST_BYTES_PER_SECOND
        try:
            # A network volume without its server lets each call wait for ever.
            return self._reader.within(patience_seconds, lambda: self._read(entry))
        except NothingCame:
            raise SourceUnavailable(
                f"source {self.name}: {entry.path} was not read within {patience_seconds:.0f} s. Check the volume of "
                "the documents folder"
            ) from None

    def _read(self, entry: SourceEntry) -> Reading:
        try:
            root = RootFolder(self.root)
        except OSError as error:
            raise self._unavailable(error) from error
        try:
            with root:
                path = root.resolve(name_on_disk(entry.path))
                if path is None:
                    raise DocumentUnreadable(
                        "unreadable", "It is a link that leads out of the documents folder."
                    )
                # Not blocking: opening a named pipe would wait for a writer, perhaps for ever.
                descriptor = root.open(path, os.O_RDONLY | os.O_NONBLOCK)
                with os.fdopen(descriptor, "rb") as file:
                    status = os.fstat(descriptor)
                    if not stat.S_ISREG(status.st_mode):
                        raise DocumentUnreadable("unreadable", "It is not a regular file.")
                    if status.st_size > self.max_bytes:
                        raise too_large_error(status.st_size, self.max_bytes)
                    data = file.read(status.st_size)
                    # The path too: a file may have been put in its place.
                    tokens = {_token(one) for one in (status, os.fstat(descriptor), root.stat(path))}
            return Reading(
                data, version_token=token_by_clock(entry), has_moved=tokens != {entry.version_token}
            )
        except OSError as error:
            advice = "Check the file and its disk."
            if isinstance(error, PermissionError):
                advice = "Allow this user to read it."
            raise DocumentUnreadable("unreadable", f"{error.strerror}. {advice}") from error

    def why_not_listed(self, name: str) -> str | None:
        """See `ExplainsWhatItSkips`. For files outside of the listing only."""
        path = self._existing(name)
        if path is None:
            return None
        real_path = os.path.realpath(path)
        if not _is_inside(path, str(self.root)):
            return f"it is outside of the documents folder {self.root}"
        if any(_is_ignored(part) for part in path[len(str(self.root)) :].split("/") if part):
            return "hidden files and folders, and leftovers of editors, are not read"
        if not os.path.exists(real_path):  # noqa: PTH110
            return "it is a link that leads nowhere"
        if not _is_inside(real_path, os.path.realpath(self.root)):
            return "it is a link that leads out of the documents folder"
        if os.path.isdir(real_path):  # noqa: PTH112
            return "it is a folder"
        if not os.path.isfile(real_path):  # noqa: PTH113
            return "it is not a regular file"
        if may_be_document(path) and not self._selection.fits(shown_name(path[len(str(self.root)) + 1 :])):
            return "it is left out by the patterns of `include` or `exclude`"
        if not may_be_document(path):
            known = ", ".join(sorted(supported_suffixes()))
            return f"there is no parser for its format. Supported: {known}"
        if real_path == os.path.join(os.path.realpath(self.root), path[len(str(self.root)) + 1 :]):  # noqa: PTH118
            return None  # listed, or written since
        return "its folder is listed under another name, through a link"

    def _existing(self, name: str) -> str | None:
        """Return the full path of a file, listed or not."""
        name = name.removeprefix(f"{self.name}:")
        if name.startswith("file://"):
            name = os.fsdecode(unquote_to_bytes(name.removeprefix("file://")))
        for one in dict.fromkeys((name, name_on_disk(name))):
            path = os.path.abspath(os.path.join(self.root, one))  # noqa: PTH100, PTH118
            if os.path.lexists(path):
                return path
        if "/" in name:
            return None
        name = name_on_disk(name)
        return next((f"{folder}/{name}" for folder, _, files in os.walk(self.root) if name in files), None)

    def _note_volume_of(self, real_path: str) -> None:
        """Note the mount point at the documents folder or above it."""
        for folder in (real_path, *map(str, Path(real_path).parents)):
            if folder != "/" and self._mount_points.contain(folder):
                self._mounts[folder] = ""
                return

    def _scan(self, root: RootFolder, folder: str, visited: set[tuple[int, int]]) -> list[_Found]:
        """Return the documents and the folders in a folder, by name."""
        path = root.resolve(folder)
        if path is None:  # exchanged for a link meanwhile
            self._selection.left_out[LINK] += 1
            return []
        try:
            descriptor = root.open(path)
            try:
                status = os.fstat(descriptor)
                if (status.st_dev, status.st_ino) in visited:
                    return []
                visited.add((status.st_dev, status.st_ino))
                if path and self._mount_points.contain(f"{root.real_path}/{path}"):
                    self._mounts[f"{root.real_path}/{path}"] = f"{shown_name(folder)}/"
                with os.scandir(descriptor) as entries:
                    kept = sorted((e for e in entries if not _is_ignored(e.name)), key=lambda e: e.name)
                return [found for entry in kept if (found := self._examine(root, folder, entry))]
            finally:
                os.close(descriptor)
        except OSError as error:
            if not folder:
                raise self._unavailable(error) from error
            self._fail(f"{folder}/", error)
            return []

    def _examine(self, root: RootFolder, folder: str, entry: os.DirEntry[str]) -> _Found | None:
        """Return an entry of a folder, or None if it is neither a document nor a folder."""
        path = f"{folder}/{entry.name}" if folder else entry.name
        is_link = entry.is_symlink()
        if not is_link and entry.is_dir(follow_symlinks=False):
            return _Found(entry.name, is_link, is_folder=True)
        try:
            status = self._status(root, path, entry)
        except OSError as error:
            if is_link and error.errno in _DEAD_LINK:
                status = None
            elif isinstance(error, FileNotFoundError):
                return None  # a file deleted meanwhile
            else:
                self._fail(path, error)
                return None
        if status is None or stat.S_ISLNK(status.st_mode):  # a circle of links
            self._selection.left_out[LINK] += 1
        elif stat.S_ISDIR(status.st_mode):
            return _Found(entry.name, is_link, is_folder=True)
        elif stat.S_ISREG(status.st_mode):
            return (
                _Found(entry.name, is_link, status=status)
                if self._selection.takes(shown_name(path))
                else None
            )
        else:
            self._selection.left_out[OTHER] += 1
        return None

    @staticmethod
    def _status(root: RootFolder, path: str, entry: os.DirEntry[str]) -> os.stat_result | None:
        """Return the status of an entry, or of the target of a link, or None if that is outside."""
        if not entry.is_symlink():
            return entry.stat(follow_symlinks=False)
        target = root.resolve(path)
        return None if target is None else root.stat(target)

    def _fail(self, path: str, error: OSError) -> None:
        """Remember an outage. The name of a folder ends with a slash. Of a link it is not known what it leads to."""
        place = shown_name(path)
        self._outages[place] = Outage(
            self.name,
            place,
            error.strerror or type(error).__name__,
            below=place.rstrip("/") + "/",
            paths=frozenset() if path.endswith("/") else frozenset([place]),
        )

    def _entry(self, path: str, status: os.stat_result) -> SourceEntry:
        shown_path = shown_name(path)
        full_path = f"{self.root}/{path}"
        return SourceEntry(
            document_id=f"{self.name}:{shown_path}",
            source=self.name,
            uri="file://" + quote_from_bytes(os.fsencode(full_path)),
            path=shown_path,
            filename=shown_path.rpartition("/")[2],
            version_token=_token(status),
            size_bytes=status.st_size,
            modified_at=iso_utc(status.st_mtime_ns // 1_000_000_000),
        )

    def _unavailable(self, error: OSError) -> SourceUnavailable:
        variable = "RAG_DOCUMENTS_DIR" if self.name == "filesystem" else f"`folder` of source {self.name}"
        return SourceUnavailable(
            f"source {self.name}: the documents folder {shown_name(str(self.root))} cannot be read: {error.strerror}. "
            f"Fix it, or point {variable} to another folder.",
            lasting=isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError),
        )


def _is_ignored(name: str) -> bool:
    return is_ignored(name) or name == _LOST_AND_FOUND


def _token(status: os.stat_result) -> str:
    """Return the version token of a file.

    With the change time: `cp -p`, `rsync -a`, `mv` and archives bring new bytes with an old mtime. With the inode: a
    link or a folder may lead to other files of equal times. Without the device: its number changes with every mount.
    """
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
