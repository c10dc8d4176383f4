"""Approvals that a person gave and the ledger no longer holds. The question is asked again, with this reason."""

from datetime import datetime

from rag_assets.artifacts.decisions import DecisionLog, RecordedDecision
from rag_assets.errors import MENDED_BY_REBUILD
from rag_assets.knowledge_base import KnowledgeBase

_MOST_DECISIONS = 1000


def lost_approval(knowledge_base: KnowledgeBase, token: str) -> RecordedDecision | None:
    """Return the approval of a set that is refused all the same, None if there was none or it was used.

    Redis may lose it, and a failed gate ends it. A used one is older than production.
    """
    decisions = DecisionLog(knowledge_base.failures.folder).last(_MOST_DECISIONS)
    approval = next((one for one in decisions if one.decision == "approve" and one.about == token), None)
    if approval is None:
        return None
    try:
        production = knowledge_base.production_manifest()
        if production and datetime.fromisoformat(production.sealed_at) > datetime.fromisoformat(approval.at):
            return None
    except (ValueError, *MENDED_BY_REBUILD):
        return None
    return approval


def in_words(approval: RecordedDecision) -> str:
    """Return a sentence about a lost approval."""
    by = f" by {approval.by}" if approval.by else ""
    return (
        f"It was approved on {approval.at}{by}, but the ledger no longer holds this approval: a failed gate ended it, or the "
        "ledger lost it"
    )
