"""The typed rows of each artifact: Parquet schemas, and the conversion of records to rows and back."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_assets.artifacts.parquet_artifact import Artifact, ArtifactWriter
from rag_assets.backports import batched
from rag_assets.changes.change_set import Change, DocumentChange
from rag_assets.errors import StateFormatError
from rag_assets.evaluation.report import Answer, EvalReport, EvaluationCost, ListScores, QueryResult, Scores
from rag_assets.evaluation.retrieval_metrics import METRICS
from rag_assets.records import Chunk, DocumentState, Location, Vector

if TYPE_CHECKING:
    import pyarrow as pa

_VECTOR_BATCH = 1024
_LISTS = ("dense", "keyword", "production", "production_dense", "production_keyword", "anchor")
"""Compared lists, as prefixes of columns."""
_LIST_METRICS = ("recall_at_5", "mrr")


def _location_fields() -> "list[pa.Field]":
    import pyarrow as pa

    text = ("document_id", "source", "source_uri", "path", "filename", "title", "modified_at")
    return [
        *(pa.field(name, pa.string()) for name in text),
        pa.field("access", pa.list_(pa.string())),
        pa.field("metadata", pa.string()),  # as JSON: the keys differ by document
    ]


def documents_schema() -> "pa.Schema":
    import pyarrow as pa

    own = ("content_hash", "quarantine_reason", "quarantine_detail")
    return pa.schema([*_location_fields(), *(pa.field(name, pa.string()) for name in own)])


def changes_schema() -> "pa.Schema":
    import pyarrow as pa

    own = (
        "change",
        "content_hash",
        "previous_content_hash",
        "moved_from",
        "quarantine_reason",
        "quarantine_detail",
        "near_duplicate_of",
    )
    return pa.schema([*_location_fields(), *(pa.field(name, pa.string()) for name in own)])


def chunks_schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(
        [
            ("content_hash", pa.string()),
            ("chunk_index", pa.int32()),
            ("total_chunks", pa.int32()),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("token_count", pa.int32()),
            ("heading_path", pa.list_(pa.string())),
            ("text", pa.large_string()),
            ("text_hash", pa.string()),
            ("flags", pa.list_(pa.string())),
        ]
    )


def embeddings_schema(dimensions: int) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([("text_hash", pa.string()), ("vector", pa.list_(pa.float32(), dimensions))])


def queries_schema() -> "pa.Schema":
    import pyarrow as pa

    strings = pa.list_(pa.string())
    return pa.schema(
        [
            ("query", pa.string()),
            ("expected_docs", strings),
            ("retrieved", strings),
            *((metric, pa.float64()) for metric in METRICS),
            ("latency_seconds", pa.float64()),
            ("missing_docs", strings),
            *((f"{part}_{metric}", pa.float64()) for part in _LISTS for metric in _LIST_METRICS),
            ("slices", strings),
            ("is_set_apart", pa.bool_()),
        ]
    )


def _location_row(location: Location) -> dict[str, Any]:
    row = location.to_payload()
    if "metadata" in row:
        row["metadata"] = json.dumps(row["metadata"], ensure_ascii=False)
    return row


def location_from_row(row: Mapping[str, Any]) -> Location:
    """Return the location of a row of documents or changes."""
    stored = row.get("metadata")  # artifacts of an earlier version lack the column
    return Location.from_payload({**row, "metadata": json.loads(stored) if stored else None})


def document_row(state: DocumentState) -> dict[str, Any]:
    return _location_row(state.location) | {
        "content_hash": state.content_hash,
        "quarantine_reason": state.quarantine_reason,
        "quarantine_detail": state.quarantine_detail,
    }


def document_from_row(row: Mapping[str, Any]) -> DocumentState:
    return DocumentState(
        location_from_row(row), row["content_hash"], row["quarantine_reason"], row["quarantine_detail"]
    )


def change_row(change: DocumentChange) -> dict[str, Any]:
    return _location_row(change.location) | {
        "change": change.change.value,
        "content_hash": change.content_hash,
        "previous_content_hash": change.previous_content_hash,
        "moved_from": change.moved_from,
        "quarantine_reason": change.quarantine_reason,
        "quarantine_detail": change.quarantine_detail,
        "near_duplicate_of": change.near_duplicate_of,
    }


def change_from_row(row: Mapping[str, Any]) -> DocumentChange:
    return DocumentChange(
        change=Change(row["change"]),
        location=location_from_row(row),
        content_hash=row["content_hash"],
        previous_content_hash=row["previous_content_hash"],
        moved_from=row["moved_from"],
        quarantine_reason=row["quarantine_reason"],
        quarantine_detail=row["quarantine_detail"],
        near_duplicate_of=row.get("near_duplicate_of"),  # artifacts of an earlier version lack the column
    )


def chunk_row(chunk: Chunk) -> dict[str, Any]:
    return asdict(chunk)


def chunk_from_row(row: Mapping[str, Any]) -> Chunk:
    values: dict[str, Any] = {**row, "heading_path": tuple(row["heading_path"]), "flags": tuple(row["flags"])}
    return Chunk(**values)


def write_vectors(writer: ArtifactWriter, vectors: Iterable[tuple[str, Vector]], dimensions: int) -> None:
    """Write (text hash, vector) pairs as columns, a bounded number at a time."""
    import pyarrow as pa

    for batch in batched(vectors, _VECTOR_BATCH):
        flat = np.concatenate([vector for _, vector in batch])
        columns = [
            pa.array([text_hash for text_hash, _ in batch], pa.string()),
            pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), dimensions),
        ]
        writer.write_table(pa.Table.from_arrays(columns, schema=embeddings_schema(dimensions)))


def read_vectors(artifact: Artifact) -> Iterator[tuple[str, Vector]]:
    """Yield (text hash, vector), float32 (dim,), in the order of writing."""
    for batch in artifact.batches():
        hashes = batch.column("text_hash").to_pylist()
        flat = batch.column("vector").flatten().to_numpy()
        yield from zip(hashes, flat.reshape(len(hashes), -1), strict=True)


def repeated_text_hashes(chunks: Artifact) -> set[str]:
    """Return the hashes of texts that several chunks share."""
    # Not by Arrow's `value_counts`: importing its compute functions takes longer than embedding a small refresh.
    counts = Counter(row["text_hash"] for row in chunks.rows(["text_hash"]))
    return {text_hash for text_hash, count in counts.items() if count > 1}


def query_row(query: QueryResult) -> dict[str, Any]:
    production = query.production
    lists = {
        "dense": query.dense,
        "keyword": query.keyword,
        "production": production and production.fused,
        "production_dense": production and production.dense,
        "production_keyword": production and production.keyword,
        "anchor": query.anchor,
    }
    row = {key: value for key, value in asdict(query).items() if key not in lists}
    for part, scores in lists.items():
        row |= {f"{part}_{metric}": scores and getattr(scores, metric) for metric in _LIST_METRICS}
    return row | row.pop("metrics")


def report_details(report: EvalReport) -> dict[str, Any]:
    """Return a report without its questions, for JSON."""
    return {key: value for key, value in asdict(report).items() if key != "queries"}


def report_from(artifact: Artifact) -> EvalReport:
    """Read a report: the summary from the header, the questions from the rows.

    Raises:
        StateFormatError: it is damaged.
    """
    try:
        details = dict(artifact.details["report"])
        for key in ("scores", "production_scores"):
            details[key] = Scores(**details[key]) if details[key] is not None else None
        for key in ("problems", "notes"):
            details[key] = tuple(details[key])
        details["cost"] = EvaluationCost(**details.get("cost", {}))
        return EvalReport(**details, queries=tuple(_query_result(row) for row in artifact.rows()))
    except (KeyError, TypeError, ValueError):
        raise StateFormatError(
            f"{artifact.asset} of run {artifact.header.run_id} is damaged: materialize eval_report and everything after it"
        ) from None


def _query_result(row: dict[str, Any]) -> QueryResult:
    """Return a row as a record. Artifacts of an earlier version lack some columns."""
    dense, keyword, fused, production_dense, production_keyword, anchor = (
        _list_scores(row, part) for part in _LISTS
    )
    return QueryResult(
        query=row["query"],
        expected_docs=tuple(row["expected_docs"]),
        retrieved=tuple(row["retrieved"]),
        metrics={name: row[name] for name in METRICS if name in row},
        latency_seconds=row["latency_seconds"],
        missing_docs=tuple(row["missing_docs"]),
        dense=dense,
        keyword=keyword,
        production=Answer(fused, production_dense, production_keyword)
        if fused and production_dense and production_keyword
        else None,
        anchor=anchor,
        slices=tuple(row.get("slices", ())),
        is_set_apart=bool(row.get("is_set_apart")),
    )


def _list_scores(row: Mapping[str, Any], part: str) -> ListScores | None:
    recall, rank = (row.get(f"{part}_{metric}") for metric in _LIST_METRICS)
    return None if recall is None or rank is None else ListScores(recall, rank)
