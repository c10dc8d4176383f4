"""The differences between two generations: documents by id and content, chunks by text."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rag_assets.backports import batched
from rag_assets.fingerprint import short_hash
from rag_assets.generations.contents import points_of_contents
from rag_assets.progress import Progress
from rag_assets.records import DocumentState, GenerationManifest, Point
from rag_assets.vector_stores.base import GenerationReader

DifferenceKind = Literal["added", "removed", "changed", "moved", "payload", "rechunked"]
Pair = tuple[str | None, str | None]
"""The content hashes of a document before and after."""
_CONTENTS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class DocumentDifference:
    """One document that differs.

    Attributes:
        kind: `changed` has another text. The others have the same text: `payload` with another title, URI, access list,
            time or metadata, `rechunked` perhaps with other chunks.
        before, after: its content hashes, None where it is missing.
        moved_from: its former id.
    """

    document_id: str
    kind: DifferenceKind
    before: str | None
    after: str | None
    moved_from: str | None = None

    @property
    def pair(self) -> Pair:
        return self.before, self.after


@dataclass(frozen=True, slots=True)
class ChunkDifferences:
    """The chunks of one document with another text.

    Attributes:
        removed: of the first generation, missing in the second.
        added: of the second generation, missing in the first.
    """

    removed: tuple[Point, ...] = ()
    added: tuple[Point, ...] = ()


def compare_documents(
    before: Iterable[DocumentState], after: Iterable[DocumentState], *, is_rebuilt: bool = False
) -> list[DocumentDifference]:
    """Return the documents that differ, sorted by id.

    Args:
        is_rebuilt: whether the index fingerprints differ. Then every other document is returned too, as `rechunked`.
    """
    old = {state.document_id: state for state in before if state.content_hash is not None}
    new = {state.document_id: state for state in after if state.content_hash is not None}
    gone: dict[str | None, list[str]] = defaultdict(list)
    for document_id in sorted(old.keys() - new.keys(), reverse=True):
        gone[old[document_id].content_hash].append(document_id)
    found: list[DocumentDifference] = []
    for document_id, state in sorted(new.items()):
        content = state.content_hash
        known = old.get(document_id)
        if known is None:
            former = gone[content].pop() if gone.get(content) else None
            kind, first = ("moved", content) if former else ("added", None)
            found.append(DocumentDifference(document_id, kind, first, content, former))
        elif known.content_hash != content:
            found.append(DocumentDifference(document_id, "changed", known.content_hash, content))
        elif known.location != state.location:
            found.append(DocumentDifference(document_id, "payload", content, content))
        elif is_rebuilt:
            found.append(DocumentDifference(document_id, "rechunked", content, content))
    found += [
        DocumentDifference(document_id, "removed", content, None)
        for content, document_ids in gone.items()
        for document_id in document_ids
    ]
    return sorted(found, key=lambda one: one.document_id)


class ChunkComparison:
    """Compares the chunks of contents in two generations, with as many reads as contents need.

    Args:
        manifests: of the first and the second generation, in the order of `readers`.
    """

    def __init__(
        self, readers: tuple[GenerationReader, GenerationReader], manifests: Sequence[GenerationManifest]
    ) -> None:
        self._readers = readers
        self._fingerprints = [short_hash(manifest.fingerprint) for manifest in manifests]

    def compare(self, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, ChunkDifferences]]:
        """Yield each pair once, with its differing chunks.

        Raises:
            GenerationDamaged: chunks of a content are missing.
        """
        wanted = list(dict.fromkeys(pairs))
        progress = Progress("texts", len(wanted))
        for batch in batched(wanted, _CONTENTS_AT_ONCE):
            before = self._chunks(0, [pair[0] for pair in batch])
            after = self._chunks(1, [pair[1] for pair in batch])
            for pair in progress.over(batch):
                yield pair, _difference(before.get(pair[0], ()), after.get(pair[1], ()))

    def _chunks(self, side: int, contents: Iterable[str | None]) -> Mapping[str | None, Sequence[Point]]:
        found: dict[str | None, list[Point]] = defaultdict(list)
        named = list(dict.fromkeys(content for content in contents if content is not None))
        for point in points_of_contents(self._readers[side], self._fingerprints[side], named):
            found[point.payload["content_hash"]].append(point)
        return found


def _difference(before: Sequence[Point], after: Sequence[Point]) -> ChunkDifferences:
    old = {point.payload["text"] for point in before}
    new = {point.payload["text"] for point in after}
    return ChunkDifferences(
        removed=_in_order(point for point in before if point.payload["text"] not in new),
        added=_in_order(point for point in after if point.payload["text"] not in old),
    )


def _in_order(points: Iterable[Point]) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda point: point.payload["chunk_index"]))
