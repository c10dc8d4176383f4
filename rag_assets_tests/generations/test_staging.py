from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_assets.changes.change_set import decide_changes, target_documents
from rag_assets.changes.content_changes import content_changes
from rag_assets.errors import GenerationDamaged, StaleInputError
from rag_assets.fingerprint import point_id
from rag_assets.generations.digest import UNHASHED_FIELDS
from rag_assets.generations.staging import Staging, join_vectors
from rag_assets.generations.verification import check_every_point, verify_documents
from rag_assets.records import Payload, SparseVector
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets_tests.documents import (
    FINGERPRINT,
    FINGERPRINT_HASH,
    OTHER_FINGERPRINT,
    chunks_of,
    corpus,
    document,
    hashed,
    sparse_of,
    stage,
    vector_of,
)
from rag_assets_tests.generations.samples import TEXTS, store_reader
from rag_assets_tests.in_memory_vector_store import InMemoryVectorStore

ALL = frozenset({"filesystem"})


def contents_of(store: VectorStore, generation: str) -> dict[str, tuple[Payload, list[float], SparseVector]]:
    """Return everything independent of the way a generation was built."""
    reader = store.read(generation)
    found: dict[str, tuple[Payload, list[float], SparseVector]] = {}
    for batch in reader.scroll(with_vectors=True):
        for point in batch:
            payload = {key: value for key, value in point.payload.items() if key not in UNHASHED_FIELDS}
            assert point.vector is not None
            assert point.sparse is not None
            found[point.id] = (payload, point.vector.tolist(), point.sparse)
    reader.close()
    return found


corpora = st.dictionaries(
    st.sampled_from(["a", "b", "hr/c", "hr/d", "e"]), st.sampled_from(TEXTS), min_size=1, max_size=5
)


@settings(max_examples=60, deadline=None)
@given(st.lists(corpora, min_size=2, max_size=4), st.data())
def test_staging_step_by_step_equals_staging_from_nothing(
    history: list[dict[str, str]], data: st.DataObject
) -> None:
    store = InMemoryVectorStore()
    held = corpus(history[0])
    manifest = stage(store, "g0", held, TEXTS).manifest
    for number, texts in enumerate(history[1:], start=1):
        titles = st.sampled_from(["", "Handbook"])
        listed = [document(path, text, title=data.draw(titles)) for path, text in sorted(texts.items())]
        target = target_documents(decide_changes(held, listed, ALL))
        if not content_changes(held, target):
            continue
        staged = stage(store, f"g{number}", target, TEXTS, base=manifest, held=held)
        afresh = stage(store, f"afresh-{number}", target, TEXTS)
        assert contents_of(store, f"g{number}") == contents_of(store, f"afresh-{number}")
        assert staged.manifest.digest == afresh.manifest.digest
        assert staged.manifest.points_count == afresh.manifest.points_count
        held, manifest = target, staged.manifest
        assert check_every_point(store, manifest, FINGERPRINT_HASH).problems == ()
        with store_reader(store, manifest.generation) as reader:
            verify_documents(reader, manifest, content_changes((), held))
            ledger_less = {
                location["document_id"]: point.payload["content_hash"]
                for batch in reader.scroll()
                for point in batch
                for location in point.payload["locations"]
            }
        assert ledger_less == {state.document_id: state.content_hash for state in held}


@pytest.mark.slow
def test_staging_step_by_step_equals_staging_from_nothing_in_the_embedded_store(tmp_path: Path) -> None:
    store = EmbeddedVectorStore(tmp_path, "kb")
    before = [
        document("stays", TEXTS[0]),
        document("edited", TEXTS[1]),
        document("goes", TEXTS[2]),
        document("old place", TEXTS[3]),
    ]
    now = [
        document("stays", TEXTS[0], access=("hr",)),
        document("edited", "beta edited\n"),
        document("new place", TEXTS[3], title="Größe"),
        document("copy", TEXTS[0]),
    ]
    texts = [*TEXTS, "beta edited\n"]
    first = stage(store, "g1", before, texts)
    target = target_documents(decide_changes(before, now, ALL))
    second = stage(store, "g2", target, texts, base=first.manifest, held=before, expected_production="g1")
    afresh = stage(store, "g3", target, texts)
    assert contents_of(store, "g2") == contents_of(store, "g3")
    assert second.manifest.digest == afresh.manifest.digest != first.manifest.digest
    assert (second.num_points_added, second.num_points_deleted, second.num_points_relocated) == (1, 4, 4)
    assert second.manifest.base == "g1"
    assert check_every_point(store, second.manifest, FINGERPRINT_HASH).problems == ()


def test_points_of_unchanged_contents_are_not_written_again() -> None:
    store = InMemoryVectorStore()
    before = corpus({"a": TEXTS[0], "b": TEXTS[1]})
    first = stage(store, "g1", before, TEXTS)
    after = corpus({"a": TEXTS[0], "c": TEXTS[2]})
    stage(store, "g2", after, TEXTS, base=first.manifest, held=before)
    refreshes = {point.payload["text"]: point.payload["refresh_id"] for point in store.points["g2"].values()}
    assert refreshes["alpha one\n"] == "refresh-of-g1"
    assert refreshes["gamma one\n"] == "refresh-of-g2"


def test_progress_reports_every_kind_of_change(progress_lines: list[str]) -> None:
    store = InMemoryVectorStore()
    before = corpus({"a": TEXTS[0], "b": TEXTS[1]})
    first = stage(store, "g1", before, TEXTS)
    progress_lines.clear()
    after = corpus({"moved": TEXTS[0], "c": TEXTS[2]})
    second = stage(store, "g2", after, TEXTS, base=first.manifest, held=before)
    assert [line.split(",")[0] for line in progress_lines[:2]] == [
        "1 of 1 contents removed",
        "1 of 1 contents relocated",
    ]
    assert progress_lines[2].startswith(f"{second.num_points_added} points")
    progress_lines.clear()
    check_every_point(store, second.manifest, FINGERPRINT_HASH)
    assert progress_lines[-1].startswith(
        f"{second.manifest.points_count} of {second.manifest.points_count} points"
    )


@pytest.mark.parametrize("wrong", ["missing", "surplus"])
def test_chunks_that_do_not_fit_the_changes_are_refused_and_nothing_is_sealed(wrong: str) -> None:
    store = InMemoryVectorStore()
    documents = corpus({"a": TEXTS[0], "b": TEXTS[1]})
    texts = {"missing": TEXTS[:1], "surplus": TEXTS[:3]}[wrong]
    staging = Staging(
        store,
        generation="g1",
        refresh_id="r",
        fingerprint=FINGERPRINT,
        fingerprint_hash=FINGERPRINT_HASH,
        base=None,
        expected_production=None,
        encode_sparse=sparse_of,
    )
    chunks = [(chunk, vector_of(chunk.text)) for text in texts for chunk in chunks_of(text)]
    with pytest.raises(StaleInputError, match="materialize chunks and embeddings again"):
        staging.run(content_changes((), documents), chunks, documents=documents, total_chunks=3)
    assert store.generations() == []


def test_a_base_with_missing_points_is_refused() -> None:
    store = InMemoryVectorStore()
    before = corpus({"a": TEXTS[0], "b": TEXTS[1]})
    first = stage(store, "g1", before, TEXTS)
    store.points["g1"].pop(point_id(FINGERPRINT_HASH, hashed(TEXTS[0]), 1))
    with pytest.raises(GenerationDamaged, match=r"lacks 1 of 2 points"):
        stage(store, "g2", before[1:], TEXTS, base=first.manifest, held=before)


def test_the_manifest_names_base_and_fingerprint() -> None:
    store = InMemoryVectorStore()
    manifest = stage(
        store, "g2", corpus({"a": TEXTS[0]}), TEXTS, expected_production="g1", fingerprint=OTHER_FINGERPRINT
    ).manifest
    assert (manifest.base, manifest.fingerprint) == ("g1", OTHER_FINGERPRINT)
    assert (manifest.points_count, manifest.documents_count) == (2, 1)
    assert store.manifest("g2") == manifest


# Joining vectors to chunks


def test_each_chunk_gets_the_vector_of_its_text() -> None:
    chunks = [chunk for text in TEXTS for chunk in chunks_of(text)]
    distinct = dict.fromkeys(chunk.text for chunk in chunks)
    assert len(distinct) < len(chunks)
    vectors = [(hashed(text), vector_of(text)) for text in distinct]
    repeated = {chunk.text_hash for chunk in chunks if [c.text for c in chunks].count(chunk.text) > 1}
    joined = list(join_vectors(chunks, vectors, repeated))
    assert [chunk for chunk, _ in joined] == chunks
    assert all(np.array_equal(vector, vector_of(chunk.text)) for chunk, vector in joined)


@pytest.mark.parametrize("vectors", [[], [(hashed("other"), vector_of("other"))]], ids=["too few", "others"])
def test_vectors_of_other_chunks_are_refused(vectors: list[Any]) -> None:
    with pytest.raises(StaleInputError, match="embeddings do not belong to the chunks"):
        list(join_vectors(chunks_of(TEXTS[1]), vectors, set()))
