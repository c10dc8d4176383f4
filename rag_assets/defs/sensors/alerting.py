"""Slack alerts for failed refreshes and for sources newly unreadable. Both sensors run by default."""

import dagster as dg

from rag_assets.alerts.delivery import post_to_slack
from rag_assets.defs.hidden_secrets import secrets_hidden
from rag_assets.defs.runs.alerts import (
    ALERTED_BY_TAG,
    degraded_alerts,
    failure_alert,
    is_ours,
    reason_for_silence,
)
from rag_assets.knowledge_base import KnowledgeBase


@dg.run_failure_sensor(
    # A run started from the command line may name no code location. `is_ours` recognizes our runs by their assets.
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=15,
    description="Posts a Slack alert for each failed run of this knowledge base, once. Needs SLACK_WEBHOOK_URL. "
    "A refresh superseded by another one is reported only as the third in a row, and a refusal that waits for an approval "
    "only once.",
)
@secrets_hidden()
def slack_on_failure(
    context: dg.RunFailureSensorContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> None:
    run = context.dagster_run
    if not is_ours(context.instance, run) or _alerted_by_command(context):
        return
    if silent := reason_for_silence(context.instance, run):
        context.log.info("no alert: %s", silent)
        return
    if knowledge_base.settings.slack_webhook_url is None:
        context.log.warning("no alert for failed run %s: SLACK_WEBHOOK_URL is not set", run.run_id)
        return
    _post(context, knowledge_base, failure_alert(context.instance, run, knowledge_base))


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=15,
    description="Posts a Slack alert when a source becomes unreadable, once, and when production was found damaged and "
    "was built again. Needs SLACK_WEBHOOK_URL.",
)
@secrets_hidden()
def slack_on_degraded_source(
    context: dg.RunStatusSensorContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> None:
    run = context.dagster_run
    if knowledge_base.settings.slack_webhook_url is None or not is_ours(context.instance, run):
        return
    if not _alerted_by_command(context):
        for text in degraded_alerts(context.instance, run, knowledge_base):
            _post(context, knowledge_base, text)


def _alerted_by_command(context: dg.RunStatusSensorContext) -> bool:
    by_command = bool(context.dagster_run.tags.get(ALERTED_BY_TAG))
    if by_command:
        context.log.info("no alert: `rag-assets refresh` posted about run %s", context.dagster_run.run_id)
    return by_command


def _post(context: dg.RunStatusSensorContext, knowledge_base: KnowledgeBase, text: str) -> None:
    webhook_url = knowledge_base.settings.slack_webhook_url
    problem = post_to_slack(webhook_url.get_secret_value(), text) if webhook_url else ""
    if problem:
        context.log.warning(
            "could not post the Slack alert for run %s: %s", context.dagster_run.run_id, problem
        )
