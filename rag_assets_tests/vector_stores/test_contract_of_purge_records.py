"""The contract of every store: records of purged documents outlive generations and other changes."""

from pathlib import Path

import pytest

from rag_assets.errors import StateFormatError
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets_tests.vector_stores.conftest import Backend
from rag_assets_tests.vector_stores.samples import point, stage

ONE, OTHER = "0a" * 32, "1b" * 32


def test_records_are_added_and_replaced_one_by_one(backend: Backend) -> None:
    assert backend.open().purge_records() == {}
    backend.open().put_purge_records({ONE: '{"reason": "a request, żółć 長"}'})
    backend.open().put_purge_records({OTHER: "two"})
    backend.open().put_purge_records({ONE: "one"})
    assert backend.open().purge_records() == {ONE: "one", OTHER: "two"}


def test_a_record_of_a_new_store_gives_it_its_id(store: VectorStore) -> None:
    store.put_purge_records({ONE: "one"})
    identity = store.knowledge_base_id()
    store.put_purge_records({OTHER: "two"})
    assert store.knowledge_base_id() == identity
    assert store.purge_records().keys() == {ONE, OTHER}


def test_records_outlive_every_generation(backend: Backend) -> None:
    store = backend.open()
    store.put_purge_records({ONE: "one"})
    for name, before in (("g1", None), ("g2", "g1"), ("g3", "g2")):
        stage(store, name, [point(1)])
        store.promote(name, before, {"files": store.begin_reading()})
    store.discard("g1")
    store.rollback("g3")
    store.resume()
    assert backend.open().purge_records() == {ONE: "one"}


@pytest.mark.parametrize("damage", ["{", '{"format_version": 1, "records": [1]}', '{"format_version": 2}'])
def test_damaged_records_are_an_error(tmp_path: Path, damage: str) -> None:
    store = EmbeddedVectorStore(tmp_path, "kb")
    store.put_purge_records({ONE: "one"})
    (store.folders.home / "purged.json").write_text(damage)
    with pytest.raises(StateFormatError, match=r"purged\.json"):
        store.purge_records()
