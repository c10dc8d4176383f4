"""What reacts: a failed run is told to Slack (on by default), a changed folder is refreshed (starts stopped)."""

import logging

import dagster as dg

from rag_assets.asset_step import OUTCOME_KEY, SUPERSEDED
from rag_assets.assets import ALL_ASSETS
from rag_assets.errors import RagAssetsError
from rag_assets.jobs import refresh, rollback
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.schedules import reason_to_skip
from rag_assets.slack_messages import FailureAlert, post_to_slack

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
    except RagAssetsError as error:
        return dg.SkipReason(str(error))
    last = knowledge_base.artifacts.latest("raw_documents")
    if last is not None and last.details["listing_hash"] == listing_hash:
        return dg.SkipReason("nothing has changed since the last reading")
    # The same change asks once, even if its refresh fails before it has read anything.
    return dg.RunRequest(run_key=f"{last.header.refresh_id if last else ''}-{listing_hash}")
