from pathlib import Path

import pytest

from rag_assets.fingerprint import point_id
from rag_assets.generations.contents import production_documents, text_from_points
from rag_assets.ledgers.sqlite import SqliteLedger
from rag_assets.records import Payload, Point
from rag_assets_tests.documents import FINGERPRINT_HASH, document, hashed, sparse_of, stage, vector_of
from rag_assets_tests.generations.samples import DOCUMENTS, SECOND_POINT, TEXTS, store_reader
from rag_assets_tests.in_memory_vector_store import InMemoryVectorStore


def test_documents_are_read_from_the_points_if_the_ledger_was_flushed(
    store: InMemoryVectorStore, tmp_path: Path
) -> None:
    documents = [
        document("a", TEXTS[0], title="A", access=("hr",)),
        document("b", TEXTS[0]),
        document("c", TEXTS[1], modified_at=None),
    ]
    stage(store, "g1", documents, TEXTS)
    ledger = SqliteLedger(tmp_path / "ledger.sqlite", "kb")
    assert production_documents(store, ledger, "g1") == documents
    assert ledger.documents("g1") == documents
    # From now on the ledger answers, without reading the store.
    store.vanish("g1")
    assert production_documents(store, ledger, "g1") == documents
    assert production_documents(store, ledger, None) == []
    assert store.open_readers == []


def test_a_text_is_rebuilt_from_overlapping_chunks(store: InMemoryVectorStore) -> None:
    text = "the quick brown fox jumps over the lazy dog"
    stage(store, "g1", [document("a", TEXTS[0])], TEXTS)
    overlapping = [(0, 19), (10, 30), (20, 43)]
    for index, (start, end) in enumerate(overlapping):
        identity = point_id(FINGERPRINT_HASH, hashed(text), index)
        payload: Payload = {
            "content_hash": hashed(text),
            "chunk_index": index,
            "total_chunks": 3,
            "start": start,
            "text": text[start:end],
        }
        store.points["g1"][identity] = Point(identity, payload, vector_of("x"), sparse_of("x"))
    with store_reader(store, "g1") as reader:
        assert text_from_points(reader, FINGERPRINT_HASH, hashed(text)) == text
        assert text_from_points(reader, FINGERPRINT_HASH, hashed(TEXTS[0])) == TEXTS[0]


@pytest.mark.parametrize("damage", ["never held", "a chunk lost", "a chunk changed"])
def test_a_rebuilt_text_with_a_wrong_hash_is_not_returned(store: InMemoryVectorStore, damage: str) -> None:
    stage(store, "g1", DOCUMENTS, TEXTS)
    if damage == "a chunk lost":
        del store.points["g1"][SECOND_POINT]
    if damage == "a chunk changed":
        store.points["g1"][SECOND_POINT].payload["text"] = "alpha 2wo\n"
    wanted = "never seen" if damage == "never held" else TEXTS[0]
    with store_reader(store, "g1") as reader:
        assert text_from_points(reader, FINGERPRINT_HASH, hashed(wanted)) is None
