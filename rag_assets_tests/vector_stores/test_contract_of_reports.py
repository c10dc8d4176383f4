"""The contract of every store: the digest of the report of a generation, beside its seal."""

from rag_assets_tests.vector_stores.conftest import Backend
from rag_assets_tests.vector_stores.samples import everything, point, stage


def test_the_digest_of_the_last_report_is_kept_beside_the_seal(backend: Backend) -> None:
    store = backend.open()
    sealed = stage(store, "g1", [point(1)])
    points = everything(store, "g1")
    assert store.report_digest("g1") is None
    for digest in ("ab" * 32, "cd" * 32, "cd" * 32):
        store.record_report("g1", digest)
        assert backend.open().report_digest("g1") == digest
    assert store.manifest("g1") == sealed
    assert everything(store, "g1").keys() == points.keys()
    store.promote("g1", None)
    assert store.report_digest("g1") == "cd" * 32


def test_a_rejection_keeps_the_digest_of_the_report(backend: Backend) -> None:
    store = backend.open()
    stage(store, "g1", [point(1)])
    store.record_report("g1", "ab" * 32)
    store.reject("g1", "too low")
    assert store.report_digest("g1") == "ab" * 32
    found = store.manifest("g1")
    assert found is not None
    assert found.rejected == "too low"


def test_without_a_sealed_generation_nothing_is_recorded(backend: Backend) -> None:
    store = backend.open()
    store.record_report("g1", "ab" * 32)
    assert store.report_digest("g1") is None
    stage(store, "g1", [point(1)])
    store.record_report("g1", "ab" * 32)
    store.discard("g1")
    assert store.report_digest("g1") is None
    assert store.generations() == []
    assert store.manifest("g1") is None
