"""Whether a store holds what was sealed: a sample before promotion, every point on request."""

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
        contents: what the generation is to hold, with locations; the sample is drawn from it.

    Raises:
        GenerationDamaged: the store does not hold what was sealed.
    """
    count = reader.count()
    if count != manifest.points_count:
        raise GenerationDamaged(
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
            raise GenerationDamaged(
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
