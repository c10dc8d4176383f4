"""The contract of every store: records outlive generations and other changes."""

from pathlib import Path
from typing import get_args

import pytest

from rag_assets.errors import StateFormatError
from rag_assets.vector_stores.base import RecordKind, VectorStore
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets_tests.vector_stores.conftest import Backend
from rag_assets_tests.vector_stores.samples import point, stage

ONE, OTHER = "0a" * 32, "1b" * 32
KINDS: tuple[RecordKind, ...] = get_args(RecordKind)


@pytest.mark.parametrize("kind", KINDS)
def test_records_are_added_and_replaced_one_by_one(backend: Backend, kind: RecordKind) -> None:
    assert backend.open().records(kind) == {}
    backend.open().put_records(kind, {ONE: '{"reason": "a request, żółć 長"}'})
    backend.open().put_records(kind, {OTHER: "two"})
    backend.open().put_records(kind, {ONE: "one"})
    assert backend.open().records(kind) == {ONE: "one", OTHER: "two"}


def test_the_kinds_are_kept_apart(store: VectorStore) -> None:
    for kind in KINDS:
        store.put_records(kind, {ONE: kind})
    assert [store.records(kind) for kind in KINDS] == [{ONE: kind} for kind in KINDS]


def test_a_record_may_be_long(store: VectorStore) -> None:
    store.put_records("measured", {"best": "a" * 300_000, "production": "b" * 300_000})
    assert {key: len(text) for key, text in store.records("measured").items()} == {
        "best": 300_000,
        "production": 300_000,
    }


def test_a_record_of_a_new_store_gives_it_its_id(store: VectorStore) -> None:
    store.put_records("purged", {ONE: "one"})
    identity = store.knowledge_base_id()
    store.put_records("purged", {OTHER: "two"})
    assert store.knowledge_base_id() == identity
    assert store.records("purged").keys() == {ONE, OTHER}


def test_records_outlive_every_generation(backend: Backend) -> None:
    store = backend.open()
    store.put_records("purged", {ONE: "one"})
    store.put_records("measured", {"best": "two"})
    for name, before in (("g1", None), ("g2", "g1"), ("g3", "g2")):
        stage(store, name, [point(1)])
        store.promote(name, before, {"files": store.begin_reading()})
    store.discard("g1")
    store.rollback("g3")
    store.resume()
    assert backend.open().records("purged") == {ONE: "one"}
    assert backend.open().records("measured") == {"best": "two"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", ["{", '{"format_version": 1, "records": [1]}', '{"format_version": 2}'])
def test_damaged_records_are_an_error(tmp_path: Path, damage: str, kind: RecordKind) -> None:
    store = EmbeddedVectorStore(tmp_path, "kb")
    store.put_records(kind, {ONE: "one"})
    (store.folders.home / f"{kind}.json").write_text(damage)
    with pytest.raises(StateFormatError, match=rf"{kind}\.json"):
        store.records(kind)
