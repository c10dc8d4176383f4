"""What is told to Slack: a refresh that failed, and one that could not read a source. Both are on by default."""

import dagster as dg
from pydantic import SecretStr

from rag_assets.alerts.delivery import post_to_slack
from rag_assets.alerts.messages import DegradedAlert, FailureAlert
from rag_assets.defs.asset_step import OUTCOME_KEY, SUPERSEDED
from rag_assets.defs.assets import ALL_ASSETS
from rag_assets.defs.jobs import rollback
from rag_assets.defs.metadata.sources import NEWLY_UNREADABLE_KEY, UNREADABLE_KEY
from rag_assets.errors import RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase

_ASSET_KEYS = frozenset(asset.key for asset in ALL_ASSETS)


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
        unreadable_sources=_unreadable_sources(context, UNREADABLE_KEY),
    )
    _tell(context, webhook_url, alert.text())


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=15,
    description="Posts to SLACK_WEBHOOK_URL when a refresh could not read a source that the refresh before it could.",
)
def slack_on_degraded_source(
    context: dg.RunStatusSensorContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> None:
    webhook_url = knowledge_base.settings.slack_webhook_url
    if webhook_url is None or not _is_ours(context):
        return
    problems = _unreadable_sources(context, NEWLY_UNREADABLE_KEY)
    if not problems:
        return
    alert = DegradedAlert(context.dagster_run.run_id, problems, _production(knowledge_base))
    _tell(context, webhook_url, alert.text())


def _tell(context: dg.RunStatusSensorContext, webhook_url: SecretStr, text: str) -> None:
    problem = post_to_slack(webhook_url.get_secret_value(), text)
    if problem:
        context.log.warning("what became of run %s was not told: %s", context.dagster_run.run_id, problem)


def _unreadable_sources(context: dg.RunStatusSensorContext, key: str) -> dict[str, str]:
    """Return source -> problem, as the run's `raw_documents` has it."""
    for record in context.instance.get_records_for_run(
        context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    ).records:
        materialization = record.asset_materialization
        if materialization is not None and key in materialization.metadata:
            problems = materialization.metadata[key].value
            return (
                {str(source): str(problem) for source, problem in dict(problems).items()}
                if isinstance(problems, dict)
                else {}
            )
    return {}


def _is_ours(context: dg.RunStatusSensorContext) -> bool:
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
