"""The digest of a generation, and the hashes behind it.

The digest is the sum of one hash per point, modulo 2^256. A sum can be carried over from the base: the hashes of
removed points are subtracted, those of added points are added, and no other point is read. The hash of a point covers
its id and its payload without `indexed_at` and `refresh_id`. The payload holds the hash of the vectors as sent.
"""

import hashlib
from collections.abc import Iterable

import numpy as np

from rag_assets.fingerprint import canonical_json
from rag_assets.records import DocumentState, Payload, Point, SparseVector, Vector

UNHASHED_FIELDS = ("indexed_at", "refresh_id")
_MODULUS = 1 << 256


def vector_hash(vector: Vector, sparse: SparseVector | None) -> str:
    """Return the SHA-256, hex, of the vectors of a point as sent: float32, little endian."""
    digest = hashlib.sha256(np.ascontiguousarray(vector, dtype="<f4").tobytes())
    if sparse is not None and sparse.indices:
        digest.update(np.asarray(sparse.indices, dtype="<u4").tobytes())
        digest.update(np.asarray(sparse.values, dtype="<f4").tobytes())
    return digest.hexdigest()


def point_hash(point_id: str, payload: Payload) -> int:
    """Return the contribution of one point to the digest of its generation."""
    hashed = {key: value for key, value in payload.items() if key not in UNHASHED_FIELDS}
    return int.from_bytes(hashlib.sha256(canonical_json([point_id, hashed])).digest())


def digest_of(points: Iterable[Point]) -> int:
    return sum(point_hash(point.id, point.payload) for point in points) % _MODULUS


def digest_to_hex(digest: int) -> str:
    return f"{digest % _MODULUS:064x}"


def documents_hash(documents: Iterable[DocumentState]) -> str:
    """Return the SHA-256, hex, of a set of documents: their locations and content hashes."""
    digest = hashlib.sha256()
    for state in sorted(documents, key=lambda state: state.document_id):
        digest.update(canonical_json([state.content_hash, state.location.to_payload()]))
    return digest.hexdigest()
