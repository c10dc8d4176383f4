import numpy as np

from rag_assets.generations.digest import digest_of, digest_to_hex, point_hash, vector_hash
from rag_assets.records import Payload, Point, SparseVector
from rag_assets_tests.documents import vector_of


def test_the_hash_of_a_point_covers_its_id_and_all_fields_but_two() -> None:
    payload: Payload = {"text": "t", "locations": [{"path": "a"}], "indexed_at": "now", "refresh_id": "r"}
    same = payload | {"indexed_at": "later", "refresh_id": "other"}
    assert point_hash("id", payload) == point_hash("id", same)
    others = [("other", payload), ("id", payload | {"text": "u"}), ("id", payload | {"locations": []})]
    assert point_hash("id", payload) not in {point_hash(*other) for other in others}


def test_the_digest_does_not_depend_on_the_order_of_points() -> None:
    points = [Point(str(number), {"text": str(number)}) for number in range(5)]
    whole = digest_of(points)
    assert digest_to_hex(whole) == digest_to_hex(digest_of(reversed(points)))
    assert digest_to_hex(whole - digest_of(points[:2])) == digest_to_hex(digest_of(points[2:]))
    assert digest_to_hex(digest_of(points[:1]) - whole) == digest_to_hex(-digest_of(points[1:]))
    assert len(digest_to_hex(0)) == 64


def test_the_hash_of_vectors_covers_every_bit() -> None:
    vector, sparse = vector_of("x"), SparseVector((1, 7), (0.5, 1.5))
    nudged = vector.copy()
    nudged[3] = np.nextafter(nudged[3], np.float32(2))
    hashes = {
        vector_hash(vector, sparse),
        vector_hash(nudged, sparse),
        vector_hash(vector, SparseVector((1, 8), (0.5, 1.5))),
        vector_hash(vector, SparseVector((1, 7), (0.5, 1.25))),
        vector_hash(vector, None),
    }
    assert len(hashes) == 5
    assert vector_hash(vector, None) == vector_hash(vector.astype(">f4"), SparseVector((), ()))
