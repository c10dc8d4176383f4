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
        for outage in outages:
            paths[outage.source] |= outage.paths
            if outage.below is not None:
                prefixes[outage.source].add(outage.below)
        self._prefixes = {source: tuple(found) for source, found in prefixes.items()}
        self._paths = dict(paths)

    def contain(self, location: Location) -> bool:
        """Return whether the absence of this document proves nothing."""
        return location.path.startswith(self._prefixes.get(location.source, ())) or self.withhold(location)

    def withhold(self, location: Location) -> bool:
        """Return whether not even the presence of this document proves anything: its answer is not believed."""
        return location.path in self._paths.get(location.source, ())


def examined(
    outage: Outage, served: Mapping[str, DocumentState], listed: Set[str], approved_tokens: Set[str]
) -> Outage:
    """Return the outage with the number of kept documents, its token, and whether their loss is admitted.

    The token is for exactly these documents with these contents. It stays valid while other documents are refreshed.

    Args:
        served: the documents in production by id.
        listed: ids of the documents read now.
    """
    part = FailedParts([outage])
    kept = sorted(
        (document_id, state.content_hash)
        for document_id, state in served.items()
        if part.contain(state.location) and (document_id not in listed or part.withhold(state.location))
    )
    token = short_hash(["outage", outage.source, outage.place, kept]) if kept else ""
    return replace(outage, num_kept=len(kept), token=token, is_admitted=token in approved_tokens)
