"""Verification of a sealed generation against the store: a sample before promotion, every point on request."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rag_assets.changes.content_changes import ContentChange
from rag_assets.errors import GenerationDamaged
from rag_assets.fingerprint import point_id
from rag_assets.generations.digest import digest_of, digest_to_hex, vector_hash
from rag_assets.progress import Progress
from rag_assets.records import GenerationManifest, Point
from rag_assets.text.wording import counted
from rag_assets.vector_stores.base import GenerationReader, VectorStore

_SAMPLE = 64


def verify_generation(
    reader: GenerationReader,
    manifest: GenerationManifest,
    *,
    fingerprint_hash: str,
    contents: Sequence[ContentChange],
) -> None:
    """Compare the exact count and a random sample with the store.

    Args:
        contents: all contents of the generation, with locations. The sample is drawn from them.

    Raises:
        GenerationDamaged: the store does not hold the sealed points.
    """
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
        problems.append(
            f"holds {counted(progress.done, 'point')} instead of the sealed {manifest.points_count}"
        )
    if digest_to_hex(digest) != manifest.digest:
        problems.append("the digest of all points differs from the sealed one")
    return DeepCheck(manifest.generation, progress.done, tuple(problems))
