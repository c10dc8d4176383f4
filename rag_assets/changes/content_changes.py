"""Changes of documents translated into changes of contents, because points belong to contents."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from rag_assets.records import DocumentState, Location


@dataclass(frozen=True, slots=True)
class ContentChange:
    """The change to the points of one content.

    Attributes:
        locations: new locations of the content, sorted by document id. Empty if its points are to be removed.
        was_held: whether production holds points of it.
    """

    content_hash: str
    locations: tuple[Location, ...]
    was_held: bool


def content_changes(before: Iterable[DocumentState], after: Iterable[DocumentState]) -> list[ContentChange]:
    """Translate documents into contents.

    Args:
        before: documents whose points can be reused. Empty for a rebuild.
        after: documents of the candidate.

    Returns:
        One entry for each content with changed locations, sorted by content hash.
    """
    old, new = _locations_by_content(before), _locations_by_content(after)
    return [
        ContentChange(content_hash, new.get(content_hash, ()), was_held=content_hash in old)
        for content_hash in sorted(old.keys() | new.keys())
        if old.get(content_hash) != new.get(content_hash)
    ]


def _locations_by_content(documents: Iterable[DocumentState]) -> dict[str, tuple[Location, ...]]:
    found: dict[str, list[Location]] = defaultdict(list)
    for state in documents:
        if state.content_hash is not None:
            found[state.content_hash].append(state.location)
    return {
        content_hash: tuple(sorted(locations, key=lambda location: location.document_id))
        for content_hash, locations in found.items()
    }
