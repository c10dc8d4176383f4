"""Files on whatever fsspec has a file system for: Google Cloud Storage, Azure, SFTP, WebDAV and many more.

Here belongs how such a file system is walked without believing in emptiness, and by what it tells that a file changed.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import Field, field_validator

from rag_assets.errors import ConfigurationError, DocumentGone, DocumentUnreadable, SourceUnavailable
from rag_assets.parsers import may_be_document
from rag_assets.records import SourceEntry
from rag_assets.sources.base import (
    DEFAULT_MAX_BYTES,
    Reading,
    RemoteSourceOptions,
    SourceOptions,
    is_ignored,
    token_by_clock,
    too_large_error,
)
from rag_assets.sources.option_types import JsonObject
from rag_assets.sources.times import iso_utc
from rag_assets.time_limits import bounded, within

_LOGGER = logging.getLogger(__name__)
T = TypeVar("T")

# What file systems call them; there is no agreement.
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


class FsspecOptions(RemoteSourceOptions):
    """Which folder, and how its file system is opened."""

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
            raise ValueError("expected one URL, protocol://…, not a chain of them")
        if parts.password is not None:
            raise ValueError("a password belongs into storage_options, not into the URL")
        return url


class FsspecSource:
    """A folder on a file system of fsspec.

    Hidden files and folders and the leftovers of editors do not count, and links are not followed.

    Attributes:
        skipped_unsupported: files of the last listing without a parser, links, and what is outside of the folder.
    """

    Options: ClassVar[type[SourceOptions]] = FsspecOptions

    def __init__(self, name: str, options: FsspecOptions) -> None:
        self.name = name
        self.options = options
        self.parallel_reads = 1
        self.skipped_unsupported = 0
        self._protocol = urlsplit(options.url).scheme
        self._is_http = self._protocol in ("http", "https")  # names are parts of URLs already
        self._shown_url = options.url.partition("?")[0].partition("#")[0].rstrip("/")
        self._file_system: Any = None
        self._root = ""
        self._require_package()

    def list_entries(self) -> Iterator[SourceEntry]:
        """Yield one entry a document, folder by folder, in an order that depends on the names only.

        Raises:
            SourceUnavailable: the folder, or a folder in it, cannot be listed.
        """
        self.skipped_unsupported = 0
        self._file_system = None  # a new one knows no listing of before, and no connection that was lost
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
        if self.skipped_unsupported:
            _LOGGER.info(
                "source %s: %d files skipped that there is no parser for", self.name, self.skipped_unsupported
            )

    def read(self, entry: SourceEntry, known_token: str = "") -> Reading | None:
        """Return one listed file.

        Raises:
            DocumentGone: the folder is there, and the file is not in it.
            DocumentUnreadable: `too_large`, or `unreadable`: this file only.
            SourceUnavailable: the folder cannot be reached.
        """
        try:
            return self._within_time(lambda: self._read(entry, known_token))
        except (DocumentUnreadable, SourceUnavailable):
            raise
        except TimeoutError as error:
            raise self._unavailable(error) from None
        except Exception as error:
            # One file, or all? The folder tells.
            try:
                self._within_time(self._look_at_the_folder)
            except Exception as folder_error:
                raise self._unavailable(folder_error) from None
            if isinstance(error, FileNotFoundError):
                raise DocumentGone("There is no such file any more.") from None
            raise DocumentUnreadable(
                "unreadable", f"The file system gives {type(error).__name__} for it."
            ) from None

    def _require_package(self) -> None:
        """Raises: ConfigurationError: nothing is installed for URLs like this."""
        from fsspec.registry import known_implementations, registry

        if self._protocol in registry:
            return
        known = known_implementations.get(self._protocol)
        if known is None:
            raise ConfigurationError(f"source {self.name}: fsspec knows no URLs with {self._protocol}://")
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
                # Of fsspec's own making: which package to install.
                raise SourceUnavailable(f"source {self.name}: {error}") from None
            # Each question is new, for `read` comes later than the listing. As an argument, `use_listings_cache` would reach the SSH client of sftp, which refuses it.
            file_system.dircache = DirCache(use_listings_cache=False)
            self._root = root.rstrip("/")
            # Others need not bear several threads.
            self.parallel_reads = 4 if getattr(file_system, "async_impl", False) else 1
            self._file_system = file_system
        return self._file_system

    def _walk(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield path and information of every document, and for every folder one empty path, as a sign of life.

        Not with `find` or `walk` of fsspec: these take a folder that cannot be listed for an empty one; even with
        `on_error="raise"` those below the first (2026.9).
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
            for path, info in self._children(folder):
                if info.get("type") == "directory":
                    inner_folders.append(path)
                elif info.get("type") == "file" and may_be_document(path):
                    yield path, info
                else:
                    self.skipped_unsupported += 1
            folders.extend(reversed(inner_folders))
            yield "", {}

    def _children(self, folder: str) -> list[tuple[str, dict[str, Any]]]:
        """Return what is in a folder, by name, with paths that are relative to the root."""
        children: dict[str, dict[str, Any]] = {}
        file_system = self._opened()
        for info in file_system.ls(self._full(folder) or "/", detail=True):
            full_path = str(info["name"]).rstrip("/")
            if full_path == self._full(folder):
                continue  # object stores list the folder itself
            name = full_path.removeprefix(self._full(folder) + "/")
            # A web server links to its listing in another order: `?C=M`.
            if name == full_path or "/" in name or name in ("", ".", "..") or (self._is_http and "?" in name):
                self.skipped_unsupported += 1
            elif not is_ignored(name):
                children[f"{folder}/{name}" if folder else name] = info
        return sorted(children.items())

    def _look_at_the_folder(self) -> None:
        """Raises: the folder is not there. Some file systems would list nothing instead."""
        file_system = self._opened()
        root = self._full("") or "/"
        if file_system.info(root).get("type") != "directory" and not file_system.isdir(root):
            raise SourceUnavailable(f"source {self.name}: {self._shown_url} is not a folder")

    def _read(self, entry: SourceEntry, known_token: str) -> Reading | None:
        file_system = self._opened()
        path = self._full(entry.path)
        size, token = entry.size_bytes, entry.version_token
        if not token:
            # A listing may tell less than the file itself does: over HTTP, only this asks for the ETag.
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
            raise DocumentUnreadable("too_large", f"More than the limit of {limit / 1e6:.0f} MB.")
        token = token or f"sha256-{hashlib.sha256(data).hexdigest()}"
        if token == known_token:
            return None
        return Reading(data, version_token=token_by_clock(replace(entry, version_token=token)))

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
        )

    def _unavailable(self, error: Exception) -> SourceUnavailable:
        if isinstance(error, SourceUnavailable):
            return error
        if isinstance(error, TimeoutError):
            why = f"did not answer within {self.options.timeout_seconds:.0f} s"
        elif isinstance(error, FileNotFoundError):
            why = "is not there. A bucket without any file counts as that too"
        else:
            # Not its message, which may hold a key.
            why = f"cannot be listed ({type(error).__name__})"
        return SourceUnavailable(f"source {self.name}: {self._shown_url} {why}")


def _token(info: dict[str, Any]) -> str:
    """Return what changes with the bytes; "" if the file system says no such thing."""
    for known_as in (_HASHES, _TIMES):
        for key in known_as:
            if info.get(key):
                return f"{_size(info)}-{info[key]}"
    return ""


def _size(info: dict[str, Any]) -> int:
    return int(info.get("size") or 0)


def _modified(info: dict[str, Any]) -> Any:
    return next((info[key] for key in _TIMES if info.get(key)), None)
