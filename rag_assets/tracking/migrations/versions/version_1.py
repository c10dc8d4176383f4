"""Version 1: all tables of the first release."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "1"
down_revision = None

_TIME = sa.DateTime(timezone=True)
_LIST = sa.JSON().with_variant(JSONB(), "postgresql")


def _key(name: str, kind: type[sa.types.TypeEngine[Any]] = sa.Text) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def upgrade() -> None:
    op.create_table(
        "rag_knowledge_bases",
        _key("knowledge_base"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("generation", sa.Text),
        sa.Column("index_fingerprint", sa.Text),
        sa.Column("embedding_model", sa.Text),
        sa.Column("is_complete", sa.Boolean, nullable=False),
        sa.Column("held_since", _TIME),
        sa.Column("held_by", sa.Text),
        sa.Column("hold_reason", sa.Text),
        sa.Column("written_at", _TIME, nullable=False),
    )
    op.create_table(
        "rag_refreshes",
        _key("knowledge_base"),
        _key("run_id"),
        sa.Column("refresh_id", sa.Text),
        sa.Column("started_at", _TIME),
        sa.Column("ended_at", _TIME, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("candidate", sa.Text),
        sa.Column("production_before", sa.Text),
        sa.Column("production_after", sa.Text),
        sa.Column("is_full_rebuild", sa.Boolean),
        sa.Column("num_listed", sa.BigInteger),
        sa.Column("num_read", sa.BigInteger),
        sa.Column("num_parsed", sa.BigInteger),
        sa.Column("num_quarantined", sa.BigInteger),
        sa.Column("num_unreadable_sources", sa.BigInteger),
        sa.Column("num_skipped_files", sa.BigInteger),
        sa.Column("num_added", sa.BigInteger),
        sa.Column("num_updated", sa.BigInteger),
        sa.Column("num_moved", sa.BigInteger),
        sa.Column("num_duplicate", sa.BigInteger),
        sa.Column("num_unchanged", sa.BigInteger),
        sa.Column("num_deleted", sa.BigInteger),
        sa.Column("num_omitted", sa.BigInteger),
        sa.Column("num_near_duplicates", sa.BigInteger),
        sa.Column("num_contents_changed", sa.BigInteger),
        sa.Column("num_chunks", sa.BigInteger),
        sa.Column("num_chunk_tokens", sa.BigInteger),
        sa.Column("num_flagged_chunks", sa.BigInteger),
        sa.Column("num_texts", sa.BigInteger),
        sa.Column("num_cached", sa.BigInteger),
        sa.Column("num_embedded", sa.BigInteger),
        sa.Column("num_refused", sa.BigInteger),
        sa.Column("num_points_added", sa.BigInteger),
        sa.Column("num_points_deleted", sa.BigInteger),
        sa.Column("num_points_relocated", sa.BigInteger),
        sa.Column("num_documents", sa.BigInteger),
        sa.Column("num_points", sa.BigInteger),
    )
    op.create_index("rag_refreshes_by_time", "rag_refreshes", ["knowledge_base", "ended_at"])
    op.create_table(
        "rag_refresh_steps",
        _key("knowledge_base"),
        _key("run_id"),
        _key("step"),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("duration_seconds", sa.Double),
    )
    op.create_table(
        "rag_refresh_sources",
        _key("knowledge_base"),
        _key("run_id"),
        _key("source"),
        sa.Column("is_complete", sa.Boolean, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
    )
    op.create_table(
        "rag_costs",
        _key("knowledge_base"),
        _key("run_id"),
        _key("purpose"),
        _key("model"),
        sa.Column("num_tokens", sa.BigInteger, nullable=False),
        sa.Column("cost_usd", sa.Double),
    )
    op.create_table(
        "rag_evaluations",
        _key("knowledge_base"),
        _key("run_id"),
        _key("subject"),
        sa.Column("generation", sa.Text),
        sa.Column("benchmark_hash", sa.Text),
        sa.Column("eval_threshold", sa.Double),
        sa.Column("is_passed", sa.Boolean),
        sa.Column("verdict", sa.Text),
        sa.Column("num_questions", sa.BigInteger),
        sa.Column("num_missing_documents", sa.BigInteger),
        sa.Column("recall_at_1", sa.Double),
        sa.Column("recall_at_5", sa.Double),
        sa.Column("recall_at_10", sa.Double),
        sa.Column("mrr", sa.Double),
        sa.Column("ndcg_at_10", sa.Double),
        sa.Column("recall_at_5_standard_error", sa.Double),
        sa.Column("latency_p50_seconds", sa.Double),
        sa.Column("latency_p95_seconds", sa.Double),
        sa.Column("latency_p99_seconds", sa.Double),
    )
    op.create_table(
        "rag_evaluation_questions",
        _key("knowledge_base"),
        _key("run_id"),
        _key("position", sa.Integer),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("expected_documents", _LIST, nullable=False),
        sa.Column("retrieved_documents", _LIST, nullable=False),
        sa.Column("missing_documents", _LIST, nullable=False),
        sa.Column("recall_at_1", sa.Double),
        sa.Column("recall_at_5", sa.Double),
        sa.Column("recall_at_10", sa.Double),
        sa.Column("mrr", sa.Double),
        sa.Column("ndcg_at_10", sa.Double),
        sa.Column("production_recall_at_5", sa.Double),
        sa.Column("latency_seconds", sa.Double),
    )
    op.create_table(
        "rag_promotions",
        _key("knowledge_base"),
        _key("event_id"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("decided_at", _TIME, nullable=False),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("generation_before", sa.Text),
        sa.Column("generation_after", sa.Text),
        sa.Column("run_id", sa.Text),
    )
    op.create_index("rag_promotions_by_time", "rag_promotions", ["knowledge_base", "decided_at"])
    op.create_table(
        "rag_incidents",
        _key("knowledge_base"),
        _key("run_id"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("recall_at_5", sa.Double),
        sa.Column("eval_threshold", sa.Double),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.Column("resolved_at", _TIME),
    )
    op.create_index("rag_incidents_by_time", "rag_incidents", ["knowledge_base", "occurred_at"])
    op.create_table(
        "rag_documents",
        _key("knowledge_base"),
        _key("document_id"),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("source_uri", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("modified_at", _TIME),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("written_at", _TIME, nullable=False),
        sa.Column("row_hash", sa.Text, nullable=False),
    )
    op.create_index("rag_documents_by_content", "rag_documents", ["knowledge_base", "content_hash"])
    op.create_table(
        "rag_chunks",
        _key("knowledge_base"),
        _key("content_hash"),
        _key("chunk_index", sa.Integer),
        sa.Column("total_chunks", sa.Integer, nullable=False),
        sa.Column("start_character", sa.BigInteger, nullable=False),
        sa.Column("end_character", sa.BigInteger, nullable=False),
        sa.Column("num_tokens", sa.Integer, nullable=False),
        sa.Column("flags", _LIST, nullable=False),
        sa.Column("index_fingerprint", sa.Text, nullable=False),
    )
    op.create_table(
        "rag_forgotten_documents",
        _key("knowledge_base"),
        _key("document_hash"),
        sa.Column("forgotten_at", _TIME, nullable=False),
    )
