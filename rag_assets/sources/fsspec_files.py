"""Files on any file system of fsspec: Google Cloud Storage, Azure, SFTP, WebDAV and many more.

A folder that cannot be listed never counts as empty. A file's version is taken from the metadata of its file system.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import Field, field_validator

from rag_assets.errors import ConfigurationError, DocumentUnreadable, SourceUnavailable
from rag_assets.records import Outage, SourceEntry
from rag_assets.sources.base import (
    DEFAULT_MAX_BYTES,
    Reading,
    RemoteSourceOptions,
    SourceOptions,
    is_ignored,
    missing_error,
    token_by_clock,
    too_large_error,
)
from rag_assets.sources.file_selection import OTHER, FileOptions, FileSelection
from rag_assets.sources.fsspec_metadata import metadata_of
from rag_assets.sources.option_types import JsonObject
from rag_assets.sources.times import iso_utc
from rag_assets.time_limits import bounded, within

T = TypeVar("T")

# Names in the metadata of various file systems. There is no standard.
_HASHES = (
    "ETag",
    "etag",
    "md5Hash",
    "md5",
    "content_md5",
    "crc32c",
    "checksum",
    "sha256",
    "sha",
    "content_hash",
)
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "modify")


class FsspecOptions(RemoteSourceOptions, FileOptions):
    """The folder, and arguments for opening its file system."""

    url: str = Field(description="The folder, such as gs://bucket/handbook or sftp://host/srv/documents.")
    storage_options: JsonObject = Field(
        default_factory=dict, repr=False, description="Arguments of the fsspec file system, such as keys."
    )
    max_bytes: int = Field(DEFAULT_MAX_BYTES, gt=0, description="Larger files are quarantined.")

    @field_validator("url")
    @classmethod
    def _url_is_plain(cls, url: str) -> str:
        parts = urlsplit(url)
        if not parts.scheme or "::" in url:
            raise ValueError("expected one URL, protocol://…, not a chain of URLs")
        if parts.password is not None:
            raise ValueError("a password belongs in `storage_options`, not in the URL")
        return url


class FsspecSource:
    """A folder on a file system of fsspec.

    Hidden files, hidden folders and leftovers of editors are left out. Links are not followed.
    """

    Options: ClassVar[type[SourceOptions]] = FsspecOptions

    def __init__(self, name: str, options: FsspecOptions) -> None:
        self.name = name
        self.options = options
        self.parallel_reads = 1
        self._selection = FileSelection(options)
        self._outages: list[Outage] = []
        self._protocol = urlsplit(options.url).scheme
        self._is_http = self._protocol in ("http", "https")  # names are already parts of URLs
        self._shown_url = options.url.partition("?")[0].partition("#")[0].rstrip("/")
        self._file_system: Any = None
        self._root = ""
        self._require_package()

    @property
    def local_folder(self) -> Path | None:
        """See `ReadsLocalFolder`."""
        return Path(urlsplit(self.options.url).path) if self._protocol in ("file", "local") else None

    def list_entries(self) -> Iterator[SourceEntry]:
        """Yield one entry per document, folder by folder. The order depends only on the names.

        A folder that cannot be listed is an outage of itself, if the file system still answers.

        Raises:
            SourceUnavailable: the folder itself cannot be listed, or a folder does not answer in time.
        """
        self._selection.clear()
        self._outages = []
        self._file_system = None  # a new one has no cached listing and no lost connection
        seen: set[str] = set()
        try:
            for path, info in bounded(self._walk, self.options.timeout_seconds, f"list-{self.name}"):
                if path and path not in seen:
                    seen.add(path)
                    yield self._entry(path, info)
        except SourceUnavailable:
            raise
        except Exception as error:
            raise self._unavailable(error) from None

    @property
    def left_out(self) -> Mapping[str, int]:
        """See `CountsLeftOut`."""
        return self._selection.left_out

    def outages(self) -> Iterable[Outage]:
        """See `FailsInParts`."""
        return self._outages

    def read(self, entry: SourceEntry, known_token: str = "") -> Reading | None:
        """Return one listed file.

        Raises:
            DocumentUnreadable: `too_large`, or `unreadable`, for this file only. The folder exists.
            SourceUnavailable: the folder cannot be reached.
        """
        try:
            return self._within_time(lambda: self._read(entry, known_token))
        except (DocumentUnreadable, SourceUnavailable):
            raise
        except TimeoutError as error:
            raise self._unavailable(error) from None
        except Exception as error:
            # One file or all of them? A look at the folder shows it.
            try:
                self._within_time(self._look_at_the_folder)
            except Exception as folder_error:
                raise self._unavailable(folder_error) from None
            if isinstance(error, FileNotFoundError):
                raise missing_error() from None
            raise DocumentUnreadable(
                "unreadable",
                f"The file system failed with {type(error).__name__}. Allow it to be read, or leave it out with `exclude`.",
            ) from None

    def _require_package(self) -> None:
        """Raise ConfigurationError if no package for this kind of URL is installed."""
        from fsspec.registry import known_implementations, registry

        if self._protocol in registry:
            return
        known = known_implementations.get(self._protocol)
        if known is None:
            raise ConfigurationError(
                f"source {self.name}: fsspec does not support URLs with {self._protocol}://"
            )
        if find_spec(known["class"].partition(".")[0]) is None:
            raise ConfigurationError(f"source {self.name}: {known.get('err', 'a package is missing')}")

    def _opened(self) -> Any:
        if self._file_system is None:
            from fsspec.core import url_to_fs
            from fsspec.dircache import DirCache

            try:
                file_system, root = url_to_fs(
                    self.options.url, skip_instance_cache=True, **self.options.storage_options
                )
            except ImportError as error:
                # The message comes from fsspec and names the package to install.
                raise SourceUnavailable(f"source {self.name}: {error}") from None
            # No cached listings: `read` comes later than the listing. As an argument, `use_listings_cache` would reach the
            # SSH client of sftp, which refuses it.
            file_system.dircache = DirCache(use_listings_cache=False)
            self._root = root.rstrip("/")
            # Other file systems may not be thread-safe.
            self.parallel_reads = 4 if getattr(file_system, "async_impl", False) else 1
            self._file_system = file_system
        return self._file_system

    def _walk(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield path and metadata of every document, and one empty path per folder, as a sign of life.

        Not with `find` or `walk` of fsspec: they treat a folder that cannot be listed as empty, even with
        `on_error="raise"` for folders below the first (2026.9).
        """
        self._look_at_the_folder()
        folders = [""]
        visited: set[str] = set()
        while folders:
            folder = folders.pop()
            if folder in visited:
                continue
            visited.add(folder)
            inner_folders: list[str] = []
            for path, info in self._children_or_outage(folder):
                if info.get("type") == "directory":
                    if self._selection.enters(path):
                        inner_folders.append(path)
                elif info.get("type") != "file":
                    self._selection.left_out[OTHER] += 1
                elif self._selection.takes(path):
                    yield path, info
            folders.extend(reversed(inner_folders))
            yield "", {}

    def _children_or_outage(self, folder: str) -> list[tuple[str, dict[str, Any]]]:
        try:
            return self._children(folder)
        except Exception as error:
            if not folder:
                raise
            self._look_at_the_folder()  # otherwise nothing can be read
            self._outages.append(Outage(self.name, f"{folder}/", self._problem(error), below=f"{folder}/"))
            return []

    def _children(self, folder: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the content of a folder, sorted by name, with paths relative to the root."""
        children: dict[str, dict[str, Any]] = {}
        file_system = self._opened()
        for info in file_system.ls(self._full(folder) or "/", detail=True):
            full_path = str(info["name"]).rstrip("/")
            if full_path == self._full(folder):
                continue  # object stores list the folder itself
            name = full_path.removeprefix(self._full(folder) + "/")
            # A web server links to its own listing in another order: `?C=M`.
            if name == full_path or "/" in name or name in ("", ".", "..") or (self._is_http and "?" in name):
                self._selection.left_out[OTHER] += 1
            elif not is_ignored(name):
                children[f"{folder}/{name}" if folder else name] = info
        return sorted(children.items())

    def _look_at_the_folder(self) -> None:
        """Raise an error if the folder does not exist. Some file systems would list nothing instead."""
        file_system = self._opened()
        root = self._full("") or "/"
        if file_system.info(root).get("type") != "directory" and not file_system.isdir(root):
            raise SourceUnavailable(f"source {self.name}: {self._shown_url} is not a folder")

    def _read(self, entry: SourceEntry, known_token: str) -> Reading | None:
        file_system = self._opened()
        path = self._full(entry.path)
        size, token = entry.size_bytes, entry.version_token
        if not token:
            # A listing may have less metadata than the file: over HTTP, only this request returns the ETag.
            info = file_system.info(path)
            size, token = _size(info), _token(info)
        if token and token == known_token:
            return None
        limit = self.options.max_bytes
        if size > limit:
            raise too_large_error(size, limit)
        if size > 0:
            data = file_system.cat_file(path)
        else:
            with file_system.open(path, "rb") as file:
                data = file.read(limit + 1)
        if len(data) > limit:
            raise DocumentUnreadable("too_large", f"Larger than the limit of {limit / 1e6:.0f} MB.")
        has_moved = token not in ("", _token(file_system.info(path)))
        token = token or f"sha256-{hashlib.sha256(data).hexdigest()}"
        if token == known_token:
            return None
        token = token_by_clock(replace(entry, version_token=token))
        return Reading(data, version_token=token, has_moved=has_moved)

    def _within_time(self, ask: Callable[[], T]) -> T:
        return within(self.options.timeout_seconds, ask)

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _entry(self, path: str, info: dict[str, Any]) -> SourceEntry:
        return SourceEntry(
            document_id=f"{self.name}:{path}",
            source=self.name,
            uri=f"{self._shown_url}/{path if self._is_http else quote(path)}",
            path=path,
            filename=path.rpartition("/")[2],
            version_token=_token(info),
            size_bytes=_size(info),
            modified_at=iso_utc(_modified(info)),
            metadata=metadata_of(info),
        )

    def _unavailable(self, error: Exception) -> SourceUnavailable:
        if isinstance(error, SourceUnavailable):
            return error
        return SourceUnavailable(
            f"source {self.name}: {self._shown_url} {self._problem(error)}. Check `url` and `storage_options`, and that it "
            "answers",
            lasting=isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError),
        )

    def _problem(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"did not answer within {self.options.timeout_seconds:g} s"
        if isinstance(error, FileNotFoundError):
            return "does not exist, or is a bucket without any file"
        # Without the message, which may hold a key.
        return f"cannot be listed ({type(error).__name__})"


def _token(info: dict[str, Any]) -> str:
    """Return a version that changes with the bytes, or "" if the metadata has none."""
    for known_as in (_HASHES, _TIMES):
        for key in known_as:
            if info.get(key):
                # The inode, if there is one: another file of equal size and time may have taken the place.
                inode = f"-{info['ino']}" if known_as is _TIMES and info.get("ino") else ""
                return f"{_size(info)}-{info[key]}{inode}"
    return ""


def _size(info: dict[str, Any]) -> int:
    return int(info.get("size") or 0)


def _modified(info: dict[str, Any]) -> Any:
    return next((info[key] for key in _TIMES if info.get(key)), None)
