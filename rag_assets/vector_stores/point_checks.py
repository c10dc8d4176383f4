"""Checks of every point and every query before it is sent to a store.

Qdrant's engine accepts NaN, infinite, zero and missing vectors without an error and ranks some of them first. A wrong
dimension raises after a part of the batch was written. A malformed sparse vector causes a panic. So a call is checked
as a whole before any of it is sent.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from operator import lt

import numpy as np

from rag_assets.errors import InvalidVectorError
from rag_assets.records import Payload, Point, SparseVector, Vector, Vectors
from rag_assets.text.wording import counted

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# The engine computes in float32. It leaves a vector shorter than 3.5e-4 as it is, so its scores are not cosines. From
# 1.8e19 on, the square of a length or the product of two weights overflows.
_SHORTEST, _LONGEST = 1e-3, 1e18
_LARGEST_INDEX = 2**32 - 1


def check_point_ids(point_ids: Sequence[str]) -> None:
    """Raises: InvalidVectorError: an id is not a UUID in canonical text form."""
    for point_id in point_ids:
        if _UUID.fullmatch(point_id) is None:
            raise InvalidVectorError(f"{point_id!r} is not a point id: use a UUID in canonical text form")


def check_payload(point_id: str, payload: Payload) -> None:
    """Raises: InvalidVectorError: the payload is not JSON."""
    try:
        # Escaping is quicker than encoding. Only a possible half of a surrogate pair needs the slow check.
        if "\\ud" in json.dumps(payload, allow_nan=False):
            json.dumps(payload, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        # The text of the error may quote the payload, and a payload holds document text.
        raise InvalidVectorError(
            f"the payload of point {point_id} is not JSON ({type(error).__name__})"
        ) from None


def check_payloads(payloads: Mapping[str, Payload]) -> None:
    """Raises: InvalidVectorError: a key is not a point id, or a payload is not JSON."""
    check_point_ids(list(payloads))
    for point_id, fields in payloads.items():
        check_payload(point_id, fields)


def checked_points(points: Sequence[Point], dimensions: int) -> Vectors:
    """Return the dense vectors of the points, float32, (n_points, dim), after every check.

    Raises:
        InvalidVectorError: see the module.
    """
    ids = [point.id for point in points]
    check_point_ids(ids)
    if len(set(ids)) != len(ids):
        repeated = next(point_id for point_id in ids if ids.count(point_id) > 1)
        raise InvalidVectorError(f"duplicate point id {repeated} in one call")
    for point in points:
        if point.vector is None:
            raise InvalidVectorError(f"point {point.id} has no vector")
        if point.sparse is None:
            raise InvalidVectorError(
                f"point {point.id} has no sparse vector: send an empty one if it has no words"
            )
        if point.vector.shape != (dimensions,):
            raise InvalidVectorError(
                f"the vector of point {point.id} has shape {point.vector.shape}, not ({dimensions},)"
            )
        check_payload(point.id, point.payload)
    if not points:
        return np.empty((0, dimensions), dtype=np.float32)
    with np.errstate(over="ignore"):
        vectors = np.stack([np.asarray(point.vector, dtype=np.float32) for point in points])
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise InvalidVectorError(
            f"the vector of point {ids[int(np.argmin(finite))]} contains NaN or infinity"
        )
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    fitting = (lengths > _SHORTEST) & (lengths < _LONGEST)
    if not fitting.all():
        bad = int(np.argmin(fitting))
        _check_length(float(lengths[bad]), f"the vector of point {ids[bad]}")
    for point in points:
        if point.sparse is not None:
            _check_sparse(point.sparse, f"the sparse vector of point {point.id}")
    return vectors


def checked_query(dense: Vector, sparse: SparseVector | None) -> list[float]:
    """Return the dense vector as a list. Its dimension is checked by the store.

    Raises:
        InvalidVectorError: see the module.
    """
    vector = np.asarray(dense, dtype=np.float32)
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise InvalidVectorError("the vector of the query must be one row of finite numbers")
    _check_length(float(np.linalg.norm(vector.astype(np.float64))), "the vector of the query")
    if sparse is not None:
        _check_sparse(sparse, "the sparse vector of the query")
    return vector.tolist()


def _check_length(length: float, what: str) -> None:
    if length == 0:
        raise InvalidVectorError(f"{what} has only zero components")
    if not _SHORTEST < length < _LONGEST:
        raise InvalidVectorError(
            f"{what} has length {length:.0e}, which the engine cannot normalize: send a unit vector"
        )


def _check_sparse(sparse: SparseVector, what: str) -> None:
    if len(sparse.indices) != len(sparse.values):
        raise InvalidVectorError(
            f"{what} has {counted(len(sparse.indices), 'index', 'indices')} but "
            f"{counted(len(sparse.values), 'value')}"
        )
    if not sparse.indices:
        return
    if len(set(sparse.indices)) != len(sparse.indices):
        raise InvalidVectorError(f"{what} has a duplicate index")
    if min(sparse.indices) < 0 or max(sparse.indices) > _LARGEST_INDEX:
        raise InvalidVectorError(f"{what} has an index outside 0 to {_LARGEST_INDEX}")
    # The sum is finite only if all values are. For so few numbers, numpy arrays take three times as long.
    largest = max(max(sparse.values), -min(sparse.values))
    if not math.isfinite(sum(sparse.values)):
        raise InvalidVectorError(f"{what} contains NaN or infinity")
    if largest > _LONGEST:
        raise InvalidVectorError(f"{what} contains a weight of {largest:.0e}; the largest is {_LONGEST:.0e}")


def ascending(indices: Sequence[int], values: Sequence[float]) -> SparseVector:
    """Return a sparse vector with its indices in ascending order."""
    if all(map(lt, indices, islice(indices, 1, None))):
        return SparseVector(tuple(indices), tuple(values))
    pairs = sorted(zip(indices, values, strict=True))
    return SparseVector(tuple(index for index, _ in pairs), tuple(value for _, value in pairs))
