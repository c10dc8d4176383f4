"""The hold of a person, and the outcome of the last refresh, for reports."""

from collections.abc import Mapping
from typing import Any

from rag_assets.artifacts.decisions import DecisionLog
from rag_assets.inspection.lines import labeled
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.outcome import Outcome
from rag_assets.vector_stores.production_state import Hold, ProductionState

_MOST_DECISIONS = 1000


def rolled_back_generations(knowledge_base: KnowledgeBase) -> frozenset[str]:
    """Return the generations that a rollback has taken out of production, as far as recorded."""
    decisions = DecisionLog(knowledge_base.failures.folder).last(_MOST_DECISIONS)
    return frozenset(one.about for one in decisions if one.decision == "rollback")


def described_hold(state: ProductionState) -> dict[str, Any]:
    """Return the hold as JSON-compatible data. Unknown values are None."""
    hold = state.hold
    return {
        "held_generation": state.held,
        "hold": hold and {"since": hold.since or None, "by": hold.by or None, "reason": hold.reason or None},
    }


def hold_lines(described: Mapping[str, Any]) -> list[str]:
    """Return the lines about a hold, none without one.

    Args:
        described: as returned by `described_hold`.
    """
    generation, note = described["held_generation"], described["hold"]
    if generation is None:
        return []
    hold = Hold(generation, **{key: value or "" for key, value in note.items()})
    return [
        labeled("HELD", str(hold)),
        labeled("", f"{generation} is out of service and new candidates wait, until `rag-assets resume`"),
    ]


def outcome_line(report: Mapping[str, Any]) -> list[str]:
    """Return a line about the outcome of the last refresh. None if it is unknown, or shown by its failure.

    Args:
        report: the report of `rag-assets status`.
    """
    last = report["last_outcome"]
    text = "" if last is None else _outcome_text(last, report)
    return [labeled("outcome", text)] if text else []


def _outcome_text(last: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    production = report["production"]
    match last["outcome"]:
        case Outcome.LIVE:
            if production and production["generation"] == last["generation"]:
                return "live"
            return f"live, but {last['generation']} is not in production any more"
        case Outcome.UNCHANGED:
            return "unchanged: nothing had to be written"
        case Outcome.HELD:
            waits = f"candidate {last['generation']} passed the gate"
            if report["held_generation"]:
                return f"held: {waits} and waits"
            return f"held: {waits}. {_resumed_text(report)}: the next refresh goes live"
        case Outcome.SUPERSEDED:
            return f"superseded: {last['message']}"
        case Outcome.CANCELED:
            return f"canceled by hand{' during ' + last['step'] if last['step'] else ''}, on {last['at']}"
        case _:
            return ""


def _resumed_text(report: Mapping[str, Any]) -> str:
    decision = next((one for one in report["decisions"] if one["decision"] == "resume"), None)
    if decision is None:
        return "The hold is lifted"
    by = f" by {decision['by']}" if decision["by"] else ""
    reason = f" ({decision['reason']})" if decision["reason"] else ""
    return f"The hold was lifted on {decision['at']}{by}{reason}"
