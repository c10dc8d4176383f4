import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_assets.changes.change_set import decide_changes, target_documents
from rag_assets.changes.content_changes import content_changes
from rag_assets.errors import RefusedError, StaleInputError, VectorStoreUnavailable
from rag_assets.fingerprint import point_id
from rag_assets.generations.contents import production_documents, text_from_points
from rag_assets.generations.digest import UNHASHED_FIELDS, digest_of, digest_to_hex, point_hash, vector_hash
from rag_assets.generations.retention import sweep
from rag_assets.generations.staging import join_vectors
from rag_assets.generations.verification import check_every_point, verify_generation
from rag_assets.ledgers.sqlite import SqliteLedger
from rag_assets.records import Payload, Point, ProductionState, SparseVector
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets_tests.documents import (
    FINGERPRINT_HASH,
    OTHER_FINGERPRINT,
    chunks_of,
    corpus,
    document,
    hashed,
    place,
    sparse_of,
    stage,
    vector_of,
)
from rag_assets_tests.in_memory_vector_store import InMemoryVectorStore

TEXTS = ["alpha one\nalpha two\n", "beta\n", "gamma one\nbeta\ngamma three\n", "delta\nalpha one\n"]
ALL = frozenset({"filesystem"})


def contents_of(store: VectorStore, generation: str) -> dict[str, tuple[Payload, list[float], SparseVector]]:
    """Everything that must not depend on how a generation came to be."""
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


# Staging

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
            verify_generation(
                reader, manifest, fingerprint_hash=FINGERPRINT_HASH, contents=content_changes((), held)
            )
            ledger_less = {
                location["document_id"]: point.payload["content_hash"]
                for batch in reader.scroll()
                for point in batch
                for location in point.payload["locations"]
            }
        assert ledger_less == {state.document_id: state.content_hash for state in held}


class store_reader:  # noqa: N801 - reads as a function
    """Closes the reader at the end of the block."""

    def __init__(self, store: VectorStore, generation: str) -> None:
        self._reader = store.read(generation)

    def __enter__(self) -> Any:
        return self._reader

    def __exit__(self, *_: object) -> None:
        self._reader.close()


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


def test_progress_tells_of_every_kind_of_change(progress_lines: list[str]) -> None:
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
    from rag_assets.generations.staging import Staging
    from rag_assets_tests.documents import FINGERPRINT

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


def test_a_base_that_lacks_points_is_not_built_upon() -> None:
    store = InMemoryVectorStore()
    before = corpus({"a": TEXTS[0], "b": TEXTS[1]})
    first = stage(store, "g1", before, TEXTS)
    store.points["g1"].pop(point_id(FINGERPRINT_HASH, hashed(TEXTS[0]), 1))
    with pytest.raises(VectorStoreUnavailable, match=r"lacks points .*\(1 of 2\)"):
        stage(store, "g2", before[1:], TEXTS, base=first.manifest, held=before)


def test_the_candidate_names_what_it_was_built_for() -> None:
    store = InMemoryVectorStore()
    manifest = stage(
        store, "g2", corpus({"a": TEXTS[0]}), TEXTS, expected_production="g1", fingerprint=OTHER_FINGERPRINT
    ).manifest
    assert (manifest.base, manifest.fingerprint) == ("g1", OTHER_FINGERPRINT)
    assert (manifest.points_count, manifest.documents_count) == (2, 1)
    assert store.manifest("g2") == manifest


# The digest


def test_a_point_counts_with_its_id_and_every_field_but_two() -> None:
    payload: Payload = {"text": "t", "locations": [{"path": "a"}], "indexed_at": "now", "refresh_id": "r"}
    same = payload | {"indexed_at": "later", "refresh_id": "other"}
    assert point_hash("id", payload) == point_hash("id", same)
    others = [("other", payload), ("id", payload | {"text": "u"}), ("id", payload | {"locations": []})]
    assert point_hash("id", payload) not in {point_hash(*other) for other in others}


def test_the_digest_is_a_sum_so_that_order_and_way_do_not_matter() -> None:
    points = [Point(str(number), {"text": str(number)}) for number in range(5)]
    whole = digest_of(points)
    assert digest_to_hex(whole) == digest_to_hex(digest_of(reversed(points)))
    assert digest_to_hex(whole - digest_of(points[:2])) == digest_to_hex(digest_of(points[2:]))
    assert digest_to_hex(digest_of(points[:1]) - whole) == digest_to_hex(-digest_of(points[1:]))
    assert len(digest_to_hex(0)) == 64


def test_the_hash_of_vectors_sees_each_bit_of_each_of_them() -> None:
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


# Verification


@pytest.fixture
def store() -> InMemoryVectorStore:
    return InMemoryVectorStore()


DOCUMENTS = corpus({"a": TEXTS[0], "b": TEXTS[1]})
FIRST_POINT = point_id(FINGERPRINT_HASH, hashed(TEXTS[0]), 0)
SECOND_POINT = point_id(FINGERPRINT_HASH, hashed(TEXTS[0]), 1)


def spoil(point: Point, **payload: Any) -> Point:
    return replace(point, payload=point.payload | payload)


DAMAGE: dict[str, tuple[Callable[[Point], Point], str]] = {
    "content": (lambda p: spoil(p, content_hash=hashed("x")), "id that does not follow"),
    "place": (lambda p: spoil(p, locations=[place("z").to_payload()]), "not where it should be"),
    "no vector": (lambda p: replace(p, vector=None), "damaged vector"),
    "NaN": (lambda p: replace(p, vector=np.full(8, np.nan, np.float32)), "damaged vector"),
    "length": (lambda p: replace(p, vector=np.ones(8, np.float32)), "damaged vector"),
    "empty payload": (lambda p: replace(p, payload={}), "lacks fields"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_point_in_the_sample_stops_the_candidate(store: InMemoryVectorStore, kind: str) -> None:
    damage, message = DAMAGE[kind]
    manifest = stage(store, "g1", DOCUMENTS, TEXTS).manifest
    store.points["g1"][FIRST_POINT] = damage(store.points["g1"][FIRST_POINT])
    with pytest.raises(VectorStoreUnavailable, match=message), store_reader(store, "g1") as reader:
        verify_generation(
            reader, manifest, fingerprint_hash=FINGERPRINT_HASH, contents=content_changes((), DOCUMENTS)
        )


def test_a_candidate_with_another_number_of_points_is_stopped(store: InMemoryVectorStore) -> None:
    manifest = stage(store, "g1", DOCUMENTS, TEXTS).manifest
    del store.points["g1"][SECOND_POINT]
    with (
        pytest.raises(VectorStoreUnavailable, match="holds 2 points, sealed were 3"),
        store_reader(store, "g1") as reader,
    ):
        verify_generation(
            reader, manifest, fingerprint_hash=FINGERPRINT_HASH, contents=content_changes((), DOCUMENTS)
        )


def test_the_deep_check_finds_what_a_sample_cannot(store: InMemoryVectorStore) -> None:
    manifest = stage(store, "g1", DOCUMENTS, TEXTS).manifest
    sound = store.points["g1"][SECOND_POINT]

    def problems(point: Point) -> str:
        store.points["g1"][SECOND_POINT] = point
        return " | ".join(check_every_point(store, manifest, FINGERPRINT_HASH).problems)

    assert problems(sound) == ""
    assert "digest" in problems(spoil(sound, text="tampered"))
    assert "another vector" in problems(replace(sound, vector=vector_of("other")))
    assert "another vector" in problems(replace(sound, sparse=sparse_of("other")))
    assert "lacks fields" in problems(replace(sound, payload={}))
    assert "id that does not follow" in problems(spoil(sound, chunk_index=5))
    del store.points["g1"][SECOND_POINT]
    assert "holds 2 points, sealed were 3" in " ".join(
        check_every_point(store, manifest, FINGERPRINT_HASH).problems
    )
    assert store.open_readers == []


# What production holds


def test_a_flushed_ledger_loses_no_document(store: InMemoryVectorStore, tmp_path: Path) -> None:
    documents = [
        document("a", TEXTS[0], title="A", access=("hr",)),
        document("b", TEXTS[0]),
        document("c", TEXTS[1], modified_at=None),
    ]
    stage(store, "g1", documents, TEXTS)
    ledger = SqliteLedger(tmp_path / "ledger.sqlite", "kb")
    assert production_documents(store, ledger, "g1") == documents
    assert ledger.documents("g1") == documents
    # From now on the ledger answers, without a look at the store.
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
def test_a_text_that_cannot_be_proved_is_not_given_out(store: InMemoryVectorStore, damage: str) -> None:
    stage(store, "g1", DOCUMENTS, TEXTS)
    if damage == "a chunk lost":
        del store.points["g1"][SECOND_POINT]
    if damage == "a chunk changed":
        store.points["g1"][SECOND_POINT].payload["text"] = "alpha 2wo\n"
    wanted = "never seen" if damage == "never held" else TEXTS[0]
    with store_reader(store, "g1") as reader:
        assert text_from_points(reader, FINGERPRINT_HASH, hashed(wanted)) is None


# Vectors to chunks


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


# Sweeping


def test_only_what_serves_served_is_held_or_named_outlives_a_sweep(store: InMemoryVectorStore) -> None:
    for name in ("g1", "g2", "g3", "g4", "dead"):
        stage(store, name, DOCUMENTS, TEXTS)
    store.state = ProductionState("g2", previous="g1", held="g3")
    assert sweep(store, ["g4"]) == ["dead"]
    assert store.generations() == ["g1", "g2", "g3", "g4"]


def test_a_generation_that_cannot_be_discarded_does_not_stop_the_sweep(
    store: InMemoryVectorStore, caplog: pytest.LogCaptureFixture
) -> None:
    class Stubborn(InMemoryVectorStore):
        def discard(self, generation: str) -> None:
            if generation == "dead-1":
                raise RefusedError("it became production this moment")
            super().discard(generation)

    stubborn = Stubborn()
    for name in ("dead-1", "dead-2"):
        stage(stubborn, name, DOCUMENTS, TEXTS)
    with caplog.at_level(logging.WARNING):
        assert sweep(stubborn, ()) == ["dead-2"]
    assert "could not discard generation dead-1" in caplog.text
