"""The interface of a document source, and pieces shared by several sources.

A source is a class with `name`, `list_entries` and `read`, and an `Options` model beside it. It limits its own waiting,
keeps no state between refreshes, and never looks empty during an outage.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from rag_assets.aws.client import AwsAccess
from rag_assets.document_metadata.normalization import as_metadata
from rag_assets.document_metadata.values import NO_METADATA, Metadata
from rag_assets.errors import ConfigurationError, DocumentUnreadable
from rag_assets.records import Outage, SourceEntry

DEFAULT_MAX_BYTES = 200 * 1024 * 1024
"""Larger documents are quarantined unread."""

UNSETTLED_SECONDS = 2.0
"""A document written less than this before may still be written to."""
_UNSETTLED = " unsettled"


class SourceOptions(BaseModel):
    """Options of a source, in the sources file or as `RAG_<KIND>_<OPTION>`. Each option has a description."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    access: tuple[str, ...] | None = Field(
        None,
        description="Readers of documents without an access list of their own.",
    )


class RemoteSourceOptions(SourceOptions):
    """Options of a source behind a network."""

    timeout_seconds: float = Field(
        30.0, gt=0, description="Seconds to wait for an answer. After that the source is down."
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """One document, read from its source.

    Attributes:
        filename: name with the suffix of its format, for example `page.html`, or "" for the filename of the entry.
        title: title in the source, or "" for the title in the document.
        version_token: token of exactly these bytes, or "" for the token of the entry.
        has_moved: whether the document changed since the listing, or while it was read: these bytes may be torn.
        metadata: further fields of the source, known only after reading. Remembered until the document is read again.
    """

    data: bytes
    filename: str = ""
    title: str = ""
    version_token: str = ""
    has_moved: bool = False
    metadata: Metadata = NO_METADATA

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", as_metadata(self.metadata))

    @property
    def is_settled(self) -> bool:
        """Whether the bytes can be believed. If not, they are read again a moment later."""
        return not self.has_moved and not self.version_token.endswith(_UNSETTLED)


def token_by_clock(entry: SourceEntry) -> str:
    """Return the version token of a document just read, for sources with times as tokens.

    A file written a moment ago may be written again within the same tick of the clock. Its token is marked, and the
    next refresh reads it once more (git does the same).
    """
    if entry.modified_at is None:
        return entry.version_token
    age_seconds = time.time() - datetime.fromisoformat(entry.modified_at).timestamp()
    return f"{entry.version_token}{_UNSETTLED}" if age_seconds < UNSETTLED_SECONDS else entry.version_token


def is_ignored(name: str) -> bool:
    """Return whether a file or folder of this name is hidden, or a leftover of an editor."""
    return name.startswith((".", "~$")) or name.endswith("~")


def missing_package_error(source: str, package: str, extra: str) -> ConfigurationError:
    """Return the error for a source without its client package."""
    return ConfigurationError(
        f"source {source} needs the package {package}: run pip install 'rag-assets[{extra}]', or in a clone of "
        f"rag-assets pip install -e '.[{extra}]'"
    )


def missing_error() -> DocumentUnreadable:
    """Return the error for a document that was listed and then not found: its source contradicts itself.

    It stays in production until a complete listing does not contain it.
    """
    return DocumentUnreadable(
        "unreadable", "It was listed, but not found when it was read. The next refresh looks again."
    )


def too_large_error(size_bytes: int, limit_bytes: int) -> DocumentUnreadable:
    """Return the error for a document above the size limit of its source."""
    return DocumentUnreadable(
        "too_large", f"{size_bytes / 1e6:.0f} MB; the limit is {limit_bytes / 1e6:.0f} MB."
    )


class Source(Protocol):
    """A place with documents.

    `list_entries` is cheap and reads no document. It raises if the listing is incomplete, even after some entries: a
    source must never look empty during an outage.

    Attributes:
        name: first part of every document id, so it must not change.
        options: as declared. `options.access` is applied outside of the source.
        parallel_reads: maximum number of concurrent calls of `read`, each in a thread.
    """

    Options: ClassVar[type[SourceOptions]]
    name: str
    parallel_reads: int

    def __init__(self, name: str, options: Any) -> None: ...

    @property
    def options(self) -> SourceOptions: ...

    def list_entries(self) -> Iterator[SourceEntry]:
        """Yield one entry per document, in any order, without duplicate document ids.

        Raises:
            SourceUnavailable: the listing is incomplete.
        """
        ...

    def read(self, entry: SourceEntry, known_token: str = "") -> Reading | None:
        """Return one listed document.

        Args:
            entry: as listed. With an empty version token, only reading shows whether the document changed.
            known_token: version token of the last reading, or "" without one.

        Returns:
            None if the document is unchanged since `known_token`. Nothing was transferred in this case.

        Raises:
            DocumentGone: the source is sure that there is no such document any more.
            DocumentUnreadable: this document cannot be read, others can.
            SourceUnavailable: the source cannot be read at all.
        """
        ...


@runtime_checkable
class ExplainsWhatItSkips(Protocol):
    """A source with reasons for the documents missing from its listing."""

    def why_not_listed(self, name: str) -> str | None:
        """Return the reason why this name is not listed, as a clause, or None if the source has no such thing.

        Args:
            name: a document id, URI, path or filename, as typed by a user.
        """
        ...


@runtime_checkable
class CountsLeftOut(Protocol):
    """A source of files that leaves some out: by their ending, or by patterns."""

    @property
    def left_out(self) -> Mapping[str, int]:
        """Ending, or a word in parentheses -> number of files left out of the last listing."""
        ...


@runtime_checkable
class FailsInParts(Protocol):
    """A source with parts that fail alone. The documents of the other parts are refreshed, and may be deleted."""

    def outages(self) -> Iterable[Outage]:
        """Return the failed parts of the last listing, and of the documents read since then."""
        ...


@runtime_checkable
class FindsOmitted(Protocol):
    """A source whose listing may omit a document now and then, without a sign of it."""

    def look_for(self, path: str) -> SourceEntry | None:
        """Return a document that the last listing did not contain, or None if the source is sure that it is gone.

        Raises:
            DocumentUnreadable: neither is certain.
            SourceUnavailable: the source does not answer.
        """
        ...


@runtime_checkable
class FindsSameDocuments(Protocol):
    """A source with several addresses for one document, such as a page behind redirects."""

    def same_documents(self) -> Mapping[str, str]:
        """Return path -> path of the document with the same page, for the last listing and the documents read since."""
        ...


@runtime_checkable
class CheapToWatch(Protocol):
    """A source cheap enough for a sensor to list every minute.

    Attributes:
        watched_as: word for the source in the name and the description of that sensor.
    """

    watched_as: Literal["folder", "bucket"]


@runtime_checkable
class IdentifiesUrls(Protocol):
    """A source with URLs as paths, in which secrets are replaced."""

    def use_key(self, key: Callable[[], str]) -> None:
        """Set the key of the hashes in the paths. It belongs to the knowledge base, and is asked for with the first secret."""
        ...

    def path_now(self, path: str) -> str:
        """Return the path under which a document of this path is listed now. It differs after a change of the rules."""
        ...


@runtime_checkable
class NamesMounts(Protocol):
    """A source with mounted volumes among its documents."""

    @property
    def mounts(self) -> Mapping[str, str]:
        """Mount point, as a full path -> prefix of the paths below it, in the last listing."""
        ...


@runtime_checkable
class ReadsLocalFolder(Protocol):
    """A source that may read a folder of this machine."""

    @property
    def local_folder(self) -> Path | None:
        """The folder, or None if the documents are elsewhere."""
        ...


@runtime_checkable
class UsesAws(Protocol):
    """A source on AWS."""

    def use_aws(self, access: AwsAccess) -> None:
        """Set the access for all clients. Options of the source come before it."""
        ...


@runtime_checkable
class UsesFolder(Protocol):
    """A source with a cache between refreshes, to transfer less.

    The cache is optional: missing or corrupt content is fetched again.
    """

    def use_folder(self, folder: Path) -> None:
        """Set the folder for the cache. It may not exist yet.

        The source creates it on demand, private to this user, and replaces files atomically.
        """
        ...
