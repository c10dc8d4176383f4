"""The contract of every store: what is sealed is what was sent, and stays so."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_assets.errors import GenerationDamaged
from rag_assets.records import Point, SparseVector
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets.vector_stores.server import seal_comparison
from rag_assets_tests.stored_damage import DAMAGE, damage, overwrite
from rag_assets_tests.vector_stores.conftest import ONE_AND_ALL_INDEXES, Backend, open_backend
from rag_assets_tests.vector_stores.samples import (
    DIMENSIONS,
    location,
    manifest,
    point,
    point_id,
    stage,
    unit_vector,
)


@pytest.fixture(params=ONE_AND_ALL_INDEXES)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with open_backend(request.param, tmp_path) as opened:
        yield opened


def _spoiled(one: Point, how: str) -> Point:
    if how == "vector":
        vector = unit_vector(99)
        return replace(one, vector=vector)
    if how == "last decimals":
        assert one.vector is not None
        vector = one.vector + np.float32(1e-4)
        return replace(one, vector=(vector / np.linalg.norm(vector)).astype(np.float32))
    if how == "keywords":
        return replace(one, sparse=SparseVector((), ()))
    return replace(one, payload=one.payload | {"chunk_text": ""})


def _spoil_upserts(backend: Backend, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Let the engine, or the server, store the second point of each batch differently."""
    if backend.kind == "embedded":
        from rag_assets.vector_stores.embedded import writer

        real = writer.engine_points

        def engine_points(points: Any, rows: Any) -> Any:
            spoiled = [points[0], _spoiled(points[1], how), *points[2:]]
            assert spoiled[1].vector is not None
            return real(spoiled, [rows[0], spoiled[1].vector.tolist(), *rows[2:]])

        monkeypatch.setattr(writer, "engine_points", engine_points)
        return
    from qdrant_client import QdrantClient

    upsert = QdrantClient.upsert

    def spoiling(client: QdrantClient, name: str, points: list[Any], **options: Any) -> Any:
        second = points[1]
        spoiled = _spoiled(point(1), how)
        assert spoiled.vector is not None
        named = {**second.vector, "dense": spoiled.vector.tolist()}
        if how == "keywords":
            del named["bm25"]
        changed = second.model_copy(update={"vector": named, "payload": spoiled.payload})
        return upsert(client, name, [points[0], changed, *points[2:]], **options)

    monkeypatch.setattr(QdrantClient, "upsert", spoiling)


@pytest.mark.parametrize("how", ["vector", "last decimals", "keywords", "text"])
def test_a_point_stored_differently_than_sent_is_never_sealed(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    store = backend.open()
    store.knowledge_base_id()
    _spoil_upserts(backend, monkeypatch, how)
    with pytest.raises(GenerationDamaged, match=point_id(1)):
        stage(store, "g1", [point(n) for n in range(5)])
    assert store.generations() == []


@pytest.mark.parametrize("copied_before", [False, True])
def test_a_payload_stored_differently_than_sent_is_never_sealed(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, copied_before: bool
) -> None:
    store = backend.open()
    stage(store, "g1", [point(n) for n in range(5)])
    if backend.kind == "embedded":
        import qdrant_edge

        class Forgetful:
            def __getattr__(self, name: str) -> Any:
                if name == "overwrite_payload":
                    return lambda ids, fields: real.overwrite_payload(ids, {**fields, "locations": []})
                return getattr(real, name)

        real: Any = qdrant_edge.UpdateOperation
        monkeypatch.setattr(qdrant_edge, "UpdateOperation", Forgetful())
    else:
        import qdrant_client

        upsert = qdrant_client.QdrantClient.upsert

        def forgetful(client: Any, collection: str, points: list[Any], **options: Any) -> Any:
            for one in points:
                if one.payload["locations"] == [location(7)]:
                    one.payload = {**one.payload, "locations": []}
            return upsert(client, collection, points, **options)

        monkeypatch.setattr("qdrant_client.QdrantClient.batch_update_points", lambda *_, **__: None)
        monkeypatch.setattr("qdrant_client.QdrantClient.upsert", forgetful)
    with (
        pytest.raises(GenerationDamaged, match=point_id(1)),
        store.write("g2", DIMENSIONS, "g1") as writer,
    ):
        if copied_before:
            writer.upsert([])
        writer.set_payload({point_id(1): {"locations": [location(7)]}})
        writer.seal(manifest("g2", 5))
    assert store.generations() == ["g1"]


def test_a_point_written_twice_is_sealed_as_written_last(store: VectorStore) -> None:
    with store.write("g1", DIMENSIONS, None) as writer:
        writer.upsert([point(1), point(2), point(3)])
        writer.upsert([point(2, version=1), point(4)])
        writer.set_payload({point_id(4): {"locations": [location(9)]}})
        writer.set_payload({point_id(4): {"locations": [location(8)]}})
        writer.delete([point_id(3), point_id(77)])
        writer.upsert([point(3, version=2)])
        writer.delete([point_id(1)])
        writer.seal(manifest("g1", 3))
    assert store.verify("g1")


# What was sealed is compared again


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_after_sealing_is_found(store: VectorStore, kind: str) -> None:
    stage(store, "g1", [point(n, text=f"text {n}") for n in range(40)])
    assert store.verify("g1")
    damage(store, "g1", kind)
    with pytest.raises(GenerationDamaged, match="g1 is damaged"):
        store.verify("g1")


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_base_is_not_copied_and_is_marked(store: VectorStore, kind: str) -> None:
    stage(store, "g1", [point(n, text=f"text {n}") for n in range(40)])
    damage(store, "g1", kind)
    with (
        pytest.raises(GenerationDamaged, match="g1 is damaged"),
        store.write("g2", DIMENSIONS, "g1") as writer,
    ):
        writer.seal(manifest("g2", 40))
    assert store.generations() == ["g1"]
    marked = store.manifest("g1")
    assert marked is not None
    assert "g1 is damaged" in marked.damaged


def test_a_damaged_base_is_found_even_if_the_damaged_points_are_deleted(store: VectorStore) -> None:
    stage(store, "g1", [point(n, text=f"text {n}") for n in range(40)])
    damage(store, "g1", "a text emptied")
    with (
        pytest.raises(GenerationDamaged, match="g1 is damaged"),
        store.write("g2", DIMENSIONS, "g1") as writer,
    ):
        writer.delete([point_id(n) for n in range(40)])
        writer.upsert([point(50)])
    assert store.generations() == ["g1"]


def test_a_generation_built_on_another_is_verified_by_its_own_record(store: VectorStore) -> None:
    stage(store, "g1", [point(n) for n in range(40)])
    with store.write("g2", DIMENSIONS, "g1") as writer:
        writer.delete([point_id(1), point_id(2)])
        writer.upsert([point(50), point(3, version=1)])
        writer.set_payload({point_id(4): {"locations": [location(9)]}})
        writer.seal(manifest("g2", 39))
    assert store.verify("g2", depth="every point")
    assert store.verify("g1", depth="quick")


def test_a_generation_marked_as_damaged_is_never_promoted(store: VectorStore) -> None:
    sealed = stage(store, "g1", [point(1)])
    store.mark_damaged("g1", "its disk failed")
    store.mark_damaged("missing", "its disk failed")
    assert store.manifest("g1") == replace(sealed, damaged="its disk failed")
    with pytest.raises(GenerationDamaged, match="its disk failed"):
        store.promote("g1", None)
    assert store.production_state() == ProductionState()


def test_a_generation_that_does_not_exist_is_not_verified(store: VectorStore) -> None:
    with pytest.raises(GenerationDamaged, match="does not exist"):
        store.verify("g1")


def test_of_a_large_generation_on_a_server_a_sample_and_the_added_points_are_compared(
    in_memory: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal_comparison, "COMPARED_IN_FULL", 100)
    monkeypatch.setattr(seal_comparison, "SAMPLE", 30)
    store = in_memory.open()
    stage(store, "g1", [point(n, text=f"text {n}", refresh_id="r0") for n in range(150)])
    with store.write("g2", DIMENSIONS, "g1") as writer:
        writer.upsert([point(n, text=f"text {n}", refresh_id="r1") for n in (200, 201)])
        writer.seal(manifest("g2", 152))
    assert all(store.verify("g2") for _ in range(5))
    reader = store.read("g2")
    added = reader.retrieve([point_id(200)], with_vectors=True)
    reader.close()
    overwrite(store, "g2", [replace(added[0], vector=unit_vector(5))])
    with pytest.raises(GenerationDamaged, match=r"added by its refresh|compared point"):
        store.verify("g2")
    damage(store, "g1", "40 % of the vectors randomized")
    with pytest.raises(GenerationDamaged, match=r"of (3|4)\d compared points"):
        store.verify("g1")
