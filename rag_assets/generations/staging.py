"""Candidate generations: staged from the base and the content changes, sealed with a digest."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rag_assets.backports import batched
from rag_assets.changes.content_changes import ContentChange
from rag_assets.document_metadata.kinds import kinds_to_text
from rag_assets.errors import StaleInputError
from rag_assets.fingerprint import point_id
from rag_assets.generations.chunk_sizes import ChunkSizes
from rag_assets.generations.contents import points_of_contents
from rag_assets.generations.digest import digest_of, digest_to_hex, documents_hash, point_hash, vector_hash
from rag_assets.latencies import Latencies
from rag_assets.progress import Progress
from rag_assets.records import (
    Chunk,
    DocumentState,
    GenerationManifest,
    Location,
    Payload,
    Point,
    SparseVector,
    Vector,
)
from rag_assets.text.wording import counted
from rag_assets.vector_stores.base import GenerationReader, GenerationWriter, VectorStore

_BATCH = 256


@dataclass(frozen=True, slots=True)
class StagedGeneration:
    """Result of staging.

    Attributes:
        manifest: of the candidate.
        written: False if nothing changed, so that the candidate is production itself.
        num_tokens_added: of the added points.
        upsert_seconds: spent on writing them.
    """

    manifest: GenerationManifest
    written: bool
    num_points_added: int = 0
    num_points_deleted: int = 0
    num_points_relocated: int = 0
    num_tokens_added: int = 0
    upsert_seconds: float = 0.0

    @property
    def num_tokens_kept(self) -> int | None:
        """Tokens of the points taken over from production. None if an earlier version made it."""
        sizes = ChunkSizes.from_text(self.manifest.chunk_sizes, int(self.manifest.fingerprint["chunk_size"]))
        return None if sizes is None or sizes.num_tokens is None else sizes.num_tokens - self.num_tokens_added


class Staging:
    """Builds one candidate: the base with the content changes applied.

    Args:
        base: manifest of the generation to start from, or None to start from nothing.
        expected_production: generation in production now. The candidate names it as its base.
        probe: vectors of the probe texts, as in the manifest.
        deletions: as in the manifest.
    """

    def __init__(
        self,
        store: VectorStore,
        *,
        generation: str,
        refresh_id: str,
        fingerprint: dict[str, Any],
        fingerprint_hash: str,
        base: GenerationManifest | None,
        expected_production: str | None,
        encode_sparse: Callable[[str], SparseVector],
        run_id: str = "",
        probe: str = "",
        deletions: str = "",
    ) -> None:
        self._store = store
        self._generation = generation
        self._refresh_id = refresh_id
        self._fingerprint = fingerprint
        self._fingerprint_hash = fingerprint_hash
        self._base = base
        self._expected_production = expected_production
        self._encode_sparse = encode_sparse
        self._run_id = run_id
        self._probe = probe
        self._deletions = deletions
        self._digest = int(base.digest, 16) if base else 0
        self._count = base.points_count if base else 0
        self._upserts = Latencies()
        self._num_tokens_added = 0
        self._indexed_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    def run(
        self,
        changes: Sequence[ContentChange],
        embedded_chunks: Iterable[tuple[Chunk, Vector]],
        *,
        documents: Sequence[DocumentState],
        total_chunks: int,
    ) -> StagedGeneration:
        """Write and seal the candidate, then verify it against the store.

        Args:
            changes: one for each content.
            embedded_chunks: chunks with their vectors, of exactly the new contents.
            documents: all documents of the candidate.

        Raises:
            StaleInputError: the chunks do not fit the changes.
            VectorStoreUnavailable: the store failed. Nothing of the candidate remains.
        """
        new = {change.content_hash: change.locations for change in changes if not change.was_held}
        removed = [change.content_hash for change in changes if change.was_held and not change.locations]
        relocated = {c.content_hash: c.locations for c in changes if c.was_held and c.locations}
        dimensions = int(self._fingerprint["embedding_model"]["dimensions"])
        base_name = self._base.generation if self._base else None
        sizes = self._sizes_of_base()
        copied = Progress("points copied")
        with self._store.write(self._generation, dimensions, base_name, copied.reach) as writer:
            num_deleted = num_relocated = 0
            if base_name is not None and (removed or relocated):
                reader = self._store.read(base_name)
                try:
                    num_deleted = self._remove(writer, reader, removed, sizes)
                    num_relocated = self._relocate(writer, reader, relocated)
                finally:
                    reader.close()
            num_added = self._add(writer, new, embedded_chunks, total_chunks, sizes)
            manifest = GenerationManifest(
                generation=self._generation,
                refresh_id=self._refresh_id,
                base=self._expected_production,
                fingerprint=self._fingerprint,
                digest=digest_to_hex(self._digest),
                points_count=self._count,
                documents_count=len(documents),
                documents_hash=documents_hash(documents),
                sealed_at=self._indexed_at,
                run_id=self._run_id,
                probe=self._probe,
                deletions=self._deletions,
                metadata_kinds=kinds_to_text(document.location.metadata for document in documents),
                chunk_sizes=sizes.to_text(),
            )
            writer.seal(manifest)
        return StagedGeneration(
            manifest,
            True,
            num_added,
            num_deleted,
            num_relocated,
            self._num_tokens_added,
            self._upserts.sum_seconds,
        )

    def _sizes_of_base(self) -> ChunkSizes:
        """Return the chunk sizes of the base. Those of an earlier version are counted, once."""
        chunk_size = int(self._fingerprint["chunk_size"])
        if self._base is None:
            return ChunkSizes(chunk_size)
        sizes = ChunkSizes.from_text(self._base.chunk_sizes, chunk_size)
        if sizes is None or sizes.num_tokens is None:
            sizes = ChunkSizes(chunk_size)
            progress = Progress("chunk sizes counted", self._base.points_count)
            with closing(self._store.read(self._base.generation)) as reader:
                for batch in reader.scroll():
                    sizes.add(_token_counts(batch))
                    progress.advance(len(batch))
        return sizes

    def _remove(
        self, writer: GenerationWriter, reader: GenerationReader, contents: Sequence[str], sizes: ChunkSizes
    ) -> int:
        num_deleted = 0
        progress = Progress("contents removed", len(contents))
        for batch in batched(contents, _BATCH):
            points = points_of_contents(reader, self._fingerprint_hash, batch)
            writer.delete([point.id for point in points])
            self._digest -= digest_of(points)
            sizes.remove(_token_counts(points))
            num_deleted += len(points)
            progress.advance(len(batch))
        self._count -= num_deleted
        return num_deleted

    def _relocate(
        self, writer: GenerationWriter, reader: GenerationReader, contents: dict[str, tuple[Location, ...]]
    ) -> int:
        num_relocated = 0
        progress = Progress("contents relocated", len(contents))
        for batch in batched(contents, _BATCH):
            points = points_of_contents(reader, self._fingerprint_hash, batch)
            fields: dict[str, Payload] = {}
            for point in points:
                locations = contents[point.payload["content_hash"]]
                fields[point.id] = {"locations": [location.to_payload() for location in locations]}
                self._digest += point_hash(point.id, point.payload | fields[point.id])
            writer.set_payload(fields)
            self._digest -= digest_of(points)
            num_relocated += len(points)
            progress.advance(len(batch))
        return num_relocated

    def _add(
        self,
        writer: GenerationWriter,
        new: dict[str, tuple[Location, ...]],
        embedded_chunks: Iterable[tuple[Chunk, Vector]],
        total_chunks: int,
        sizes: ChunkSizes,
    ) -> int:
        progress = Progress("points written", total_chunks)
        seen: set[str] = set()
        for batch in batched(embedded_chunks, _BATCH):
            points = [self._point(chunk, vector, new) for chunk, vector in batch]
            with self._upserts.timed():
                writer.upsert(points)
            seen.update(chunk.content_hash for chunk, _ in batch)
            self._digest += digest_of(points)
            sizes.add(_token_counts(points))
            self._num_tokens_added += sum(_token_counts(points))
            progress.advance(len(points))
        if seen != new.keys():
            raise StaleInputError(
                f"the chunks cover {len(seen)} of {counted(len(new), 'new content')}: "
                "materialize chunks and embeddings again"
            )
        self._count += progress.done
        return progress.done

    def _point(self, chunk: Chunk, vector: Vector, new: dict[str, tuple[Location, ...]]) -> Point:
        locations = new.get(chunk.content_hash)
        if locations is None:
            raise StaleInputError(
                f"content {chunk.content_hash[:16]} has chunks but is not new: materialize chunks and embeddings again"
            )
        sparse = self._encode_sparse(chunk.text)
        payload: Payload = {
            "text": chunk.text,
            "locations": [location.to_payload() for location in locations],
            "chunk_index": chunk.chunk_index,
            "total_chunks": chunk.total_chunks,
            "start": chunk.start,
            "end": chunk.end,
            "token_count": chunk.token_count,
            "heading_path": list(chunk.heading_path),
            "flags": list(chunk.flags),
            "content_hash": chunk.content_hash,
            "embedding_model": self._fingerprint["embedding_model"]["model"],
            "vector_hash": vector_hash(vector, sparse),
            "indexed_at": self._indexed_at,
            "refresh_id": self._refresh_id,
        }
        identity = point_id(self._fingerprint_hash, chunk.content_hash, chunk.chunk_index)
        return Point(identity, payload, vector, sparse)


def _token_counts(points: Iterable[Point]) -> Iterator[int]:
    return (point.payload["token_count"] for point in points)


def join_vectors(
    chunks: Iterable[Chunk], vectors: Iterable[tuple[str, Vector]], repeated: set[str]
) -> Iterator[tuple[Chunk, Vector]]:
    """Give each chunk its vector, streaming.

    Args:
        vectors: (text hash, vector), one for each distinct text, in order of first appearance in the chunks.
        repeated: hashes of texts that several chunks share. Only their vectors are kept in memory.

    Raises:
        StaleInputError: chunks and vectors do not belong together.
    """
    upcoming = iter(vectors)
    kept: dict[str, Vector] = {}
    for chunk in chunks:
        vector = kept.get(chunk.text_hash)
        if vector is None:
            text_hash, vector = next(upcoming, ("", None))
            if vector is None or text_hash != chunk.text_hash:
                raise StaleInputError(
                    "the embeddings do not belong to the chunks: materialize embeddings again"
                )
            if text_hash in repeated:
                kept[text_hash] = vector
        yield chunk, vector
