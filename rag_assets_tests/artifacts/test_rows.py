from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_assets.artifacts.parquet_artifact import Artifact, Header
from rag_assets.artifacts.rows import (
    change_from_row,
    change_row,
    changes_schema,
    chunk_from_row,
    chunk_row,
    chunks_schema,
    document_from_row,
    document_row,
    documents_schema,
    embeddings_schema,
    queries_schema,
    query_row,
    read_vectors,
    repeated_text_hashes,
    report_details,
    report_from,
    write_vectors,
)
from rag_assets.artifacts.store import ArtifactStore
from rag_assets.changes.change_set import Change, DocumentChange
from rag_assets.document_metadata.values import Metadata
from rag_assets.evaluation.report import EvalReport, QueryResult, Scores
from rag_assets.evaluation.report_checks import report_digest
from rag_assets.evaluation.retrieval_metrics import METRICS
from rag_assets.records import Chunk, DocumentState, Location
from rag_assets_tests.documents import chunks_of, corpus, hashed, vector_of

HEADER = Header("20260101T000000-a", None, {})


def stored(
    store: ArtifactStore, schema: pa.Schema, rows: Iterable[Mapping[str, Any]], **details: Any
) -> Artifact:
    with store.write("rows", "run", schema, HEADER) as (writer, found):
        for row in rows:
            writer.write(row)
        found.update(details)
    return store.find("rows", ["run"])


# Extracted text is normalized, and ids are valid UTF-8: no lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
locations = st.builds(
    Location,
    document_id=texts,
    source=texts,
    source_uri=texts,
    path=texts,
    filename=texts,
    title=texts,
    modified_at=st.none() | texts,
    access=st.none() | st.lists(texts, max_size=3).map(tuple),
    metadata=st.dictionaries(
        texts, texts | st.integers() | st.booleans() | st.lists(texts, max_size=2).map(tuple), max_size=3
    ).map(Metadata.of),
)
documents = st.builds(DocumentState, locations, st.none() | texts, texts, texts)
document_changes = st.builds(
    DocumentChange,
    st.sampled_from(Change),
    locations,
    st.none() | texts,
    st.none() | texts,
    st.none() | texts,
    texts,
    texts,
    st.none() | texts,
)
small = st.integers(0, 2**31 - 1)
chunks = st.builds(
    Chunk,
    content_hash=texts,
    chunk_index=small,
    total_chunks=small,
    start=st.integers(0, 2**63 - 1),
    end=st.integers(0, 2**63 - 1),
    token_count=small,
    heading_path=st.lists(texts, max_size=3).map(tuple),
    text=texts,
    text_hash=texts,
    flags=st.lists(texts, max_size=2).map(tuple),
)
relaxed = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@relaxed
@given(st.lists(documents, max_size=5))
def test_documents_survive_the_round_trip(store: ArtifactStore, states: list[DocumentState]) -> None:
    artifact = stored(store, documents_schema(), map(document_row, states))
    assert [document_from_row(row) for row in artifact.rows()] == states


@relaxed
@given(st.lists(document_changes, max_size=5))
def test_changes_survive_the_round_trip(store: ArtifactStore, changes: list[DocumentChange]) -> None:
    artifact = stored(store, changes_schema(), map(change_row, changes))
    assert [change_from_row(row) for row in artifact.rows()] == changes


def test_rows_of_an_earlier_version_have_no_metadata(store: ArtifactStore) -> None:
    states = corpus({"a.md": "1"})
    index = documents_schema().get_field_index("metadata")
    artifact = stored(store, documents_schema().remove(index), map(document_row, states))
    assert [document_from_row(row) for row in artifact.rows()] == states


@relaxed
@given(st.lists(chunks, max_size=5))
def test_chunks_survive_the_round_trip(store: ArtifactStore, given_chunks: list[Chunk]) -> None:
    artifact = stored(store, chunks_schema(), map(chunk_row, given_chunks))
    assert [chunk_from_row(row) for row in artifact.rows()] == given_chunks


@pytest.mark.parametrize("count", [0, 1, 1024, 2500])
def test_vectors_come_back_bit_for_bit_and_in_order(store: ArtifactStore, count: int) -> None:
    sent = [(hashed(str(number)), vector_of(str(number))) for number in range(count)]
    with store.write("embeddings", "run", embeddings_schema(8), HEADER) as (writer, _):
        write_vectors(writer, iter(sent), 8)
    assert writer.num_rows == count
    found = list(read_vectors(store.find("embeddings", ["run"])))
    assert [text_hash for text_hash, _ in found] == [text_hash for text_hash, _ in sent]
    assert all(
        vector.dtype == np.float32 and vector.tobytes() == expected.tobytes()
        for (_, vector), (_, expected) in zip(found, sent, strict=True)
    )


def test_vectors_of_another_dimension_are_not_written(store: ArtifactStore) -> None:
    wrong = [(hashed(str(number)), vector_of(str(number), 4)) for number in range(2)]
    with (
        pytest.raises(pa.ArrowInvalid),
        store.write("embeddings", "run", embeddings_schema(8), HEADER) as (writer, _),
    ):
        write_vectors(writer, wrong, 8)


def test_only_texts_of_several_chunks_are_repeated(store: ArtifactStore) -> None:
    found = [chunk for text in ("a\nb\n", "b\nc\n", "d\n", "d\nd\n") for chunk in chunks_of(text)]
    artifact = stored(store, chunks_schema(), map(chunk_row, found))
    assert repeated_text_hashes(artifact) == {hashed("b\n"), hashed("d\n")}
    assert repeated_text_hashes(stored(store, chunks_schema(), [])) == set()


def report(**fields: Any) -> EvalReport:
    scores = Scores(dict.fromkeys(METRICS, 1 / 3), 0.01, 0.001, 0.002, 0.003)
    query = QueryResult("Wie groß?", ("a", "b"), ("x",), dict.fromkeys(METRICS, 0.63), 0.004, ("b",))
    values: dict[str, Any] = {
        "generation": "g1",
        "digest": "ab",
        "points_count": 3,
        "verdict_configuration": {"benchmark": "cd", "eval_threshold": 0.75},
        "scores": scores,
        "production_scores": scores,
        "queries": (query, query),
        "problems": ("one",),
        "notes": ("two", "three"),
    }
    return EvalReport(**(values | fields))


@pytest.mark.parametrize(
    "sent",
    [report(), report(scores=None, production_scores=None, queries=(), problems=(), notes=())],
    ids=["full", "empty"],
)
def test_a_report_survives_the_round_trip(store: ArtifactStore, sent: EvalReport) -> None:
    artifact = stored(store, queries_schema(), map(query_row, sent.queries), report=report_details(sent))
    assert report_from(artifact) == sent
    assert report_digest(report_from(artifact)) == report_digest(sent)
