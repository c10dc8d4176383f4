"""Documents of any LangChain document loader, with identity, title and version.

A loader cannot list without loading. So a listing loads everything, and keeps the texts in an unnamed file until they
are read.
"""

import hashlib
import importlib
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import Field, field_validator

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.values import Metadata
from rag_assets.errors import ConfigurationError, DocumentGone, SourceUnavailable
from rag_assets.records import SourceEntry
from rag_assets.sources.base import (
    DEFAULT_MAX_BYTES,
    Reading,
    RemoteSourceOptions,
    SourceOptions,
    too_large_error,
)
from rag_assets.sources.option_types import SUFFIXES, JsonObject, TextFormat
from rag_assets.sources.url_identity import UrlIdentity
from rag_assets.text.wording import counted
from rag_assets.time_limits import NothingCame, bounded

_DOTTED_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+")
_PARTS_OF_A_SOURCE = ("page", "row", "seq_num", "id")
"""Metadata by which loaders number the documents of one file."""
_FIXED = ("source", "title")
"""Metadata with a place of their own."""
_FORGIVING = ("silent_errors", "continue_on_failure")
"""Arguments of loaders in langchain_community. With these a failed document is only a line in the log."""


class LangchainOptions(RemoteSourceOptions):
    """The loader, and its arguments."""

    timeout_seconds: float = Field(
        120.0, gt=0, description="Seconds to wait for each document. After that the source is down."
    )
    loader: str = Field(
        description="Dotted name of the loader class, such as langchain_community.document_loaders.TextLoader."
    )
    arguments: JsonObject = Field(
        default_factory=dict, repr=False, description="Arguments of the loader class, by name."
    )
    signature_parameters: tuple[str, ...] = Field(
        (), description="Names of query parameters in URLs that are no part of a document's identity."
    )
    format: TextFormat = Field("text", description="Format of the texts: text, markdown or html.")
    max_bytes: int = Field(DEFAULT_MAX_BYTES, gt=0, description="Longer texts are quarantined.")

    @field_validator("loader")
    @classmethod
    def _loader_is_a_dotted_name(cls, loader: str) -> str:
        if not _DOTTED_NAME.fullmatch(loader):
            raise ValueError("expected a dotted name, `package.module.Class`")
        return loader


@dataclass(frozen=True, slots=True)
class _Spooled:
    """A text in the spool, with its identity.

    Attributes:
        key: `source` in its metadata, with page, row or id.
    """

    key: str
    source: str
    title: str
    token: str
    offset: int
    size_bytes: int
    metadata: Metadata


class LangchainSource:
    """The documents of a LangChain loader. Each is identified by `source` in its metadata, with page, row or id.

    Documents with equal values are numbered in the order of loading.
    """

    Options: ClassVar[type[SourceOptions]] = LangchainOptions
    parallel_reads = 1  # from one file

    def __init__(self, name: str, options: LangchainOptions) -> None:
        package = options.loader.partition(".")[0]
        if find_spec(package) is None:
            raise ConfigurationError(
                f"source {name}: the Python package {package} of {options.loader} is not installed. "
                f"Its name on PyPI is probably {package.replace('_', '-')}: pip install {package.replace('_', '-')}"
            )
        self.name = name
        self.options = options
        self._spool: _Spool | None = None
        self._identity = UrlIdentity(options.signature_parameters)

    def use_key(self, key: Callable[[], str]) -> None:
        """See `IdentifiesUrls`."""
        self._identity = UrlIdentity(self.options.signature_parameters, key)

    def path_now(self, path: str) -> str:
        """See `IdentifiesUrls`."""
        return self._without_secrets(path)

    def _without_secrets(self, source: str) -> str:
        return self._identity.of(_without_login(source)) if "://" in source else source

    def list_entries(self) -> Iterator[SourceEntry]:
        """Load everything, and yield one entry per document.

        Raises:
            SourceUnavailable: the loader cannot be created, fails, or loads nothing for too long.
        """
        self._spool = spool = _Spool()
        try:
            for spooled in bounded(
                lambda: self._load(spool), self.options.timeout_seconds, f"load-{self.name}"
            ):
                spool.documents[spooled.key] = spooled
                yield self._entry(spooled)
            if spool.num_warnings:
                options = " and ".join(self._forgiving)
                raise SourceUnavailable(
                    f"source {self.name}: {self.options.loader} logged {counted(spool.num_warnings, 'warning')} with "
                    f"{options}, so documents may be missing. See its log"
                )
        except SourceUnavailable:
            raise
        except NothingCame:
            raise SourceUnavailable(
                f"source {self.name}: {self.options.loader} loaded nothing for {self.options.timeout_seconds:g} s. "
                "Raise timeout_seconds if the loader is slow."
            ) from None
        except Exception as error:
            raise self._failed(error) from None

    def read(self, entry: SourceEntry, known_token: str = "") -> Reading | None:
        """Return a document of the last listing.

        Raises:
            DocumentGone: not in the last listing.
            DocumentUnreadable: `too_large`.
            SourceUnavailable: there was no listing before.
        """
        if self._spool is None:
            raise SourceUnavailable(f"source {self.name} can only read after a listing")
        spooled = self._spool.documents.get(entry.path)
        if spooled is None:
            raise DocumentGone("The loader no longer loads it.")
        if spooled.token == known_token:
            return None
        if spooled.size_bytes > self.options.max_bytes:
            raise too_large_error(spooled.size_bytes, self.options.max_bytes)
        data = self._spool.read(spooled.offset, spooled.size_bytes)
        return Reading(data, f"text{SUFFIXES[self.options.format]}", spooled.title, spooled.token)

    def _load(self, spool: "_Spool") -> Iterator[_Spooled]:
        loader = self._loader_class()(**self.options.arguments)
        keys: set[str] = set()
        for document in self._watched(loader, spool):
            metadata = document.metadata
            source = self._without_secrets(
                str(metadata.get("source") or self.options.loader.rpartition(".")[2])
            )
            key = _numbered(_key(source, metadata, document.id), keys)
            keys.add(key)
            text = document.page_content.encode("utf-8", "replace")
            title = str(metadata.get("title") or "")
            token = hashlib.sha256(f"{self.options.format}\n{title}\n".encode("utf-8", "replace") + text)
            yield _Spooled(
                key,
                source,
                title,
                token.hexdigest(),
                spool.append(text),
                len(text),
                normalized(self._own_fields(metadata)),
            )

    def _own_fields(self, metadata: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return the metadata of a document without its address, and without secrets in addresses."""
        source = metadata.get("source")
        return {
            key: self._without_secrets(value) if isinstance(value, str) else value
            for key, value in metadata.items()
            # Some loaders repeat the address, as `file_path`.
            if key not in _FIXED and not (isinstance(value, str) and value == source)
        }

    @property
    def _forgiving(self) -> list[str]:
        """The arguments by which the loader logs failures and goes on."""
        arguments = self.options.arguments
        return [name for name in _FORGIVING if str(arguments.get(name)).lower() == "true"]

    def _watched(self, loader: Any, spool: "_Spool") -> Iterator[Any]:
        """Yield the documents of the loader, and count the warnings meanwhile, if it goes on after failures."""
        packages = {cls.__module__.partition(".")[0] for cls in type(loader).__mro__ if self._forgiving}
        counter = _WarningCounter(spool)
        for package in packages:
            logging.getLogger(package).addHandler(counter)
        try:
            yield from loader.lazy_load()
        finally:
            for package in packages:
                logging.getLogger(package).removeHandler(counter)

    def _loader_class(self) -> type[Any]:
        module, _, class_name = self.options.loader.rpartition(".")
        found = getattr(importlib.import_module(module), class_name, None)
        if not isinstance(found, type) or not callable(getattr(found, "lazy_load", None)):
            raise SourceUnavailable(
                f"source {self.name}: {self.options.loader} is not a document loader, a class with lazy_load"
            )
        return found

    def _entry(self, spooled: _Spooled) -> SourceEntry:
        apart = quote(spooled.key.removeprefix(spooled.source).removeprefix("#"))
        return SourceEntry(
            document_id=f"{self.name}:{spooled.key}",
            source=self.name,
            uri=_uri(self.name, spooled.source) + (f"#{apart}" if apart else ""),
            path=spooled.key,
            filename=spooled.source.rstrip("/").rpartition("/")[2] or self.name,
            version_token=spooled.token,
            size_bytes=spooled.size_bytes,
            metadata=spooled.metadata,
        )

    def _failed(self, error: Exception) -> SourceUnavailable:
        # Without the message, which may hold a secret or a text.
        what = f"source {self.name}: {self.options.loader} failed with {type(error).__name__}"
        if isinstance(error, ModuleNotFoundError) and error.name:
            return SourceUnavailable(
                f"{what}: the Python package {error.name} is not installed", lasting=True
            )
        return SourceUnavailable(f"{what}. Run the loader by hand to see its message")


class _Spool:
    """Texts in an unnamed file, which disappears with the listing or the process, even a killed one.

    Attributes:
        documents: key -> place of its text.
        num_warnings: number of warnings logged by a loader that goes on after failures.
    """

    def __init__(self) -> None:
        self.num_warnings = 0
        self.documents: dict[str, _Spooled] = {}
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed with this object
        self._end = 0

    def append(self, data: bytes) -> int:
        """Write a text at the end, and return its offset."""
        offset = self._end
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._end += len(data)
        return offset

    def read(self, offset: int, size_bytes: int) -> bytes:
        return os.pread(self._file.fileno(), size_bytes, offset)


class _WarningCounter(logging.Handler):
    def __init__(self, spool: _Spool) -> None:
        super().__init__(logging.WARNING)
        self._spool = spool

    def emit(self, record: logging.LogRecord) -> None:
        del record  # its message may quote a document
        self._spool.num_warnings += 1


def _key(source: str, metadata: Mapping[str, Any], document_id: str | None) -> str:
    parts = {name: metadata[name] for name in _PARTS_OF_A_SOURCE if isinstance(metadata.get(name), str | int)}
    if document_id:
        parts.setdefault("id", document_id)
    return "#".join([source, *(f"{name}={value}" for name, value in parts.items())])


def _numbered(key: str, keys: set[str]) -> str:
    if key not in keys:
        return key
    number = 2
    while f"{key}#{number}" in keys:
        number += 1
    return f"{key}#{number}"


def _without_login(source: str) -> str:
    try:
        parts = urlsplit(source)
    except ValueError:
        return source
    if not parts.scheme or "@" not in parts.netloc:
        return source
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _uri(name: str, source: str) -> str:
    if re.match(r"[a-z][a-z0-9+.-]*://", source):
        return source
    if source.startswith("/"):
        return "file://" + quote(source)
    return f"langchain:{name}/{quote(source)}"
