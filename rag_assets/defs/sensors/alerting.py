"""Slack alerts for failed refreshes and for sources newly unreadable. Both sensors run by default."""

from typing import Protocol

import dagster as dg
from pydantic import SecretStr

from rag_assets.alerts.delivery import post_to_slack
from rag_assets.alerts.messages import DamageAlert, DegradedAlert, FailureAlert
from rag_assets.defs.asset_step import ALERTED_IN_A_ROW, IN_A_ROW_KEY, REPEATED_KEY
from rag_assets.defs.assets import ALL_ASSETS
from rag_assets.defs.decisions import rollback
from rag_assets.defs.metadata.generations import PRODUCTION_DAMAGE_KEY
from rag_assets.defs.metadata.raw_documents import NEWLY_UNREADABLE_KEY, UNREADABLE_KEY
from rag_assets.errors import MENDED_BY_REBUILD, RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.outcome import OUTCOME_KEY, Outcome

_ASSET_KEYS = frozenset(asset.key for asset in ALL_ASSETS)


class _RecordedError(Protocol):
    """An error in the event log, as Dagster records it."""

    @property
    def message(self) -> str: ...
    @property
    def cls_name(self) -> str | None: ...
    @property
    def cause(self) -> "_RecordedError | None": ...


@dg.run_failure_sensor(
    # A run started from the command line names no code location. `_is_ours` recognizes our runs by their assets.
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=15,
    description="Posts a Slack alert for each failed run of this knowledge base, once. Needs SLACK_WEBHOOK_URL. "
    "A refresh superseded by another one is reported only as the third in a row, and a refusal that waits for an approval "
    "only once.",
)
def slack_on_failure(
    context: dg.RunFailureSensorContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> None:
    if not _is_ours(context):
        return
    if _is_repeated_refusal(context):
        context.log.info("no alert: an earlier run was refused for the same reason")
        return
    step, reason, outcome, num_in_a_row = _failure(context)
    if outcome == Outcome.SUPERSEDED and num_in_a_row != ALERTED_IN_A_ROW:
        context.log.info("no alert: run %s was superseded by another refresh", context.dagster_run.run_id)
        return
    webhook_url = knowledge_base.settings.slack_webhook_url
    if webhook_url is None:
        context.log.warning(
            "no alert for failed run %s: SLACK_WEBHOOK_URL is not set", context.dagster_run.run_id
        )
        return
    alert = FailureAlert(
        job_name=context.dagster_run.job_name,
        run_id=context.dagster_run.run_id,
        failed_step=step,
        reason=reason,
        production=_production(knowledge_base),
        unreadable_sources=_unreadable_sources(context, UNREADABLE_KEY),
        production_damage=_production_damage(knowledge_base),
        hold=_hold(knowledge_base),
    )
    _post_alert(context, webhook_url, alert.text())


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=15,
    description="Posts a Slack alert when a source becomes unreadable, once, and when production was found damaged and "
    "was built again. Needs SLACK_WEBHOOK_URL.",
)
def slack_on_degraded_source(
    context: dg.RunStatusSensorContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> None:
    webhook_url = knowledge_base.settings.slack_webhook_url
    if webhook_url is None or not _is_ours(context):
        return
    damage = _metadata(context, PRODUCTION_DAMAGE_KEY)
    if damage:
        damaged = DamageAlert(
            context.dagster_run.run_id, str(damage), _production(knowledge_base), _hold(knowledge_base)
        )
        _post_alert(context, webhook_url, damaged.text())
    problems = _unreadable_sources(context, NEWLY_UNREADABLE_KEY)
    if not problems:
        return
    alert = DegradedAlert(
        context.dagster_run.run_id, problems, _production(knowledge_base), _hold(knowledge_base)
    )
    _post_alert(context, webhook_url, alert.text())


def _post_alert(context: dg.RunStatusSensorContext, webhook_url: SecretStr, text: str) -> None:
    problem = post_to_slack(webhook_url.get_secret_value(), text)
    if problem:
        context.log.warning(
            "could not post the Slack alert for run %s: %s", context.dagster_run.run_id, problem
        )


def _unreadable_sources(context: dg.RunStatusSensorContext, key: str) -> dict[str, str]:
    """Return source -> problem from the metadata of `raw_documents` in this run."""
    problems = _metadata(context, key)
    if not isinstance(problems, dict):
        return {}
    return {str(source): str(problem) for source, problem in dict(problems).items()}


def _metadata(context: dg.RunStatusSensorContext, key: str) -> object:
    """Return the value of a key in the metadata of the first asset of this run with that key."""
    for record in context.instance.get_records_for_run(
        context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    ).records:
        materialization = record.asset_materialization
        if materialization is not None and key in materialization.metadata:
            return materialization.metadata[key].value
    return None


def _is_ours(context: dg.RunStatusSensorContext) -> bool:
    """Recognize runs of this knowledge base: they plan one of its assets, or roll back."""
    planned = context.instance.get_records_for_run(
        context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    ).records
    keys = {record.asset_key for record in planned}
    return context.dagster_run.job_name == rollback.name or not keys.isdisjoint(_ASSET_KEYS)


def _is_repeated_refusal(context: dg.RunFailureSensorContext) -> bool:
    declared = [event.step_failure_data.user_failure_data for event in context.get_step_failure_events()]
    return any(failure is not None and REPEATED_KEY in failure.metadata for failure in declared)


def _failure(context: dg.RunFailureSensorContext) -> tuple[str, str, str, int]:
    """Return the failed step, the reason in words, its declared outcome, and the number of superseded runs in a row."""
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        declared = data.user_failure_data
        if declared is not None:
            outcome = declared.metadata.get(OUTCOME_KEY)
            in_a_row = declared.metadata.get(IN_A_ROW_KEY)
            return (
                event.step_key or "",
                declared.description or "",
                str(outcome.value if outcome else ""),
                int(str(in_a_row.value)) if in_a_row else 0,
            )
        return event.step_key or "", _reason(data.error), "", 0
    # For example invalid settings, or a process that was killed.
    return "", _reason(context.failure_event.job_failure_data.error), "", 0


def _reason(error: _RecordedError | None) -> str:
    """Return the message of one of our own errors, or the type of any other: its message may quote a document."""
    while error is not None and error.message.startswith("dagster."):
        error = error.cause  # Dagster wraps the errors of steps and resources in its own
    if error is None:
        return "the run stopped without an error message; see its log in the Dagster UI"
    if error.message.startswith(f"{RagAssetsError.__module__}."):
        return error.message.partition(": ")[2].strip()
    return f"unexpected {error.cls_name}; see the log of the run in the Dagster UI"


def _production(knowledge_base: KnowledgeBase) -> str:
    try:
        return knowledge_base.vector_store.production_state().production or "nothing yet"
    except RagAssetsError:
        return "unknown: the vector store does not answer"


def _hold(knowledge_base: KnowledgeBase) -> str:
    try:
        return knowledge_base.vector_store.production_state().hold_in_words
    except RagAssetsError:
        return ""


def _production_damage(knowledge_base: KnowledgeBase) -> str:
    try:
        manifest = knowledge_base.production_manifest()
    except MENDED_BY_REBUILD as error:
        return str(error)
    except RagAssetsError:
        return ""
    return manifest.damaged if manifest is not None else ""
