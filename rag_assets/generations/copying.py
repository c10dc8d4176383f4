"""Copies of a generation, point by point, with or without some documents: for a backup, a restore and a purge.

A copy made by a store from its base keeps the pages of deleted points. These copies begin empty, so nothing of a removed
document is in them.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace

from rag_assets.document_metadata.kinds import kinds_to_text
from rag_assets.errors import GenerationDamaged
from rag_assets.fingerprint import short_hash
from rag_assets.generations.chunk_sizes import ChunkSizes
from rag_assets.generations.contents import locations_of
from rag_assets.generations.digest import digest_of, digest_to_hex, documents_hash
from rag_assets.generations.verification import point_problem
from rag_assets.progress import Progress
from rag_assets.records import DocumentState, GenerationManifest, Point
from rag_assets.text.wording import counted
from rag_assets.vector_stores.base import VectorStore


@dataclass(slots=True)
class CheckedPoints:
    """The points of a sealed generation on their way, compared with its manifest at the end.

    Args:
        exact_vectors: whether their vectors are bit for bit as they were sent.

    Attributes:
        documents: by id, of the points so far.
    """

    manifest: GenerationManifest
    exact_vectors: bool
    documents: dict[str, DocumentState] = field(default_factory=dict[str, DocumentState])
    _digest: int = 0

    def over(self, batches: Iterable[Sequence[Point]], what: str) -> Iterator[Sequence[Point]]:
        """Yield all batches.

        Args:
            what: for the progress, such as `points backed up`.

        Raises:
            GenerationDamaged: at the first damaged point, or after the last point.
        """
        generation = self.manifest.generation
        fingerprint_hash = short_hash(self.manifest.fingerprint)
        progress = Progress(what, self.manifest.points_count)
        for batch in batches:
            for point in batch:
                problem = point_problem(point, fingerprint_hash, exact_vectors=self.exact_vectors)
                if problem:
                    raise GenerationDamaged(f"generation {generation}: point {point.id} {problem}")
            self._digest += digest_of(batch)
            self.documents.update(documents_in(batch))
            yield batch
            progress.advance(len(batch))
        if progress.done != self.manifest.points_count:
            raise GenerationDamaged(
                f"generation {generation} has {counted(progress.done, 'point')} instead of the sealed "
                f"{self.manifest.points_count:,}"
            )
        if digest_to_hex(self._digest) != self.manifest.digest:
            raise GenerationDamaged(
                f"generation {generation}: the digest of all points differs from the sealed one"
            )


def documents_in(points: Iterable[Point]) -> dict[str, DocumentState]:
    """Return the documents with their first chunk among these points, by id."""
    return {
        location.document_id: DocumentState(location, point.payload["content_hash"])
        for point in points
        if point.payload["chunk_index"] == 0
        for location in locations_of(point.payload)
    }


def points_without(points: Iterable[Point], document_ids: Set[str]) -> list[Point]:
    """Return the points without these documents. A point with another location keeps that one."""
    kept: list[Point] = []
    for point in points:
        locations = [one for one in point.payload["locations"] if one["document_id"] not in document_ids]
        if len(locations) == len(point.payload["locations"]):
            kept.append(point)
        elif locations:
            kept.append(replace(point, payload=point.payload | {"locations": locations}))
    return kept


def copy_generation(
    store: VectorStore,
    batches: Iterable[Sequence[Point]],
    manifest: GenerationManifest,
    generation: str,
    *,
    without: Set[str] = frozenset(),
) -> tuple[GenerationManifest, list[DocumentState]]:
    """Write a generation with these points and seal it.

    Args:
        batches: all points of a generation, with their vectors.
        manifest: of that generation.
        generation: name of the new one.
        without: ids of documents to leave out.

    Returns:
        The manifest and the documents of the new generation, the documents by id.
    """
    dimensions = int(manifest.fingerprint["embedding_model"]["dimensions"])
    sizes = ChunkSizes(int(manifest.fingerprint["chunk_size"]))
    documents: dict[str, DocumentState] = {}
    digest = count = 0
    with store.write(generation, dimensions, None) as writer:
        for batch in batches:
            points = points_without(batch, without)
            writer.upsert(points)
            documents.update(documents_in(points))
            digest += digest_of(points)
            count += len(points)
            sizes.add(point.payload["token_count"] for point in points)
        sealed = replace(
            manifest, generation=generation, damaged="", points_count=count, digest=digest_to_hex(digest)
        )
        if sealed.digest != manifest.digest:
            sealed = replace(
                sealed,
                documents_count=len(documents),
                documents_hash=documents_hash(documents.values()),
                metadata_kinds=kinds_to_text(one.location.metadata for one in documents.values()),
                chunk_sizes=sizes.to_text(),
            )
        writer.seal(sealed)
    return sealed, [documents[document_id] for document_id in sorted(documents)]
