"""Outages of parts of a source: which documents they keep, and the token to admit their loss."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace

from rag_assets.fingerprint import short_hash
from rag_assets.records import DocumentState, Location, Outage


class FailedParts:
    """The documents below some outages.

    Args:
        outages: of any source.
    """

    def __init__(self, outages: Iterable[Outage] = ()) -> None:
        prefixes: dict[str, set[str]] = defaultdict(set)
        paths: dict[str, set[str]] = defaultdict(set)
        withheld: dict[str, set[str]] = defaultdict(set)
        for outage in outages:
            paths[outage.source] |= outage.paths
            if outage.withholds:
                withheld[outage.source] |= outage.paths
            if outage.below is not None:
                prefixes[outage.source].add(outage.below)
        self._prefixes = {source: tuple(found) for source, found in prefixes.items()}
        self._paths = dict(paths)
        self._withheld = dict(withheld)

    def contain(self, location: Location) -> bool:
        """Return whether the absence of this document proves nothing."""
        source, path = location.source, location.path
        return path in self._paths.get(source, ()) or path.startswith(self._prefixes.get(source, ()))

    def withhold(self, location: Location) -> bool:
        """Return whether not even the presence of this document proves anything: its answer is not believed."""
        return location.path in self._withheld.get(location.source, ())


def examined(
    outage: Outage, served: Mapping[str, DocumentState], listed: Set[str], approved_tokens: Set[str]
) -> Outage | None:
    """Return the outage with the number of kept documents, its token, and whether their loss is admitted.

    None for a quiet one that keeps none of its paths. The token is for exactly these documents with these contents. It
    stays valid while other documents are refreshed.

    Args:
        served: the documents in production by id.
        listed: ids of the documents read now.
    """
    part = FailedParts([outage])
    states = [
        state
        for document_id, state in served.items()
        if part.contain(state.location) and (document_id not in listed or part.withhold(state.location))
    ]
    if outage.is_quiet and not any(state.location.path in outage.paths for state in states):
        return None
    kept = sorted((state.document_id, state.content_hash) for state in states)
    token = short_hash(["outage", outage.source, outage.place, kept]) if kept else ""
    return replace(outage, num_kept=len(kept), token=token, is_admitted=token in approved_tokens)
