"""The schedule: a refresh every six hours, stopped by default."""

from contextlib import suppress

import dagster as dg

from rag_assets.defs.jobs import refresh
from rag_assets.errors import RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.lease import live_holder


def reason_to_skip(knowledge_base: KnowledgeBase) -> str | None:
    """Return the reason against starting a refresh now, or None: a running refresh, or a person holding production."""
    holder = live_holder(knowledge_base.ledger)
    if holder is not None:
        return f"another refresh is running: run {holder.owner}, last active {holder.age_seconds:.0f} s ago"
    # Without an answer the refresh is started: it fails and is alerted, a tick is not.
    with suppress(RagAssetsError):
        held = knowledge_base.vector_store.production_state().hold_in_words
        if held:
            return f"{held}; `rag-assets resume` lifts the hold"
    return None


@dg.schedule(
    job=refresh,
    cron_schedule="0 */6 * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Starts a refresh every six hours, unless another refresh is running or a person holds "
    "production after a rollback.",
)
def refresh_every_six_hours(
    knowledge_base: dg.ResourceParam[KnowledgeBase],
) -> dg.RunRequest | dg.SkipReason:
    reason = reason_to_skip(knowledge_base)
    return dg.SkipReason(reason) if reason else dg.RunRequest()
