"""The schedule: a refresh every six hours, stopped by default."""

import dagster as dg

from rag_assets.defs.jobs import refresh
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.lease import live_holder


def reason_to_skip(knowledge_base: KnowledgeBase) -> str | None:
    """Return the reason against starting a refresh now, or None."""
    holder = live_holder(knowledge_base.ledger)
    if holder is None:
        return None
    return f"another refresh is running: run {holder.owner}, last active {holder.age_seconds:.0f} s ago"


@dg.schedule(
    job=refresh,
    cron_schedule="0 */6 * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Starts a refresh every six hours, unless another refresh is running.",
)
def refresh_every_six_hours(
    knowledge_base: dg.ResourceParam[KnowledgeBase],
) -> dg.RunRequest | dg.SkipReason:
    reason = reason_to_skip(knowledge_base)
    return dg.SkipReason(reason) if reason else dg.RunRequest()
