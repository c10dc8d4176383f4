from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rag_assets.changes.content_changes import content_changes
from rag_assets.errors import GenerationDamaged
from rag_assets.generations.verification import check_every_point, verify_documents
from rag_assets.records import Point
from rag_assets_tests.documents import FINGERPRINT_HASH, hashed, place, sparse_of, stage, vector_of
from rag_assets_tests.generations.samples import DOCUMENTS, FIRST_POINT, SECOND_POINT, TEXTS, store_reader
from rag_assets_tests.in_memory_vector_store import InMemoryVectorStore


def spoil(point: Point, **payload: Any) -> Point:
    return replace(point, payload=point.payload | payload)


DAMAGE: dict[str, tuple[Callable[[Point], Point], str]] = {
    "content": (lambda p: spoil(p, content_hash=hashed("x")), "id that does not match"),
    "place": (lambda p: spoil(p, locations=[place("z").to_payload()]), "wrong locations"),
    "no vector": (lambda p: replace(p, vector=None), "damaged vector"),
    "NaN": (lambda p: replace(p, vector=np.full(8, np.nan, np.float32)), "damaged vector"),
    "length": (lambda p: replace(p, vector=np.ones(8, np.float32)), "damaged vector"),
    "empty payload": (lambda p: replace(p, payload={}), "lacks fields"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_point_in_the_sample_is_refused(store: InMemoryVectorStore, kind: str) -> None:
    damage, message = DAMAGE[kind]
    manifest = stage(store, "g1", DOCUMENTS, TEXTS).manifest
    store.points["g1"][FIRST_POINT] = damage(store.points["g1"][FIRST_POINT])
    with pytest.raises(GenerationDamaged, match=message), store_reader(store, "g1") as reader:
        verify_documents(reader, manifest, content_changes((), DOCUMENTS))


def test_a_candidate_with_a_different_number_of_points_is_refused(store: InMemoryVectorStore) -> None:
    manifest = stage(store, "g1", DOCUMENTS, TEXTS).manifest
    del store.points["g1"][SECOND_POINT]
    with (
        pytest.raises(GenerationDamaged, match="holds 2 points instead of the sealed 3"),
        store_reader(store, "g1") as reader,
    ):
        verify_documents(reader, manifest, content_changes((), DOCUMENTS))


def test_the_deep_check_finds_damage_in_every_point(store: InMemoryVectorStore) -> None:
    manifest = stage(store, "g1", DOCUMENTS, TEXTS).manifest
    sound = store.points["g1"][SECOND_POINT]

    def problems(point: Point) -> str:
        store.points["g1"][SECOND_POINT] = point
        return " | ".join(check_every_point(store, manifest, FINGERPRINT_HASH).problems)

    assert problems(sound) == ""
    assert "digest" in problems(spoil(sound, text="tampered"))
    assert "different vector" in problems(replace(sound, vector=vector_of("other")))
    assert "different vector" in problems(replace(sound, sparse=sparse_of("other")))
    assert "lacks fields" in problems(replace(sound, payload={}))
    assert "id that does not match" in problems(spoil(sound, chunk_index=5))
    del store.points["g1"][SECOND_POINT]
    assert "holds 2 points instead of the sealed 3" in " ".join(
        check_every_point(store, manifest, FINGERPRINT_HASH).problems
    )
    assert store.open_readers == []
