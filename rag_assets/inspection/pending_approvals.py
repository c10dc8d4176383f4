"""Refusals that wait for an approval, and approvals that wait for a refresh, as kept in the ledger."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from rag_assets.inspection.lines import labeled
from rag_assets.ledgers.base import Ledger


def pending_approvals(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the refusals as JSON-compatible data, the oldest first."""
    approved = ledger.approved_tokens()
    refusals = sorted(ledger.refusals().values(), key=lambda refusal: (refusal.refused_at, refusal.token))
    return [
        {
            **asdict(refusal),
            "sources": list(refusal.sources),
            "examples": list(refusal.examples),
            "is_approved": refusal.token in approved,
        }
        for refusal in refusals
    ]


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
            found.append(labeled("APPROVED", f"{subject}, for the next refresh"))
        elif token not in shown:
            when = f", refused on {refusal['refused_at']}" if refusal["refused_at"] else ""
            found.append(labeled("WAITS", f"{subject}{when}: run `rag-assets approve {token}` and refresh"))
    return found
