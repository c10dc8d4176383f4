"""The comparison of points just written with the points that a store returns for them.

A store that answers "done" may hold something else: an engine with a fault, a failing disk, a proxy that cuts a request.
Sealing what it holds would make the difference permanent.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rag_assets.errors import GenerationDamaged
from rag_assets.records import Payload, Point, SparseVector, Vectors
from rag_assets.vector_stores.point_checks import ascending

_TOLERANCE = 1e-6
"""Largest difference of a component after a store has normalized a vector again."""
_SURELY_UNIT = 5e-7
"""A vector is stored as it was sent if its squared length differs from 1 by less than this."""


def check_points(
    generation: str, sent: Sequence[Point], vectors: Vectors, found: Iterable[Point], *, exact: bool
) -> None:
    """Compare points with what was sent.

    Args:
        vectors: the dense vectors as sent, float32, (n_points, dim).
        exact: whether unit vectors must be equal bit for bit.

    Raises:
        GenerationDamaged: a point is missing or differs.
    """
    by_id = {point.id: point for point in found}
    check_payloads_of(generation, {point.id: point.payload for point in sent}, by_id)
    stored = np.stack([vector for point in sent if (vector := by_id[point.id].vector) is not None])
    squared = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    expected = vectors / np.sqrt(squared)[:, np.newaxis]
    same = (np.abs(stored - expected) <= _TOLERANCE).all(axis=1)
    if exact:
        same &= (np.abs(squared - 1) >= _SURELY_UNIT) | (stored == vectors).all(axis=1)
    if not same.all():
        raise _differs(generation, sent[int(np.argmin(same))].id, "vector")
    for point in sent:
        if not same_sparse(point.sparse, by_id[point.id].sparse):
            raise _differs(generation, point.id, "keyword vector")


def check_payloads_of(generation: str, sent: Mapping[str, Payload], found: Mapping[str, Point]) -> None:
    """Compare payloads with what was sent, by id.

    Raises:
        GenerationDamaged: a point is missing or has another payload.
    """
    for point_id, payload in sent.items():
        if point_id not in found:
            raise _differs(generation, point_id, "point")
        if found[point_id].payload != payload:
            raise _differs(generation, point_id, "payload")


def same_sparse(one: SparseVector | None, other: SparseVector | None) -> bool:
    """Return whether two sparse vectors are equal as float32."""
    one, other = one or SparseVector((), ()), other or SparseVector((), ())
    if one == other:
        return True
    one, other = ascending(one.indices, one.values), ascending(other.indices, other.values)
    return one.indices == other.indices and bool(
        (np.float32(np.array(one.values)) == np.float32(np.array(other.values))).all()
    )


def _differs(generation: str, point_id: str, what: str) -> GenerationDamaged:
    if what == "point":
        problem = "was sent but is missing"
    else:
        problem = f"was stored with another {what} than the one sent"
    return GenerationDamaged(
        f"generation {generation}: point {point_id} {problem}. The candidate was discarded: check the disk or the "
        "Qdrant server, then refresh again"
    )
