"""The contract of every store about vectors whose length the engine cannot work out: it computes in float32."""

import numpy as np
import pytest

from rag_assets.errors import InvalidVectorError
from rag_assets.records import Point, SparseVector, Vector
from rag_assets.vector_stores.base import VectorStore
from rag_assets_tests.vector_stores.samples import (
    DIMENSIONS,
    everything,
    manifest,
    point,
    point_id,
    stage,
    unit_vector,
)


def of_length(length: float) -> Vector:
    return (unit_vector(7).astype(np.float64) * length).astype(np.float32)


@pytest.mark.parametrize("length", [3e38, 2e19, 1e-7])
def test_a_vector_whose_length_overflows_or_vanishes_is_refused(store: VectorStore, length: float) -> None:
    stage(store, "g1", [point(0)])
    good = point(1)
    with store.write("g2", DIMENSIONS, "g1") as writer:
        with pytest.raises(InvalidVectorError, match=point_id(1)):
            writer.upsert([Point(good.id, good.payload, of_length(length), good.sparse)])
        writer.seal(manifest("g2", 1))
    assert everything(store, "g2").keys() == {point_id(0)}
    with pytest.raises(InvalidVectorError, match="the query"):
        store.read("g2").search(of_length(length), None, 5)


def test_weights_whose_product_overflows_are_refused(store: VectorStore) -> None:
    stage(store, "g1", [point(0)])
    good = point(1)
    huge = SparseVector((1, 2), (1.0, 3e38))
    with store.write("g2", DIMENSIONS, "g1") as writer:
        with pytest.raises(InvalidVectorError, match=point_id(1)):
            writer.upsert([Point(good.id, good.payload, good.vector, huge)])
        writer.seal(manifest("g2", 1))
    with pytest.raises(InvalidVectorError, match="the query"):
        store.read("g2").search(unit_vector(1), huge, 5)
