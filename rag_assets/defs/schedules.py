"""The schedule of refreshes: `RAG_SCHEDULE`, by default every six hours and stopped."""

import warnings
from contextlib import suppress

import dagster as dg

from rag_assets.defs.hidden_secrets import secrets_hidden
from rag_assets.defs.jobs import refresh
from rag_assets.errors import ConfigurationError, RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.lease import live_holder
from rag_assets.settings import Settings

SCHEDULE = "refresh_on_schedule"


def reason_to_skip(knowledge_base: KnowledgeBase) -> str | None:
    """Return the reason against starting a refresh now, or None: a running refresh, or a person holding production."""
    # Without an answer the refresh is started: it fails and is alerted, a tick is not.
    with suppress(RagAssetsError):
        holder = live_holder(knowledge_base.ledger)
        if holder is not None:
            return (
                f"another refresh is running: run {holder.owner}, last active {holder.age_seconds:.0f} s ago"
            )
    with suppress(RagAssetsError):
        held = knowledge_base.vector_store.production_state().hold_in_words
        if held:
            return f"{held}; `rag-assets resume` lifts the hold"
    return None


def schedule_of(settings: Settings) -> dg.ScheduleDefinition:
    """Return the schedule.

    Raises:
        ConfigurationError: Dagster refuses the cron line.
    """
    status = dg.DefaultScheduleStatus
    decorator = dg.schedule(
        job=refresh,
        name=SCHEDULE,
        cron_schedule=settings.schedule,
        execution_timezone=settings.schedule_timezone,
        default_status=status.RUNNING if settings.auto_refresh else status.STOPPED,
        description="Starts a refresh at the times of RAG_SCHEDULE, unless another refresh is running or a person holds "
        "production after a rollback.",
    )
    try:
        with warnings.catch_warnings():
            # `*/90 * * * *` would start every hour.
            warnings.filterwarnings("error", message="Found a cron schedule with an interval")
            return decorator(_refresh_if_possible)
    except (dg.DagsterInvalidDefinitionError, UserWarning) as error:
        raise ConfigurationError(
            f"RAG_SCHEDULE: Dagster refuses the cron line `{settings.schedule}`. A number is out of range, or the day does not "
            "exist. Expected five fields, such as `0 */6 * * *`"
        ) from error


@secrets_hidden()
def _refresh_if_possible(knowledge_base: dg.ResourceParam[KnowledgeBase]) -> dg.RunRequest | dg.SkipReason:
    reason = reason_to_skip(knowledge_base)
    return dg.SkipReason(reason) if reason else dg.RunRequest()
