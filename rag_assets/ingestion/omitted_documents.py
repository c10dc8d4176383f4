"""Documents missing from a listing that may omit some: each is asked for, before it counts as deleted."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from rag_assets.changes.outages import FailedParts
from rag_assets.errors import DocumentUnreadable, SourceUnavailable
from rag_assets.records import DocumentState, Outage, SourceEntry
from rag_assets.sources.base import FailsInParts, FindsOmitted, Source
from rag_assets.text.wording import counted

_MOST_ASKED = 200
"""Per refresh. Notion allows three requests per second."""


@dataclass(slots=True)
class Omitted:
    """The documents missing from one listing.

    Attributes:
        entries: those that are still there.
        unknown: paths of those that may be there.
        problem: reason for giving up, "" if the source answered.
    """

    entries: list[SourceEntry] = field(default_factory=list[SourceEntry])
    unknown: set[str] = field(default_factory=set[str])
    problem: str = ""

    def outages(self, source: str) -> list[Outage]:
        if not self.unknown:
            return []
        missing = counted(len(self.unknown), "document")
        problem = (
            f"{missing} {'is' if len(self.unknown) == 1 else 'are'} missing from it, and may still be there"
        )
        return [Outage(source, "the listing", problem, paths=frozenset(self.unknown))]


def find_omitted(
    source: Source, listed: Iterable[SourceEntry], served: Mapping[str, DocumentState]
) -> Omitted:
    """Ask a source for the documents in production missing from its complete listing, outside of its failed parts.

    Args:
        served: the documents in production by id.
    """
    if not isinstance(source, FindsOmitted):
        return Omitted()
    known = {entry.document_id for entry in listed}
    failed = FailedParts(source.outages() if isinstance(source, FailsInParts) else ())
    missing = sorted(
        state.location.path
        for state in served.values()
        if state.location.source == source.name
        and state.document_id not in known
        and not failed.contain(state.location)
    )
    found = Omitted(unknown=set(missing[_MOST_ASKED:]))
    try:
        _ask(source, missing[:_MOST_ASKED], source.parallel_reads, found)
    except SourceUnavailable as error:
        found.problem = str(error)
    return found


def _ask(source: FindsOmitted, paths: Sequence[str], num_threads: int, found: Omitted) -> None:
    def look_for(path: str) -> SourceEntry | None:
        try:
            return source.look_for(path)
        except DocumentUnreadable:
            found.unknown.add(path)
            return None

    if not paths:
        return
    threads = ThreadPoolExecutor(max(1, num_threads), "look-for")
    try:
        for path, entry in zip(paths, threads.map(look_for, paths), strict=True):
            if entry is not None and entry.path == path:
                found.entries.append(entry)
    finally:
        threads.shutdown(cancel_futures=True)
