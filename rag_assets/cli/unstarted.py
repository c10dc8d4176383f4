"""Tells Slack about a refresh that did not begin, where no one looks at its output: at a timer such as cron."""

import sys
import time
import uuid

from rag_assets.alerts.run_facts import NOT_BEGUN, RunFacts
from rag_assets.alerts.settings_for_alerts import settings_for_alerts
from rag_assets.alerts.teller import Teller
from rag_assets.errors import RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase


def is_watched() -> bool:
    """Whether a person sees the answer: one of the standard streams is a terminal."""
    return any(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def tell_unstarted(reason: str, knowledge_base: KnowledgeBase, run_id: str = "") -> None:
    """Report a refresh without a recorded end.

    Args:
        run_id: "" if it has no run.
    """
    if is_watched():
        return
    teller = Teller(knowledge_base)
    if teller.is_on:
        run_id = run_id or f"{NOT_BEGUN}{uuid.uuid4().hex}"
        teller.tell([RunFacts(run_id, "refresh", time.time(), "failed", reason=reason)])


def tell_malformed(error: RagAssetsError) -> None:
    """Report a refresh refused for its settings, if the others say where."""
    if is_watched():
        return
    try:
        knowledge_base = KnowledgeBase(settings_for_alerts())
    except RagAssetsError:
        return  # no place for a message
    try:
        tell_unstarted(str(error), knowledge_base)
    finally:
        knowledge_base.close()
