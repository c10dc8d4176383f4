"""Points, manifests and small queries for the tests of the stores."""

import uuid
from collections.abc import Iterable
from typing import Any

import numpy as np

from rag_assets.records import GenerationManifest, Location, Point, SparseVector, Vector
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.production_state import ProductionState

DIMENSIONS = 8
_NAMESPACE = uuid.UUID("6f0d7a3e-0d4c-4b43-8f59-1d1f5f0c7a11")


def names(state: ProductionState) -> tuple[str | None, str | None, str | None]:
    """Return the generation in production, the previous one and the held one."""
    return state.production, state.previous, state.held


def point_id(number: int) -> str:
    return str(uuid.uuid5(_NAMESPACE, str(number)))


def unit_vector(seed: int, dimensions: int = DIMENSIONS) -> Vector:
    vector = np.random.default_rng(seed).normal(size=dimensions)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def location(number: int = 0, **fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "document_id": f"filesystem:hr/handbook-{number}.pdf",
        "source": "filesystem",
        "source_uri": f"file:///docs/hr/handbook-{number}.pdf",
        "path": f"hr/handbook-{number}.pdf",
        "filename": f"handbook-{number}.pdf",
        "title": "Handbook",
        "modified_at": "2026-01-15T08:00:00+00:00",
        "access": None,
        **fields,
    }
    return Location.from_payload(given).to_payload()


def payload(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "chunk_text": f"Grüße aus 東京, chunk {number} 🙂",
        "content_hash": f"{number:064x}",
        "chunk_index": number % 5,
        "total_chunks": 5,
        "token_count": 100 + number,
        "heading_path": ["Leave", "Parental leave"],
        "flags": ["instructions"] if number == 2 else [],
        "embedding_model": "wordllama",
        "refresh_id": "r1",
        "indexed_at": "2026-02-01T00:00:00+00:00",
        "locations": [location(number)],
        **fields,
    }


def point(number: int, *, vector: Vector | None = None, version: int = 0, **fields: Any) -> Point:
    random = np.random.default_rng([number, version])
    indices = sorted({int(i) for i in random.integers(0, 40, 6)})
    return Point(
        id=point_id(number),
        payload=payload(number, **fields),
        vector=unit_vector(number * 1000 + version) if vector is None else vector,
        sparse=SparseVector(
            tuple(indices), tuple(float(np.float32(value)) for value in random.random(len(indices)) + 0.5)
        ),
    )


def manifest(generation: str, points_count: int, **fields: Any) -> GenerationManifest:
    given: dict[str, Any] = {
        "generation": generation,
        "refresh_id": "r1",
        "base": None,
        "fingerprint": {"model": "wordllama", "dimensions": DIMENSIONS, "avg_len": 256.0, "title": "Größe"},
        "digest": "ab" * 16,
        "points_count": points_count,
        "documents_count": 3,
        "documents_hash": "0" * 64,
        "sealed_at": "2026-02-01T00:00:00+00:00",
        **fields,
    }
    return GenerationManifest(**given)


def stage(store: VectorStore, generation: str, points: Iterable[Point]) -> GenerationManifest:
    """Write and seal a generation from nothing."""
    given = list(points)
    sealed = manifest(generation, len(given))
    with store.write(generation, DIMENSIONS, None) as writer:
        writer.upsert(given)
        writer.seal(sealed)
    return sealed


def everything(store: VectorStore, generation: str) -> dict[str, Point]:
    """Read all points of a generation."""
    reader = store.read(generation)
    try:
        return {p.id: p for batch in reader.scroll(batch_size=7, with_vectors=True) for p in batch}
    finally:
        reader.close()
