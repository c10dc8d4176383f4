"""What sources list, as one hash a source, and which of these listings production serves already.

For those who decide whether a refresh has anything to do; nothing is read here.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence

from rag_assets.artifacts.store import ArtifactStore
from rag_assets.errors import SourceUnavailable, StateFormatError
from rag_assets.records import SourceEntry
from rag_assets.sources.base import Source


class ListingHash:
    """Hash of the identities and version tokens of a listing, in whatever order they come."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, entry: SourceEntry) -> None:
        # A sum, for not every source lists in the same order each time.
        text = f"{len(entry.document_id)} {entry.document_id} {entry.version_token}"
        self._sum += int.from_bytes(hashlib.sha256(text.encode()).digest())

    def hexdigest(self) -> str:
        return f"{self._sum % 2**256:064x}"


def hash_listings(
    sources: Sequence[Source], within_seconds: float, counts: Callable[[str], bool] = lambda _: True
) -> tuple[dict[str, str], dict[str, str]]:
    """List sources without reading anything.

    Args:
        counts: whether a file of a name does; what cannot be read anyway is no reason to refresh.

    Returns:
        Source -> hash of those that were listed completely; source -> problem of the others.
    """
    deadline = time.monotonic() + within_seconds
    hashes: dict[str, str] = {}
    problems: dict[str, str] = {}

    def list_one(source: Source) -> None:
        listed = ListingHash()
        try:
            for entry in source.list_entries():
                if counts(entry.filename):
                    listed.add(entry)
                if time.monotonic() > deadline:
                    return  # nobody waits for it any more
            hashes[source.name] = listed.hexdigest()
        except SourceUnavailable as error:
            problems[source.name] = str(error)
        except Exception as error:  # its message may hold a secret
            problems[source.name] = f"source {source.name} failed with {type(error).__name__} when listed"

    threads = [threading.Thread(target=list_one, args=(source,), daemon=True) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    in_time = dict(hashes)
    too_late = {
        source.name: f"source {source.name} was not listed within {within_seconds:.0f} s: see whether it answers; if "
        "it is that large, leave it to the schedule, or to events"
        for source in sources
        if source.name not in in_time
    }
    return in_time, too_late | {name: problem for name, problem in problems.items() if name not in in_time}


def served_listings(artifacts: ArtifactStore, production: str | None) -> dict[str, str]:
    """Return source -> hash of the listing that production serves, as far as that is known.

    It is that of the last refresh whose candidate is in production; refreshes that failed later do not count.
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


def last_problems(artifacts: ArtifactStore) -> dict[str, str]:
    """Return source -> problem of those that the last refresh could not read."""
    try:
        read = artifacts.latest("raw_documents")
    except StateFormatError:
        return {}  # of another version, or damaged; this refresh replaces it
    return dict(read.details["unreadable_sources"]) if read is not None else {}
