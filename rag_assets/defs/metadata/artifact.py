"""Metadata of the file of an asset: its place, its rows and its columns, under the keys that Dagster shows in places of its own."""

from typing import Any

import dagster as dg

from rag_assets.artifacts.parquet_artifact import Artifact
from rag_assets.evaluation.retrieval_metrics import METRICS

URI_KEY = "dagster/uri"
ROW_COUNT_KEY = "dagster/row_count"
COLUMN_SCHEMA_KEY = "dagster/column_schema"

_DESCRIPTIONS = dict.fromkeys(METRICS, "0 to 1, of this question") | {
    "document_id": "source and path, such as filesystem:hr/leave.md",
    "source": "name of the source",
    "source_uri": "address for people",
    "path": "path within the source",
    "filename": "last part of the path",
    "title": "from the document, its metadata or its source",
    "modified_at": "last change of the content, at the source",
    "access": "principals that may read the document",
    "metadata": "JSON object",
    "quarantine_reason": "empty for a document with usable text",
    "quarantine_detail": "the reason in words",
    "change": "decision of this refresh",
    "content_hash": "SHA-256 of the normalized text",
    "previous_content_hash": "content in production before",
    "moved_from": "id of the document before a move",
    "near_duplicate_of": "id of the document kept in its place",
    "chunk_index": "position of the chunk in its text, from 0",
    "total_chunks": "chunks of this text",
    "start": "offset of the first character in the text",
    "end": "offset after the last character",
    "token_count": "by the tokenizer of the model",
    "heading_path": "headings above the chunk, outermost first",
    "text": "the characters from start to end",
    "text_hash": "SHA-256 of the text of a chunk",
    "flags": "signs of instructions to a language model",
    "vector": "of unit length",
    "query": "question of the benchmark",
    "expected_docs": "documents that answer the question",
    "missing_docs": "expected documents that no source has",
    "retrieved": "documents found, best first",
    "latency_seconds": "of this question",
    "dense_recall_at_5": "of the dense list alone",
    "dense_mrr": "of the dense list alone",
    "keyword_recall_at_5": "of the BM25 list alone",
    "keyword_mrr": "of the BM25 list alone",
    "production_recall_at_5": "of production on the same question",
    "production_mrr": "of production on the same question",
    "production_dense_recall_at_5": "of the dense list of production",
    "production_dense_mrr": "of the dense list of production",
    "production_keyword_recall_at_5": "of the BM25 list of production",
    "production_keyword_mrr": "of the BM25 list of production",
    "anchor_recall_at_5": "of the anchor on the same question",
    "anchor_mrr": "of the anchor on the same question",
    "slices": "parts of the benchmark with this question",
    "is_set_apart": "whether the deletion of its document was accepted, so that it does not count",
}


def artifact_metadata(artifact: Artifact) -> dict[str, Any]:
    """Return path, number of rows and columns.

    The path is on the tab *Events*. On the first page Dagster breaks no path, and it would make all values too wide.
    """
    columns = [
        dg.TableColumn(name, column_type, _DESCRIPTIONS.get(name))
        for name, column_type in artifact.columns().items()
    ]
    return {
        COLUMN_SCHEMA_KEY: dg.MetadataValue.table_schema(dg.TableSchema(columns)),
        ROW_COUNT_KEY: artifact.num_rows(),
        URI_KEY: dg.MetadataValue.path(artifact.path),
    }
