"""The tables, as SQLAlchemy sees them. docs/metadata-tables.md explains each column, and a test compares the two.

A change here needs a new file in `rag_assets/tracking/migrations/versions`, and its name in `VERSIONS`. Imports SQLAlchemy, so it
is imported for a delivery only.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

VERSIONS = ("1", "2")
"""The migrations, the newest last. A database with another version was written by a newer program."""
VERSION_TABLE = "rag_alembic_version"


class UtcTime(TypeDecorator[datetime]):
    """A time with its zone on PostgreSQL, and UTC without one on SQLite. Takes ISO 8601 as well."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None or value == "":
            return None
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return (
            None
            if value is None
            else value.replace(tzinfo=UTC)
            if value.tzinfo is None
            else value.astimezone(UTC)
        )


LIST = JSON().with_variant(JSONB(), "postgresql")
METADATA = MetaData()


def _key(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]] = Text) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


def _counts(*names: str) -> list[Column[Any]]:
    return [Column(name, BigInteger) for name in names]


knowledge_bases = Table(
    "rag_knowledge_bases",
    METADATA,
    _key("knowledge_base"),
    Column("name", Text, nullable=False),
    Column("generation", Text),
    Column("index_fingerprint", Text),
    Column("embedding_model", Text),
    Column("is_complete", Boolean, nullable=False),
    Column("held_since", UtcTime),
    Column("held_by", Text),
    Column("hold_reason", Text),
    Column("written_at", UtcTime, nullable=False),
)

COUNTS = (
    *(
        "num_listed",
        "num_read",
        "num_parsed",
        "num_quarantined",
        "num_unreadable_sources",
        "num_skipped_files",
        "num_left_out",
    ),
    *(
        "num_added",
        "num_updated",
        "num_moved",
        "num_duplicate",
        "num_unchanged",
        "num_deleted",
        "num_omitted",
    ),
    *("num_near_duplicates", "num_contents_changed"),
    *("num_chunks", "num_chunk_tokens", "num_flagged_chunks"),
    *("num_texts", "num_cached", "cached_tokens", "num_embedded", "num_refused"),
    *("num_points_added", "num_points_deleted", "num_points_relocated", "kept_tokens"),
)
"""Columns of `rag_refreshes` with a count of one step. NULL if the run did not get there."""

refreshes = Table(
    "rag_refreshes",
    METADATA,
    _key("knowledge_base"),
    _key("run_id"),
    Column("refresh_id", Text),
    Column("started_at", UtcTime),
    Column("ended_at", UtcTime, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("candidate", Text),
    Column("production_before", Text),
    Column("production_after", Text),
    Column("is_full_rebuild", Boolean),
    *_counts(*COUNTS, "num_documents", "num_points"),
    Column("extraction_latency", LIST),
    Column("embedding_latency", LIST),
    Column("upsert_seconds", Double),
    Column("usd_saved_by_cache", Double),
    Column("usd_saved_by_deduplication", Double),
    Column("counted", LIST),
    Index("rag_refreshes_by_time", "knowledge_base", "ended_at"),
)

refresh_steps = Table(
    "rag_refresh_steps",
    METADATA,
    _key("knowledge_base"),
    _key("run_id"),
    _key("step"),
    Column("started_at", UtcTime, nullable=False),
    Column("duration_seconds", Double),
)

refresh_sources = Table(
    "rag_refresh_sources",
    METADATA,
    _key("knowledge_base"),
    _key("run_id"),
    _key("source"),
    Column("is_complete", Boolean, nullable=False),
    Column("problem", Text, nullable=False),
)

costs = Table(
    "rag_costs",
    METADATA,
    _key("knowledge_base"),
    _key("run_id"),
    _key("purpose"),
    _key("model"),
    Column("num_tokens", BigInteger, nullable=False),
    Column("cost_usd", Double),
)

SCORES = ("recall_at_1", "recall_at_5", "recall_at_10", "mrr", "ndcg_at_10")


def _scores() -> list[Column[Any]]:
    return [Column(name, Double) for name in SCORES]


evaluations = Table(
    "rag_evaluations",
    METADATA,
    _key("knowledge_base"),
    _key("run_id"),
    _key("subject"),
    Column("generation", Text),
    Column("benchmark_hash", Text),
    Column("eval_threshold", Double),
    Column("is_passed", Boolean),
    Column("verdict", Text),
    *_counts("num_questions", "num_missing_documents"),
    *_scores(),
    Column("recall_at_5_standard_error", Double),
    *(Column(f"latency_p{share}_seconds", Double) for share in (50, 95, 99)),
)

evaluation_questions = Table(
    "rag_evaluation_questions",
    METADATA,
    _key("knowledge_base"),
    _key("run_id"),
    _key("position", Integer),
    Column("question", Text, nullable=False),
    Column("expected_documents", LIST, nullable=False),
    Column("retrieved_documents", LIST, nullable=False),
    Column("missing_documents", LIST, nullable=False),
    *_scores(),
    Column("production_recall_at_5", Double),
    Column("latency_seconds", Double),
)

promotions = Table(
    "rag_promotions",
    METADATA,
    _key("knowledge_base"),
    _key("event_id"),
    Column("kind", Text, nullable=False),
    Column("decided_at", UtcTime, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("generation_before", Text),
    Column("generation_after", Text),
    Column("run_id", Text),
    Index("rag_promotions_by_time", "knowledge_base", "decided_at"),
)

incidents = Table(
    "rag_incidents",
    METADATA,
    _key("knowledge_base"),
    _key("run_id"),
    Column("kind", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("recall_at_5", Double),
    Column("eval_threshold", Double),
    Column("occurred_at", UtcTime, nullable=False),
    Column("resolved_at", UtcTime),
    Index("rag_incidents_by_time", "knowledge_base", "occurred_at"),
)

documents = Table(
    "rag_documents",
    METADATA,
    _key("knowledge_base"),
    _key("document_id"),
    Column("source", Text, nullable=False),
    Column("source_uri", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("modified_at", UtcTime),
    Column("content_hash", Text, nullable=False),
    Column("written_at", UtcTime, nullable=False),
    Column("row_hash", Text, nullable=False),
    Index("rag_documents_by_content", "knowledge_base", "content_hash"),
)

chunks = Table(
    "rag_chunks",
    METADATA,
    _key("knowledge_base"),
    _key("content_hash"),
    _key("chunk_index", Integer),
    Column("total_chunks", Integer, nullable=False),
    Column("start_character", BigInteger, nullable=False),
    Column("end_character", BigInteger, nullable=False),
    Column("num_tokens", Integer, nullable=False),
    Column("flags", LIST, nullable=False),
    Column("index_fingerprint", Text, nullable=False),
)

metric_totals = Table(
    "rag_metric_totals",
    METADATA,
    _key("knowledge_base"),
    _key("series"),
    Column("total", Double, nullable=False),
)

forgotten_documents = Table(
    "rag_forgotten_documents",
    METADATA,
    _key("knowledge_base"),
    _key("document_hash"),
    Column("forgotten_at", UtcTime, nullable=False),
)

OF_A_RUN = {
    table.name: table
    for table in (
        refreshes,
        refresh_steps,
        refresh_sources,
        costs,
        evaluations,
        evaluation_questions,
        incidents,
    )
}
"""Tables with a column `run_id`, replaced as a whole by a record of the run."""
