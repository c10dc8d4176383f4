"""Listings of all sources with a time limit, their hashes, and the listings already served by production.

The hashes tell a sensor whether a refresh has anything to do. No document is read here.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from rag_assets.artifacts.store import ArtifactStore
from rag_assets.document_metadata.normalization import as_metadata
from rag_assets.document_metadata.values import Metadata
from rag_assets.errors import PermanentError, RagAssetsError, SourceUnavailable
from rag_assets.records import SourceEntry
from rag_assets.sources.base import Source
from rag_assets.time_limits import NothingCame, ThreadExit, bounded

_STALLED_SECONDS = 180.0


class ListingHash:
    """Hash of the identities, version tokens and metadata in a listing, independent of their order."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, entry: SourceEntry) -> None:
        # A sum, because the order of some sources varies.
        # Size and time stand for a missing token. Where it comes from `read`, a sensor needs no reading to see new bytes.
        version = entry.version_token or (
            f"{entry.size_bytes} {entry.modified_at}" if entry.modified_at else ""
        )
        text = f"{len(entry.document_id)} {entry.document_id} {version}"
        if entry.metadata.pairs:  # nothing is added otherwise, as in earlier versions
            text += f" {json.dumps(entry.metadata.to_json())}"
        self._sum += int.from_bytes(hashlib.sha256(text.encode()).digest())

    def hexdigest(self) -> str:
        return f"{self._sum % 2**256:064x}"


@dataclass(frozen=True, slots=True)
class Listing:
    """Entries of one source.

    Attributes:
        problem: reason why entries may be missing, or "" for a complete listing.
        is_lasting: whether the problem stays until a person acts.
    """

    entries: list[SourceEntry]
    problem: str = ""
    is_lasting: bool = False


def list_sources(sources: Sequence[Source]) -> Iterator[Listing]:
    """Start to list all sources at once, and yield the listings in their order.

    A source that hangs is given up when no entry has come for three minutes. Its earlier entries count.
    """
    started = [
        (source.name, bounded(partial(_entries_of, source), _STALLED_SECONDS, f"list-{source.name}"))
        for source in sources
    ]
    return (_collected(name, entries) for name, entries in started)


def _entries_of(source: Source) -> Iterator[SourceEntry]:
    """Yield the entries of a source. A source of a user may give any mapping as metadata."""
    for entry in source.list_entries():
        yield (
            entry
            if isinstance(entry.metadata, Metadata)
            else replace(entry, metadata=as_metadata(entry.metadata))
        )


def _collected(name: str, arriving: Iterator[SourceEntry]) -> Listing:
    entries: list[SourceEntry] = []
    problem, is_lasting = "", False
    try:
        entries.extend(arriving)  # keeps the entries before an error
    except NothingCame:
        problem = f"source {name} listed nothing for {_STALLED_SECONDS:g} s: check whether it answers"
    except Exception as error:
        problem = _problem_of(name, error)
        is_lasting = isinstance(error, PermanentError | ImportError) or getattr(error, "lasting", False)
    return Listing(entries, problem, is_lasting)


def hash_listings(
    sources: Sequence[Source], within_seconds: float, counts: Callable[[str], bool] = lambda _: True
) -> tuple[dict[str, str], dict[str, str]]:
    """List sources without reading any document.

    Args:
        within_seconds: for all sources together.
        counts: returns whether a file of this name counts. An unreadable file is no reason for a refresh.

    Returns:
        Source -> hash of its complete listing, and source -> problem for the others.
    """
    deadline = time.monotonic() + within_seconds

    def hash_of(source: Source) -> Iterator[str]:
        listed = ListingHash()
        for entry in _entries_of(source):
            if counts(entry.filename):
                listed.add(entry)
            if time.monotonic() > deadline:
                return  # the sensor has given up
        yield listed.hexdigest()

    started = [
        (
            source.name,
            bounded(partial(hash_of, source), within_seconds, f"hash-{source.name}", within_seconds),
        )
        for source in sources
    ]
    hashes: dict[str, str] = {}
    problems: dict[str, str] = {}
    for name, arriving in started:
        problem = (
            f"source {name} was not listed within {within_seconds:g} s: check whether it answers. If it does, it is "
            "too large for this sensor: leave it to the schedule, or to events"
        )
        try:
            hashes.update((name, found) for found in arriving)
        except NothingCame:
            pass
        except Exception as error:
            problem = _problem_of(name, error)
        if name not in hashes:
            problems[name] = problem
    return hashes, problems


def _problem_of(name: str, error: Exception) -> str:
    if isinstance(error, SourceUnavailable):
        return str(error)
    if isinstance(error, RagAssetsError):  # without a secret, as all messages of ours
        return f"source {name}: {error}"
    # Not the message, which may hold a secret.
    kind = str(error) if isinstance(error, ThreadExit) else type(error).__name__
    return f"source {name} failed with {kind} while it was listed"


def served_listings(artifacts: ArtifactStore, production: str | None) -> dict[str, str]:
    """Return source -> hash of the listing in production, if known.

    This is the listing of the refresh behind the generation in production. Later failed refreshes do not count.
    """
    refresh_id = next(
        (
            staged.header.refresh_id
            for staged in artifacts.kept("staging_collection")
            if production is not None and staged.details.get("generation") == production
        ),
        None,
    )
    for read in artifacts.kept("raw_documents"):
        if read.header.refresh_id == refresh_id:
            return read.details.get("listing_hashes", {})
    return {}
