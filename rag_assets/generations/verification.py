"""Verification of a sealed generation: against the record of its store, its digest and its documents."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rag_assets.changes.content_changes import ContentChange
from rag_assets.errors import GenerationDamaged
from rag_assets.fingerprint import point_id, short_hash
from rag_assets.generations.digest import digest_of, digest_to_hex, vector_hash
from rag_assets.progress import Progress
from rag_assets.records import GenerationManifest, Point
from rag_assets.text.wording import counted
from rag_assets.vector_stores.base import Depth, GenerationReader, VectorStore

_SAMPLE = 64


def check_sealed(store: VectorStore, manifest: GenerationManifest, depth: Depth = "usual") -> None:
    """Compare a generation with the record that its store made when it was sealed.

    A generation of an earlier version has no such record. Then each of its points is compared with its digest, except at
    the depth `quick`.

    Raises:
        GenerationDamaged: it differs, or was found to differ earlier.
    """
    if manifest.damaged:
        raise GenerationDamaged(manifest.damaged)
    if store.verify(manifest.generation, depth=depth) or depth == "quick":
        return
    check = check_every_point(store, manifest, short_hash(manifest.fingerprint))
    if check.problems:
        raise GenerationDamaged(f"generation {manifest.generation} is damaged: {check.problems[0]}")


def verify_documents(
    reader: GenerationReader, manifest: GenerationManifest, contents: Sequence[ContentChange]
) -> None:
    """Compare a random sample of the points with the documents of the generation.

    Args:
        contents: all contents of the generation, with locations. The sample is drawn from them.

    Raises:
        GenerationDamaged: the store does not hold the sealed points, or not those of the documents.
    """
    fingerprint_hash = short_hash(manifest.fingerprint)
    count = reader.count()
    if count != manifest.points_count:
        raise GenerationDamaged(
            f"generation {manifest.generation} holds {counted(count, 'point')} instead of the sealed "
            f"{manifest.points_count}: refresh again"
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
            problem = "has the wrong locations"
        if problem:
            raise GenerationDamaged(
                f"generation {manifest.generation}: point {identity} {problem}: refresh again, and run "
                "`rag-assets doctor --deep`"
            )


def point_problem(point: Point, fingerprint_hash: str, *, exact_vectors: bool = False) -> str:
    """Return the problem of a stored point, or "".

    Args:
        point: with its vectors.
        exact_vectors: whether the store returns vectors bit for bit, so their hash can be compared.
    """
    payload = point.payload
    if not {"content_hash", "chunk_index", "locations", "vector_hash"} <= payload.keys():
        return "lacks fields of the payload"
    if point.id != point_id(fingerprint_hash, payload["content_hash"], payload["chunk_index"]):
        return "has an id that does not match its content"
    vector = point.vector
    if vector is None or not np.isfinite(vector).all() or abs(float(np.linalg.norm(vector)) - 1) > 1e-3:
        return "has a damaged vector"
    if exact_vectors and vector_hash(vector, point.sparse) != payload["vector_hash"]:
        return "has a different vector than the one sent"
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
    try:
        store.verify(manifest.generation, depth="every point")
    except GenerationDamaged as error:
        problems.append(str(error))
    digest = 0
    progress = Progress("points checked", manifest.points_count)
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
        problems.append(
            f"holds {counted(progress.done, 'point')} instead of the sealed {manifest.points_count}"
        )
    if digest_to_hex(digest) != manifest.digest:
        problems.append("the digest of all points differs from the sealed one")
    return DeepCheck(manifest.generation, progress.done, tuple(problems))
