"""What reacts: a failed run is told to Slack (on by default), a changed folder is refreshed (starts stopped)."""

import logging
import time

import dagster as dg

from rag_assets.asset_step import OUTCOME_KEY, SUPERSEDED
from rag_assets.assets import ALL_ASSETS
from rag_assets.errors import RagAssetsError, StateFormatError
from rag_assets.jobs import refresh, rollback
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.schedules import reason_to_skip
from rag_assets.slack_messages import FailureAlert, post_to_slack

_ASK_AGAIN_AFTER_SECONDS = 6 * 3600
_ASSET_KEYS = frozenset(asset.key for asset in ALL_ASSETS)

# httpx logs every URL that it calls, and a webhook's URL is a secret.
logging.getLogger("httpx").setLevel(logging.WARNING)


@dg.run_failure_sensor(
    # Runs that a command line started name no code location: all are looked at, ours are told by their assets.
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=15,
    description="Posts each failed run of this knowledge base to SLACK_WEBHOOK_URL, once. The only sender of alerts.",
)
def slack_on_failure(
    context: dg.RunFailureSensorContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> None:
    if not _is_ours(context):
        return
    step, reason, outcome = _failure(context)
    if outcome == SUPERSEDED:
        context.log.info(
            "run %s was superseded by another refresh: nothing to tell", context.dagster_run.run_id
        )
        return
    webhook_url = knowledge_base.settings.slack_webhook_url
    if webhook_url is None:
        context.log.warning("run %s failed, but SLACK_WEBHOOK_URL is not set", context.dagster_run.run_id)
        return
    alert = FailureAlert(
        job_name=context.dagster_run.job_name,
        run_id=context.dagster_run.run_id,
        failed_step=step,
        reason=reason,
        production=_production(knowledge_base),
    )
    problem = post_to_slack(webhook_url.get_secret_value(), alert.text())
    if problem:
        context.log.warning("the failure of run %s was not told: %s", context.dagster_run.run_id, problem)


def _is_ours(context: dg.RunFailureSensorContext) -> bool:
    """Whether a run was to materialize an asset of ours, or to roll back."""
    planned = context.instance.get_records_for_run(
        context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    ).records
    keys = {record.asset_key for record in planned}
    return context.dagster_run.job_name == rollback.name or not keys.isdisjoint(_ASSET_KEYS)


def _failure(context: dg.RunFailureSensorContext) -> tuple[str, str, str]:
    """Return the step that failed, why in words, and the outcome that the step declared."""
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        declared = data.user_failure_data
        if declared is not None:
            outcome = declared.metadata.get(OUTCOME_KEY)
            return event.step_key or "", declared.description or "", str(outcome.value if outcome else "")
        verdict = _failed_check(context)
        if verdict:
            return event.step_key or "", verdict, ""
        # Not one of our own errors: its message may hold anything, so only its kind is told.
        return event.step_key or "", f"{data.error.cls_name if data.error else 'error'}, see the run", ""
    return "run", "it failed outside of its steps, see the run", ""


def _failed_check(context: dg.RunFailureSensorContext) -> str:
    records = context.instance.get_records_for_run(
        context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is not None and not event.asset_check_evaluation_data.passed:
            return event.asset_check_evaluation_data.description or ""
    return ""


def _production(knowledge_base: KnowledgeBase) -> str:
    try:
        return knowledge_base.vector_store.production_state().production or "nothing yet"
    except RagAssetsError:
        return "unknown, the vector store does not answer"


@dg.sensor(
    job=refresh,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Refreshes when a listed document appeared, changed or went away since the last reading.",
)
def refresh_on_changed_documents(
    knowledge_base: dg.ResourceParam[KnowledgeBase],
) -> dg.RunRequest | dg.SkipReason:
    reason = reason_to_skip(knowledge_base)
    if reason:
        return dg.SkipReason(reason)
    try:
        listing_hash = knowledge_base.ingestion().hash_listing()
        state = knowledge_base.vector_store.production_state()
    except RagAssetsError as error:
        return dg.SkipReason(str(error))
    if state.held is not None:
        return dg.SkipReason(f"production is held at {state.production} until `rag-assets resume`")
    if is_served(knowledge_base, listing_hash, state.production):
        return dg.SkipReason("production serves what is listed")
    # A change asks once, and again only after hours: what refused it, or was down, may have been mended by then.
    asked_at = int(time.time() // _ASK_AGAIN_AFTER_SECONDS)
    return dg.RunRequest(run_key=f"{state.production}-{listing_hash}-{asked_at}")


def is_served(knowledge_base: KnowledgeBase, listing_hash: str, production: str | None) -> bool:
    """Whether a refresh of exactly this listing ended in what serves now."""
    try:
        read = knowledge_base.artifacts.latest("raw_documents")
        staged = knowledge_base.artifacts.latest("staging_collection")
    except StateFormatError:
        return False  # a refresh writes them anew
    return (
        read is not None
        and staged is not None
        and read.details["listing_hash"] == listing_hash
        and read.header.refresh_id == staged.header.refresh_id
        and staged.details["generation"] == production
    )
