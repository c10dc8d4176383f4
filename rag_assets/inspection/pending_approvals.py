"""Refusals that wait for an approval, and approvals that wait for a refresh, as kept in the ledger."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from rag_assets.artifacts.decisions import DecisionLog, RecordedDecision
from rag_assets.inspection.lines import labeled
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.lost_approvals import lost_approval

_MOST_DECISIONS = 1000


def pending_approvals(knowledge_base: KnowledgeBase) -> list[dict[str, Any]]:
    """Return the refusals as JSON-compatible data, the oldest first."""
    ledger = knowledge_base.ledger
    approved = ledger.approved_tokens()
    decisions = DecisionLog(knowledge_base.failures.folder).last(_MOST_DECISIONS) if approved else []
    by_token = {one.about: one for one in reversed(decisions) if one.decision == "approve"}
    refusals = sorted(ledger.refusals().values(), key=lambda refusal: (refusal.refused_at, refusal.token))
    return [
        {
            **asdict(refusal),
            "sources": list(refusal.sources),
            "examples": list(refusal.examples),
            "is_approved": refusal.token in approved,
            **_approval(
                by_token.get(refusal.token)
                if refusal.token in approved
                else lost_approval(knowledge_base, refusal.token)
            ),
        }
        for refusal in refusals
    ]


def _approval(decision: RecordedDecision | None) -> dict[str, str | None]:
    return {
        "approved_by": (decision and decision.by) or None,
        "approved_at": decision and decision.at,
        "approval_reason": (decision and decision.reason) or None,
    }


def message_now(message: str, pending: Iterable[Mapping[str, Any]]) -> str:
    """Return the message of a refusal, without its advice to approve what a person has approved since.

    Args:
        pending: as returned by `pending_approvals`.
    """
    for refusal in pending:
        if refusal["is_approved"] and refusal["token"] in message:
            return f"{refusal['subject']}. It is approved: run `rag-assets refresh`"
    return message


def pending_lines(pending: Iterable[Mapping[str, Any]], lines: Iterable[str]) -> list[str]:
    """Return one line per refusal.

    Args:
        pending: as returned by `pending_approvals`.
        lines: of the report so far. Refusals with their token there are left out.
    """
    shown = "\n".join(lines)
    found: list[str] = []
    for refusal in pending:
        subject, token = refusal["subject"], refusal["token"]
        if refusal["is_approved"]:
            by = f", by {refusal['approved_by']}" if refusal["approved_by"] else ""
            found.append(labeled("APPROVED", f"{subject}{by}, for the next refresh"))
        elif token not in shown:
            when = f", refused on {refusal['refused_at']}" if refusal["refused_at"] else ""
            found.append(labeled("WAITS", f"{subject}{when}: run `rag-assets approve {token}` and refresh"))
            if refusal["approved_at"]:
                by = f" by {refusal['approved_by']}" if refusal["approved_by"] else ""
                found.append(
                    labeled(
                        "",
                        f"approved on {refusal['approved_at']}{by}, but the ledger no longer holds this approval",
                    )
                )
    return found
