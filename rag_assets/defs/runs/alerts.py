"""The Slack alerts about a run. The sensors post them, and `rag-assets refresh` where no daemon runs.

Each run is alerted by one of the two. Which one is decided when the run starts, and stands in a tag of the run.
"""

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg

from rag_assets.alerts.delivery import post_to_slack
from rag_assets.alerts.messages import DamageAlert, DegradedAlert, FailureAlert
from rag_assets.defs.asset_step import ALERTED_IN_A_ROW
from rag_assets.defs.assets import ALL_ASSETS
from rag_assets.defs.decisions import rollback
from rag_assets.defs.metadata.generations import PRODUCTION_DAMAGE_KEY
from rag_assets.defs.metadata.raw_documents import NEWLY_UNREADABLE_KEY, UNREADABLE_KEY
from rag_assets.defs.runs.record import failure_of, metadata_of
from rag_assets.errors import MENDED_BY_REBUILD, RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.outcome import Outcome

ALERTED_BY_TAG = "rag_assets/alerted_by"
"""Tag of a run. The sensors leave a run with `BY_COMMAND` alone."""
BY_COMMAND = "command"
_ASSET_KEYS = frozenset(asset.key for asset in ALL_ASSETS)
_SENSOR_DAEMON = "SENSOR"
# A daemon writes its heartbeat every 30 s.
_HEARTBEAT_SECONDS = 90


def daemon_alerts(instance: dg.DagsterInstance, sensor_name: str) -> bool:
    """Whether a daemon is alive and has evaluated this sensor, so that it sees the end of a run."""
    heartbeat = instance.get_daemon_heartbeats().get(_SENSOR_DAEMON)
    if heartbeat is None or time.time() - heartbeat.timestamp > _HEARTBEAT_SECONDS:
        return False
    return any(state.name == sensor_name for state in instance.all_instigator_state())


def is_ours(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Recognize runs of this knowledge base: they plan one of its assets, or roll back."""
    planned = instance.get_records_for_run(
        run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    ).records
    keys = {record.asset_key for record in planned}
    return run.job_name == rollback.name or not keys.isdisjoint(_ASSET_KEYS)


def reason_for_silence(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Return why nothing is posted about a failed run, or ""."""
    failure = failure_of(instance, run.run_id)
    if failure is None:
        return ""
    if failure.is_repeated:
        return "an earlier run was refused for the same reason"
    if failure.outcome is Outcome.SUPERSEDED and failure.num_superseded_in_a_row != ALERTED_IN_A_ROW:
        return f"run {run.run_id} was superseded by another refresh"
    return ""


def failure_alert(instance: dg.DagsterInstance, run: dg.DagsterRun, knowledge_base: KnowledgeBase) -> str:
    """Return the text of the alert about a failed run."""
    failure = failure_of(instance, run.run_id)
    alert = FailureAlert(
        job_name=run.job_name,
        run_id=run.run_id,
        failed_step=failure.step if failure else "",
        reason=failure.reason if failure else "",
        production=_production(knowledge_base),
        unreadable_sources=_problems(metadata_of(instance, run.run_id), UNREADABLE_KEY),
        production_damage=_production_damage(knowledge_base),
        hold=_hold(knowledge_base),
    )
    return alert.text()


def degraded_alerts(
    instance: dg.DagsterInstance, run: dg.DagsterRun, knowledge_base: KnowledgeBase
) -> list[str]:
    """Return the texts of the alerts about a run that succeeded in spite of a damage, or without a source."""
    metadata = metadata_of(instance, run.run_id)
    production, hold, texts = _production(knowledge_base), _hold(knowledge_base), list[str]()
    if damage := _value(metadata, PRODUCTION_DAMAGE_KEY):
        texts.append(DamageAlert(run.run_id, str(damage), production, hold).text())
    if problems := _problems(metadata, NEWLY_UNREADABLE_KEY):
        texts.append(DegradedAlert(run.run_id, problems, production, hold).text())
    return texts


def post_alerts(
    instance: dg.DagsterInstance, run: dg.DagsterRun, knowledge_base: KnowledgeBase
) -> tuple[int, str]:
    """Post the alerts about a finished run of `rag-assets refresh`.

    If that fails, the tag of the run is emptied, and the sensors of a later daemon post them.

    Returns:
        The number of posted alerts, and the problem in words or "".
    """
    webhook_url = knowledge_base.settings.slack_webhook_url
    texts: list[str] = []
    if run.status is dg.DagsterRunStatus.FAILURE and not reason_for_silence(instance, run):
        texts = [failure_alert(instance, run, knowledge_base)]
    elif run.status is dg.DagsterRunStatus.SUCCESS:
        texts = degraded_alerts(instance, run, knowledge_base)
    if webhook_url is None or not texts:
        return 0, ""
    for posted, text in enumerate(texts):
        if problem := post_to_slack(webhook_url.get_secret_value(), text):
            instance.add_run_tags(run.run_id, {ALERTED_BY_TAG: ""})
            return posted, problem
    return len(texts), ""


def _value(metadata: Mapping[str, Mapping[str, Any]], key: str) -> object:
    """Return the value of a key in the metadata of the first asset with that key."""
    return next((values[key] for values in metadata.values() if key in values), None)


def _problems(metadata: Mapping[str, Mapping[str, Any]], key: str) -> dict[str, str]:
    """Return source -> problem."""
    problems = _value(metadata, key)
    if not isinstance(problems, dict):
        return {}
    return {str(source): str(problem) for source, problem in problems.items()}


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
