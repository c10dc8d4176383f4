"""Candidate generations: staged from production and a change set, sealed with a digest, swept, verified.

The digest of a generation is a sum of one hash a point, modulo 2^256. A sum can be carried from the base:
what the change set removes is subtracted, what it adds is added, nothing else is read. The hash of a point
covers its id and its payload without `indexed_at` and `refresh_id`; the payload holds the hash of the vectors as
they were sent.
"""

import hashlib
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from rag_assets.batches import batched
from rag_assets.changes.change_set import ContentChange, DocumentState, documents_hash
from rag_assets.errors import (
    MENDED_BY_REBUILD,
    RagAssetsError,
    StaleInputError,
    StateFormatError,
    VectorStoreUnavailable,
)
from rag_assets.fingerprint import canonical_json, point_id
from rag_assets.ledgers.base import Ledger
from rag_assets.progress import Progress
from rag_assets.records import (
    Chunk,
    GenerationManifest,
    Location,
    Payload,
    Point,
    ProductionState,
    SparseVector,
    Vector,
)
from rag_assets.text.hashing import text_sha256
from rag_assets.vector_stores.base import GenerationReader, GenerationWriter, VectorStore

UNHASHED_FIELDS = ("indexed_at", "refresh_id")
_MODULUS = 1 << 256
_BATCH = 256
_SAMPLE = 64
_logger = logging.getLogger(__name__)


def vector_hash(vector: Vector, sparse: SparseVector | None) -> str:
    """Return the SHA-256, hex, of a point's vectors as they are sent: float32, little endian."""
    digest = hashlib.sha256(np.ascontiguousarray(vector, dtype="<f4").tobytes())
    if sparse is not None and sparse.indices:
        digest.update(np.asarray(sparse.indices, dtype="<u4").tobytes())
        digest.update(np.asarray(sparse.values, dtype="<f4").tobytes())
    return digest.hexdigest()


def point_hash(point_id: str, payload: Payload) -> int:
    """Return the share of one point in the digest of its generation."""
    hashed = {key: value for key, value in payload.items() if key not in UNHASHED_FIELDS}
    return int.from_bytes(hashlib.sha256(canonical_json([point_id, hashed])).digest())


def digest_of(points: Iterable[Point]) -> int:
    return sum(point_hash(point.id, point.payload) for point in points) % _MODULUS


def digest_to_hex(digest: int) -> str:
    return f"{digest % _MODULUS:064x}"


def production_documents(store: VectorStore, ledger: Ledger, generation: str | None) -> list[DocumentState]:
    """Return the documents that a generation serves, from the ledger or, if it forgot, from the points."""
    if generation is None:
        return []
    documents = ledger.documents(generation)
    try:
        manifest = store.manifest(generation)
        # A manifest that cannot be read cannot contradict; the ledger is then all there is.
        if documents is not None and (
            manifest is None or documents_hash(documents) == manifest.documents_hash
        ):
            return documents
    except StateFormatError:
        if documents is not None:
            return documents
    _logger.info("the ledger does not know generation %s: its documents are read from its points", generation)
    found: dict[str, DocumentState] = {}
    try:
        reader = store.read(generation)
    except MENDED_BY_REBUILD as error:
        # Neither side knows: whatever the sources hold now is new. A refusal here would last for ever.
        _logger.warning("which documents generation %s holds is not known any more: %s", generation, error)
        return []
    try:
        progress = Progress("points", reader.count())
        for batch in reader.scroll():
            for point in progress.over(batch):
                if point.payload["chunk_index"] == 0:
                    for location in locations_of(point.payload):
                        found[location.document_id] = DocumentState(location, point.payload["content_hash"])
    finally:
        reader.close()
    documents = [found[document_id] for document_id in sorted(found)]
    ledger.put_documents(generation, documents)
    return documents


def locations_of(payload: Payload) -> tuple[Location, ...]:
    return tuple(Location.from_payload(location) for location in payload["locations"])


def text_from_points(reader: GenerationReader, fingerprint_hash: str, content_hash: str) -> str | None:
    """Rebuild a content's text from the points of its chunks; None if it cannot be proved to be the same text."""
    points = points_of_content(reader, fingerprint_hash, content_hash)
    text = ""
    for point in points:
        text += point.payload["text"][len(text) - point.payload["start"] :]
    matches = text_sha256(text) == content_hash
    return text if points and matches else None


@dataclass(frozen=True, slots=True)
class StagedGeneration:
    """What staging did.

    Attributes:
        manifest: of the candidate.
        written: False if nothing changed: the candidate is production itself.
    """

    manifest: GenerationManifest
    written: bool
    num_points_added: int = 0
    num_points_deleted: int = 0
    num_points_relocated: int = 0


class Staging:
    """Builds one candidate: the base with the content changes applied.

    Args:
        base: manifest of the generation to start from; None to start from nothing.
        expected_production: generation that is in production now; the candidate names it as its base.
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
        self._digest = int(base.digest, 16) if base else 0
        self._count = base.points_count if base else 0
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
            changes: what to do with each content.
            embedded_chunks: chunks, with their vectors, of exactly those contents that are new.
            documents: what the candidate is to hold.

        Raises:
            StaleInputError: the chunks do not fit the changes.
            VectorStoreUnavailable: the store failed; nothing of the candidate remains.
        """
        new = {change.content_hash: change.locations for change in changes if not change.was_held}
        removed = [change.content_hash for change in changes if change.was_held and not change.locations]
        relocated = {c.content_hash: c.locations for c in changes if c.was_held and c.locations}
        dimensions = int(self._fingerprint["embedding_model"]["dimensions"])
        base_name = self._base.generation if self._base else None
        copied = Progress("points copied")
        with self._store.write(self._generation, dimensions, base_name, copied.reach) as writer:
            num_deleted = num_relocated = 0
            if base_name is not None and (removed or relocated):
                reader = self._store.read(base_name)
                try:
                    num_deleted = self._remove(writer, reader, removed)
                    num_relocated = self._relocate(writer, reader, relocated)
                finally:
                    reader.close()
            num_added = self._add(writer, new, embedded_chunks, total_chunks)
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
            )
            writer.seal(manifest)
        return StagedGeneration(manifest, True, num_added, num_deleted, num_relocated)

    def _remove(self, writer: GenerationWriter, reader: GenerationReader, contents: Sequence[str]) -> int:
        num_deleted = 0
        progress = Progress("contents removed", len(contents))
        for batch in batched(contents, _BATCH):
            points = _points_of_contents(reader, self._fingerprint_hash, batch)
            writer.delete([point.id for point in points])
            self._digest -= digest_of(points)
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
            points = _points_of_contents(reader, self._fingerprint_hash, batch)
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
    ) -> int:
        progress = Progress("points", total_chunks)
        seen: set[str] = set()
        for batch in batched(embedded_chunks, _BATCH):
            points = [self._point(chunk, vector, new) for chunk, vector in batch]
            writer.upsert(points)
            seen.update(chunk.content_hash for chunk, _ in batch)
            self._digest += digest_of(points)
            progress.advance(len(points))
        if seen != new.keys():
            raise StaleInputError(
                f"the chunks cover {len(seen)} of {len(new)} new contents: materialize chunks and embeddings again"
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


def points_of_content(reader: GenerationReader, fingerprint_hash: str, content_hash: str) -> list[Point]:
    """Return the points of one content in the order of its chunks; none if the generation does not hold it."""
    points, _ = _find_points(reader, fingerprint_hash, [content_hash])
    return sorted(points, key=lambda point: point.payload["chunk_index"])


def _points_of_contents(
    reader: GenerationReader, fingerprint_hash: str, contents: Sequence[str]
) -> list[Point]:
    """Return all points of these contents.

    Raises:
        VectorStoreUnavailable: points that must be there are not.
    """
    points, expected = _find_points(reader, fingerprint_hash, contents)
    if len(points) != expected:
        raise VectorStoreUnavailable(
            f"generation {reader.generation} lacks points that it should hold ({expected - len(points)} of "
            f"{expected}): run `rag-assets doctor --deep`"
        )
    return points


def _find_points(
    reader: GenerationReader, fingerprint_hash: str, contents: Sequence[str]
) -> tuple[list[Point], int]:
    """Return the points of these contents, and how many there must be: the first chunk tells the number."""
    first = reader.retrieve([point_id(fingerprint_hash, content, 0) for content in contents])
    rest = [
        point_id(fingerprint_hash, point.payload["content_hash"], index)
        for point in first
        for index in range(1, point.payload["total_chunks"])
    ]
    others = reader.retrieve(rest) if rest else []
    return first + others, len(contents) + len(rest)


def join_vectors(
    chunks: Iterable[Chunk], vectors: Iterable[tuple[str, Vector]], repeated: set[str]
) -> Iterator[tuple[Chunk, Vector]]:
    """Give each chunk its vector, streaming.

    Args:
        vectors: (text hash, vector), one for each distinct text, in order of first appearance in the chunks.
        repeated: text hashes that more than one chunk has; only their vectors are kept in memory.

    Raises:
        StaleInputError: the two do not belong together.
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


def verify_generation(
    reader: GenerationReader,
    manifest: GenerationManifest,
    *,
    fingerprint_hash: str,
    contents: Sequence[ContentChange],
) -> None:
    """Compare the exact count and a random sample with the store.

    Args:
        contents: what the generation is to hold, with locations; the sample is drawn from it.

    Raises:
        RagAssetsError: the store does not hold what was sealed.
    """
    count = reader.count()
    if count != manifest.points_count:
        raise VectorStoreUnavailable(
            f"generation {manifest.generation} holds {count} points, sealed were {manifest.points_count}: refresh again"
        )
    sample = random.sample(contents, min(_SAMPLE, len(contents)))
    expected = {
        point_id(fingerprint_hash, change.content_hash, 0): [
            location.to_payload() for location in change.locations
        ]
        for change in sample
    }
    found = {point.id: point for point in reader.retrieve(list(expected), with_vectors=True)}
    for identity, locations in expected.items():
        point = found.get(identity)
        problem = "is missing" if point is None else point_problem(point, fingerprint_hash)
        if not problem and point is not None and point.payload["locations"] != locations:
            problem = "is not where it should be"
        if problem:
            raise VectorStoreUnavailable(
                f"generation {manifest.generation}: point {identity} {problem}: refresh again, and run "
                "`rag-assets doctor --deep`"
            )


def point_problem(point: Point, fingerprint_hash: str, *, exact_vectors: bool = False) -> str:
    """Return what is wrong with a stored point, "" if nothing is.

    Args:
        point: with its vectors.
        exact_vectors: whether the store gives vectors back bit for bit, so that their hash can be compared.
    """
    payload = point.payload
    if not {"content_hash", "chunk_index", "locations", "vector_hash"} <= payload.keys():
        return "lacks fields of its payload"
    if point.id != point_id(fingerprint_hash, payload["content_hash"], payload["chunk_index"]):
        return "has an id that does not follow from its content"
    vector = point.vector
    if vector is None or not np.isfinite(vector).all() or abs(float(np.linalg.norm(vector)) - 1) > 1e-3:
        return "has a damaged vector"
    if exact_vectors and vector_hash(vector, point.sparse) != payload["vector_hash"]:
        return "has another vector than was sent"
    return ""


@dataclass(frozen=True, slots=True)
class DeepCheck:
    """Result of looking at every point of a generation."""

    generation: str
    num_points: int
    problems: tuple[str, ...]


def check_every_point(store: VectorStore, manifest: GenerationManifest, fingerprint_hash: str) -> DeepCheck:
    """Read a whole generation: ids, vectors, count and digest."""
    problems: list[str] = []
    digest = 0
    progress = Progress("points", manifest.points_count)
    reader = store.read(manifest.generation)
    try:
        for batch in reader.scroll(with_vectors=True):
            digest += digest_of(batch)
            for point in progress.over(batch):
                problem = point_problem(point, fingerprint_hash, exact_vectors=store.exact_vectors)
                if problem:
                    problems.append(f"point {point.id} {problem}")
    finally:
        reader.close()
    if progress.done != manifest.points_count:
        problems.append(f"holds {progress.done} points, sealed were {manifest.points_count}")
    if digest_to_hex(digest) != manifest.digest:
        problems.append("the digest over all points is not the sealed one")
    return DeepCheck(manifest.generation, progress.done, tuple(problems))


def sweep(store: VectorStore, keep: Iterable[str]) -> list[str]:
    """Discard every generation and leftover that neither serves, served before, is held, nor is named.

    Whoever stages sweeps first: the lease is theirs, so what lies around is of dead refreshes. Should one of
    them be alive after all, it finds its candidate gone and ends superseded.
    """
    state: ProductionState = store.production_state()
    kept = {state.production, state.previous, state.held, *keep}
    swept: list[str] = []
    for generation in store.generations():
        if generation not in kept:
            try:
                store.discard(generation)
                swept.append(generation)
            except RagAssetsError as error:
                _logger.warning(
                    "could not discard generation %s, the next refresh tries again: %s", generation, error
                )
    return swept
