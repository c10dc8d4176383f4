"""What every document source offers, and nothing about any particular one.

A source is a class with its options beside it: `name`, `list_entries`, `read`, and an `Options` model that says
what can be set. Times out by itself, keeps nothing between two refreshes, and never looks empty when it is down.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from rag_assets.errors import ConfigurationError, DocumentUnreadable
from rag_assets.records import SourceEntry

DEFAULT_MAX_BYTES = 200 * 1024 * 1024
"""Larger documents are not read."""

_UNSETTLED_SECONDS = 2.0


class SourceOptions(BaseModel):
    """What can be set for a source, in the sources file or as `RAG_<KIND>_<OPTION>`. Each option has a description."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    access: tuple[str, ...] | None = Field(
        None,
        description="Principals that may read the documents for which the source itself has no access list.",
    )


class RemoteSourceOptions(SourceOptions):
    """What can be set for a source that is asked over a network."""

    timeout_seconds: float = Field(
        30.0, gt=0, description="How long to wait for an answer before the source counts as down."
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """One document as it was read.

    Attributes:
        data: its bytes.
        filename: tells the kind of text where the bytes do not, for example `page.html`; "" for that of the entry.
        title: as the source knows it; "" for what the document itself says.
        version_token: of exactly these bytes; "" for that of the entry.
    """

    data: bytes
    filename: str = ""
    title: str = ""
    version_token: str = ""


def token_by_clock(entry: SourceEntry) -> str:
    """Return the version token for what was just read, where a clock makes the tokens.

    A file written a moment ago may be written again within the same tick. Its token is marked, so that the next refresh
    reads it once more (as git does).
    """
    if entry.modified_at is None:
        return entry.version_token
    age_seconds = time.time() - datetime.fromisoformat(entry.modified_at).timestamp()
    return f"{entry.version_token} unsettled" if age_seconds < _UNSETTLED_SECONDS else entry.version_token


def is_ignored(name: str) -> bool:
    """Return whether a file or folder of this name is hidden, or was left behind by an editor."""
    return name.startswith((".", "~$")) or name.endswith("~")


def missing_package_error(source: str, package: str, extra: str) -> ConfigurationError:
    """Return the error for a source whose client is not installed."""
    return ConfigurationError(
        f"source {source} needs {package}: run pip install -e '.[{extra}]' in the folder of rag-assets"
    )


def too_large_error(size_bytes: int, limit_bytes: int) -> DocumentUnreadable:
    """Return the error for a document above the limit of its source."""
    return DocumentUnreadable(
        "too_large", f"{size_bytes / 1e6:.0f} MB; the limit is {limit_bytes / 1e6:.0f} MB."
    )


class Source(Protocol):
    """A place that documents come from.

    `list_entries` is cheap and reads no document. If it cannot list everything it raises, even
    after it has yielded some entries: a source that is down must never look empty.

    Attributes:
        name: stable; the first part of every document id.
        options: as declared. Who reads the source applies `options.access`, the source need not.
        parallel_reads: how many calls of `read` may run at once, in as many threads.
    """

    Options: ClassVar[type[SourceOptions]]
    name: str
    parallel_reads: int

    def __init__(self, name: str, options: Any) -> None: ...

    @property
    def options(self) -> SourceOptions: ...

    def list_entries(self) -> Iterator[SourceEntry]:
        """Yield one entry a document, in any order, each document id once.

        Raises:
            SourceUnavailable: the listing is not complete.
        """
        ...

    def read(self, entry: SourceEntry, known_token: str = "") -> Reading | None:
        """Return one listed document.

        Args:
            entry: as listed. An empty version token means that only reading can tell whether it changed.
            known_token: version token of what is known of it already; "" if nothing is.

        Returns:
            None if it still is as `known_token` has it: then nothing was transferred.

        Raises:
            DocumentGone: there is no such document any more, the source is sure.
            DocumentUnreadable: this document cannot be read; the others can.
            SourceUnavailable: the source is gone.
        """
        ...


@runtime_checkable
class ExplainsWhatItSkips(Protocol):
    """A source that can tell why it does not list something that is there."""

    def why_not_listed(self, name: str) -> str | None:
        """Return why something of this name is not listed, in a clause; None if there is no such thing.

        Args:
            name: a document id, URI, path or filename, as a person writes it.
        """
        ...


@runtime_checkable
class CheapToWatch(Protocol):
    """A source that a sensor may list every minute, because that costs next to nothing.

    Attributes:
        watched_as: what it is to whoever turns such a sensor on.
    """

    watched_as: Literal["folder", "bucket"]


@runtime_checkable
class UsesFolder(Protocol):
    """A source that remembers something from one refresh to the next, to transfer less.

    Nothing depends on it: what is absent or damaged is asked for again.
    """

    def use_folder(self, folder: Path) -> None:
        """Take a folder, which need not exist yet.

        The source makes it, for this user alone, when it has something to remember, and replaces files as a whole.
        """
        ...
