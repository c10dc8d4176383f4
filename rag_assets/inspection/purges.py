"""Purged documents for reports: those kept out, unfinished purges, and texts that came back elsewhere."""

from collections.abc import Sequence
from typing import Any

from rag_assets.ingestion.purged_documents import SHOWN_DIGITS
from rag_assets.inspection.lines import labeled
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.text.wording import counted

_SHOWN = 3


def described_purges(knowledge_base: KnowledgeBase) -> list[dict[str, Any]]:
    """Return the purged documents that stay out, as JSON-compatible data."""
    purged = knowledge_base.purged_documents.kept_out()
    if not purged:
        return []
    production = knowledge_base.vector_store.production_state().production
    served = knowledge_base.ledger.documents(production or "") or ()
    return [
        {
            "document_id": one.document_id or None,
            "document_hash": one.document_hash,
            "at": one.at,
            "by": one.by or None,
            "reason": one.reason or None,
            "is_unfinished": one.is_unfinished,
            "same_text_at": sorted(it.document_id for it in served if it.content_hash in one.contents),
        }
        for one in sorted(purged, key=lambda one: (one.at, one.document_hash))
    ]


def purge_lines(purged: Sequence[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for one in purged:
        name = one["document_id"] or one["document_hash"][:SHOWN_DIGITS]
        if one["is_unfinished"]:
            lines.append(
                labeled(
                    "UNFINISHED", f"the purge of {name} was interrupted: run `rag-assets purge {name}` again"
                )
            )
        if one["same_text_at"]:
            places = ", ".join(one["same_text_at"][:_SHOWN])
            lines.append(labeled("SAME TEXT", f"{places}: the text of {name}, which was purged"))
    if purged:
        kept_out = counted(len(purged), "purged document")
        lines.append(
            labeled("purged", f"{kept_out} kept out; `rag-assets purge --list` shows who, when and why")
        )
    return lines
