"""Version 2: numbers for the metrics, and their totals. Rows of version 1 count in the totals."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from rag_assets.tracking.totals import totals_of_rows

revision = "2"
down_revision = "1"

_JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    for name in ("num_left_out", "cached_tokens", "kept_tokens"):
        op.add_column("rag_refreshes", sa.Column(name, sa.BigInteger))
    for name in ("upsert_seconds", "usd_saved_by_cache", "usd_saved_by_deduplication"):
        op.add_column("rag_refreshes", sa.Column(name, sa.Double))
    for name in ("extraction_latency", "embedding_latency", "counted"):
        op.add_column("rag_refreshes", sa.Column(name, _JSON))
    totals = op.create_table(
        "rag_metric_totals",
        sa.Column("knowledge_base", sa.Text, primary_key=True, autoincrement=False),
        sa.Column("series", sa.Text, primary_key=True, autoincrement=False),
        sa.Column("total", sa.Double, nullable=False),
    )
    rows = [
        {"knowledge_base": knowledge_base, "series": series, "total": total}
        for knowledge_base, found in totals_of_rows(op.get_bind()).items()
        for series, total in found.items()
    ]
    if rows:
        op.bulk_insert(totals, rows)
