"""Changes of documents decided after `deduped_documents`, because the embedding model refused a text."""

from collections.abc import Iterable
from typing import Any

from rag_assets.artifacts.parquet_artifact import Artifact


def settled_rows(staged: Artifact | None, refresh_id: str) -> dict[str, dict[str, Any]]:
    """Return document id -> row of its change, where it differs from that of `deduped_documents`.

    Args:
        staged: a `staging_collection`. Of another refresh it has nothing to say.
    """
    if staged is None or staged.header.refresh_id != refresh_id:
        return {}
    return {row["document_id"]: row for row in staged.details.get("settled", [])}


def refused_rows(staged: Artifact | None, refresh_id: str) -> list[dict[str, Any]]:
    """Return the rows of documents quarantined for a refused text."""
    rows = settled_rows(staged, refresh_id).values()
    return [row for row in rows if row["quarantine_reason"] == "refused_by_model"]


def settled(rows: Iterable[dict[str, Any]], later: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of `deduped_documents`, replaced and extended by later ones."""
    return list(({row["document_id"]: row for row in rows} | later).values())
