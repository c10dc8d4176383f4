"""Rollback, resume and approve: the same for the command line and for the jobs, recorded with who, when and why."""

import getpass
import uuid

from rag_assets.artifacts.decisions import DecisionKind, DecisionLog
from rag_assets.errors import ConfigurationError, RefusedError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import Refusal
from rag_assets.refresh.approvals import parsed_token, unknown_token
from rag_assets.refresh.promotion import roll_back as roll_back_production
from rag_assets.text.wording import counted
from rag_assets.tracking.observer import Observer
from rag_assets.vector_stores.production_state import Hold, ProductionState

MAX_REASON_CHARACTERS = 500
MAX_NAME_CHARACTERS = 100


def current_user() -> str:
    """Return the name of the user of this process, "" if the system knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container with a number for a user
        return ""


def roll_back(knowledge_base: KnowledgeBase, *, by: str, reason: str) -> ProductionState:
    """Put the previous generation back into production and hold it there.

    Args:
        by: name of the person. Shown with the hold to everyone, as `reason` is.

    Raises:
        ConfigurationError: name or reason are too long.
        GenerationDamaged: the previous generation is damaged.
        RefusedError: there is no previous generation, or production is held already.
        SupersededError: production has changed.
    """
    by, reason = checked_name(by), checked_reason(reason)
    state = roll_back_production(knowledge_base.vector_store, by=by, reason=reason)
    record_decision(knowledge_base, "rollback", by, reason, state.held or "", state.held, state.production)
    return state


def resume(knowledge_base: KnowledgeBase, *, by: str, reason: str) -> tuple[Hold | None, ProductionState]:
    """Lift the hold.

    Returns:
        The lifted hold, None if there was none, and production.

    Raises:
        ConfigurationError: name or reason are too long.
    """
    by, reason = checked_name(by), checked_reason(reason)
    hold = knowledge_base.vector_store.production_state().hold
    state = knowledge_base.vector_store.resume()
    if hold is not None:
        record_decision(
            knowledge_base, "resume", by, reason, state.production or "", state.production, state.production
        )
    return hold, state


def approve(knowledge_base: KnowledgeBase, token: str, *, by: str, reason: str) -> Refusal:
    """Admit one refused set of deletions, one loss or one rebuild, once.

    Returns:
        The refusal.

    Raises:
        ConfigurationError: this is no token, or name or reason are too long.
        RefusedError: no refusal has it.
    """
    by, reason, token = checked_name(by), checked_reason(reason), parsed_token(token)
    ledger = knowledge_base.ledger
    refusal = ledger.refusals().get(token)
    if refusal is None:
        from rag_assets.inspection.pending_refusals import pending_refusals

        # From `rag-assets plan`, or the ledger was lost.
        refusal = pending_refusals(knowledge_base.settings).get(token)
        if refusal is None:
            raise RefusedError(unknown_token(token))
        ledger.put_refusals([refusal])
    ledger.approve(token)
    record_decision(knowledge_base, "approve", by, reason, token)
    return refusal


def record_decision(
    knowledge_base: KnowledgeBase,
    decision: DecisionKind,
    by: str,
    reason: str,
    about: str,
    before: str | None = None,
    after: str | None = None,
) -> None:
    """Record a decision of a person for `status`, and in the metadata tables."""
    DecisionLog(knowledge_base.failures.folder).record(decision, by=by, reason=reason, about=about)
    Observer(knowledge_base).record_decision(
        f"{decision}-{uuid.uuid4().hex}",
        decision,
        by=by,
        reason=reason,
        subject=about,
        before=before,
        after=after,
    )


def checked_name(text: str) -> str:
    """Return the name of a person for records. Raises: ConfigurationError: it is too long."""
    return _line(text, "the name", MAX_NAME_CHARACTERS)


def checked_reason(text: str) -> str:
    """Return a reason for records. Raises: ConfigurationError: it is too long."""
    return _line(text, "the reason", MAX_REASON_CHARACTERS)


def _line(text: str, what: str, most: int) -> str:
    """Return a text on one line, without control characters: it is shown on terminals and in alerts."""
    line = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(line.split())
    if len(line) > most:
        raise ConfigurationError(
            f"{what} has {counted(len(line), 'character')}, the maximum is {most}: shorten it"
        )
    return line
