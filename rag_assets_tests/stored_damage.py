"""Damage to the stored points of a generation, done behind the back of its store: as a faulty disk or program does."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rag_assets.records import Point, SparseVector
from rag_assets.vector_stores.base import DENSE, SPARSE, VectorStore
from rag_assets.vector_stores.embedded.engine import engine_points, load_shard
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore


def _vectors_randomized(points: list[Point]) -> list[Point]:
    random = np.random.default_rng(7)
    spoiled: list[Point] = []
    for point in points[: max(1, 2 * len(points) // 5)]:
        assert point.vector is not None
        vector = random.normal(size=point.vector.shape)
        spoiled.append(replace(point, vector=(vector / np.linalg.norm(vector)).astype(np.float32)))
    return spoiled


def _vectors_turned_one_way(points: list[Point]) -> list[Point]:
    return [replace(point, vector=points[0].vector) for point in points]


def _swapped(field: str) -> Callable[[list[Point]], list[Point]]:
    def swap(points: list[Point]) -> list[Point]:
        one, other = points[0], points[1]
        return [
            replace(one, **{field: getattr(other, field)}),
            replace(other, **{field: getattr(one, field)}),
        ]

    return swap


def _texts_swapped(points: list[Point]) -> list[Point]:
    one, other = points[0], points[1]
    return [
        replace(one, payload=one.payload | {"text": other.payload["text"]}),
        replace(other, payload=other.payload | {"text": one.payload["text"]}),
    ]


def _texts_emptied(points: list[Point]) -> list[Point]:
    return [replace(point, payload=point.payload | {"text": ""}) for point in points[:1]]


def _keywords_removed(points: list[Point]) -> list[Point]:
    return [replace(point, sparse=SparseVector((), ())) for point in points[:1]]


DAMAGE: dict[str, Callable[[list[Point]], list[Point]]] = {
    "40 % of the vectors randomized": _vectors_randomized,
    "all vectors turned one way": _vectors_turned_one_way,
    "two vectors swapped": _swapped("vector"),
    "two texts swapped": _texts_swapped,
    "a text emptied": _texts_emptied,
    "keyword vectors removed": _keywords_removed,
    "two keyword vectors swapped": _swapped("sparse"),
}


def damage(store: VectorStore, generation: str, kind: str) -> None:
    """Change stored points of a sealed generation. Their number stays."""
    reader = store.read(generation)
    points = [point for batch in reader.scroll(with_vectors=True) for point in batch]
    reader.close()
    overwrite(store, generation, DAMAGE[kind](points))


def overwrite(store: VectorStore, generation: str, points: Sequence[Point]) -> None:
    if isinstance(store, EmbeddedVectorStore):
        import qdrant_edge as edge

        shard = load_shard(store.folders.home / "generations" / generation / "shard")
        vectors = [point.vector for point in points if point.vector is not None]
        shard.update(edge.UpdateOperation.upsert_points(engine_points(points, vectors)))
        shard.flush()
        shard.close()
        return
    from qdrant_client import models

    collections: Any = store._collections  # type: ignore[attr-defined]
    structs: list[models.PointStruct] = []
    for point in points:
        assert point.vector is not None
        named: dict[str, Any] = {DENSE: point.vector.tolist()}
        if point.sparse is not None and point.sparse.indices:
            named[SPARSE] = models.SparseVector(
                indices=list(point.sparse.indices), values=list(point.sparse.values)
            )
        structs.append(models.PointStruct(id=point.id, vector=named, payload=point.payload))
    collections.client.upsert(collections.name_of(generation), structs, wait=True)
