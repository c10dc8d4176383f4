"""Check values of the points of a generation on a server, kept beside its manifest.

A server may normalize vectors again, so hashes of vectors could differ without any damage. The points are divided into 64
groups by a hash of their id. A group has

- the number of its points,
- the sum of one hash per point, of its id, payload and keyword vector, modulo 2^128,
- four sums over its dense vectors, of `w(id) * (signs . vector)` with a weight by id and fixed random signs.

The sums of vectors are compared with a tolerance for rounding. Two swapped vectors change all four by about 1, and stay
below the tolerance of a group of 300 points by chance once in 10^12 cases. All values are sums, so they follow every
write without reading other points, and a sample of whole groups can be compared.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rag_assets.fingerprint import canonical_json
from rag_assets.records import Payload, Point, SparseVector, Vectors

GROUPS = 64
_PROJECTIONS = 4
_MODULUS = 1 << 128
_TOLERANCE_PER_POINT = 1e-6
_TOLERANCE = 1e-5

Floats = npt.NDArray[np.float64]


class CheckValues:
    """The check values of a set of points."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self.counts = [0] * GROUPS
        self._hashes = [0] * GROUPS
        self._sums: Floats = np.zeros((GROUPS, _PROJECTIONS))

    def add(self, points: Sequence[Point]) -> None:
        """Add points, with their vectors."""
        self._count(points, 1)

    def subtract(self, points: Sequence[Point]) -> None:
        """Subtract points, with their vectors as stored."""
        self._count(points, -1)

    def replace_payloads(self, old: Iterable[Point], payloads: dict[str, Payload]) -> None:
        """Replace the payloads of points. `old` has them with their keyword vectors."""
        for point in old:
            group = _group_and_weights(point.id)[0]
            change = _hash(point.id, payloads[point.id], point.sparse) - _hash(
                point.id, point.payload, point.sparse
            )
            self._hashes[group] = (self._hashes[group] + change) % _MODULUS

    def _count(self, points: Sequence[Point], sign: int) -> None:
        if not points:
            return
        vectors: Vectors = np.stack([point.vector for point in points if point.vector is not None])
        projected: Floats = vectors.astype(np.float64) @ _signs(self.dimensions)
        for point, row in zip(points, projected, strict=True):
            group, weights = _group_and_weights(point.id)
            self.counts[group] += sign
            change = sign * _hash(point.id, point.payload, point.sparse)
            self._hashes[group] = (self._hashes[group] + change) % _MODULUS
            self._sums[group] += sign * weights * row

    def differing_groups(self, sealed: "CheckValues", groups: Iterable[int] = range(GROUPS)) -> list[int]:
        """Return those of the groups that differ."""
        return [group for group in groups if not self._agrees(sealed, group)]

    def _agrees(self, sealed: "CheckValues", group: int) -> bool:
        tolerance = _TOLERANCE + _TOLERANCE_PER_POINT * self.counts[group]
        return (
            self.counts[group] == sealed.counts[group]
            and self._hashes[group] == sealed._hashes[group]
            and bool((np.abs(self._sums[group] - sealed._sums[group]) <= tolerance).all())
        )

    def to_text(self) -> str:
        return json.dumps(
            {
                "dimensions": self.dimensions,
                "counts": self.counts,
                "hashes": [f"{value:032x}" for value in self._hashes],
                "sums": [[round(value, 9) for value in row] for row in self._sums.tolist()],
            }
        )

    @classmethod
    def from_text(cls, text: object) -> "CheckValues | None":
        """Return None if the text is not from `to_text`."""
        try:
            stored: Any = json.loads(text) if isinstance(text, str) else None
            values = cls(int(stored["dimensions"]))
            values.counts = [int(count) for count in stored["counts"]]
            values._hashes = [int(value, 16) for value in stored["hashes"]]
            values._sums = np.array(stored["sums"], dtype=np.float64)
        except (ValueError, TypeError, KeyError):
            return None
        whole = len(values.counts) == len(values._hashes) == GROUPS
        return values if whole and values._sums.shape == (GROUPS, _PROJECTIONS) else None


def group_of(point_id: str) -> int:
    return _group_and_weights(point_id)[0]


def _group_and_weights(point_id: str) -> tuple[int, Floats]:
    drawn = hashlib.blake2b(point_id.encode(), digest_size=1 + 2 * _PROJECTIONS).digest()
    return drawn[0] % GROUPS, np.frombuffer(drawn, dtype="<u2", offset=1) / 32768 - 1


def _hash(point_id: str, payload: Payload, sparse: SparseVector | None) -> int:
    digest = hashlib.sha256(canonical_json([point_id, payload]))
    if sparse is not None and sparse.indices:
        digest.update(np.asarray(sparse.indices, dtype="<u4").tobytes())
        digest.update(np.asarray(sparse.values, dtype="<f4").tobytes())
    return int.from_bytes(digest.digest()[:16])


@cache
def _signs(dimensions: int) -> Floats:
    """Return +1 and -1, float64, (dim, 4), the same in every process."""
    drawn = hashlib.shake_256(b"rag-assets check values").digest(_PROJECTIONS * dimensions)
    return np.where(np.frombuffer(drawn, dtype=np.uint8) < 128, -1.0, 1.0).reshape(dimensions, _PROJECTIONS)
