"""The facts of an ended run for messages, from its record in Dagster."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from rag_assets.alerts.run_facts import Numbers, RunFacts
from rag_assets.changes.change_set import changes_in_words
from rag_assets.defs.assets import ALL_ASSETS
from rag_assets.defs.decisions import approve, resume, rollback
from rag_assets.defs.metadata.generations import PRODUCTION_DAMAGE_KEY
from rag_assets.defs.metadata.plots import plotted
from rag_assets.defs.metadata.raw_documents import NEWLY_UNREADABLE_KEY, UNREADABLE_KEY
from rag_assets.defs.mlflow.reports import MLFLOW_URL_TAG
from rag_assets.defs.run_tags import OUTCOME_TAG
from rag_assets.defs.runs.record import RecordedRun, plain, recorded_run
from rag_assets.defs.runs.run_result import result_of
from rag_assets.refresh.result import RefreshResult
from rag_assets.tracking.records import DIED, PARTIAL

_ASSET_KEYS = frozenset(asset.key for asset in ALL_ASSETS)
_DECISIONS = (rollback.name, resume.name, approve.name)
_DECIDED = "decided"
_PLANNED = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
}
_WILL_RETRY_TAG = "dagster/will_retry"


def is_ours(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Recognize runs of this knowledge base: they plan one of its assets, or a check of one, or roll back."""
    if run.job_name == rollback.name:
        return True
    # A run that only measures plans no asset.
    planned = instance.get_records_for_run(run.run_id, of_type=_PLANNED).records
    events = (record.event_log_entry.dagster_event for record in planned)
    data = [event.event_specific_data for event in events if event is not None]
    return any(getattr(one, "asset_key", None) in _ASSET_KEYS for one in data)


def facts_of(instance: dg.DagsterInstance, record: dg.RunRecord) -> RunFacts:
    """Return the facts of an ended run."""
    run = record.dagster_run
    recorded = recorded_run(instance, run.run_id)
    metadata, failure = recorded.metadata, recorded.failure
    result = result_of(run, recorded)
    raw = metadata.get("raw_documents", {})
    return RunFacts(
        run_id=run.run_id,
        job=run.job_name,
        ended_at=record.end_time or record.update_timestamp.timestamp(),
        outcome=_outcome(record, str(result.outcome), recorded),
        step=failure.step if failure else "",
        reason=result.reason,
        error_type=failure.error_type if failure else "",
        is_retried=run.tags.get(_WILL_RETRY_TAG) == "true",
        num_superseded_in_a_row=failure.num_superseded_in_a_row if failure else 0,
        unreadable_sources={str(name): str(problem) for name, problem in raw.get(UNREADABLE_KEY, {}).items()},
        newly_unreadable=frozenset(map(str, raw.get(NEWLY_UNREADABLE_KEY, ()))),
        read_sources=frozenset(_sources(raw)),
        damage=str(_first(metadata, PRODUCTION_DAMAGE_KEY) or ""),
        generation=str(metadata.get("production_collection", {}).get("generation", "")),
        mlflow_url=run.tags.get(MLFLOW_URL_TAG, ""),
        numbers=_numbers(record, recorded, result),
    )


def _outcome(record: dg.RunRecord, outcome: str, recorded: RecordedRun) -> str:
    run, failure = record.dagster_run, recorded.failure
    if run.status is dg.DagsterRunStatus.FAILURE and failure is not None and failure.is_from_outside:
        is_dead = record.start_time is not None or run.tags.get(OUTCOME_TAG) == DIED
        return DIED if is_dead else outcome  # without a start it was not launched
    if run.status is not dg.DagsterRunStatus.SUCCESS:
        return outcome
    if run.job_name in _DECISIONS:
        return _DECIDED
    return outcome if "production_collection" in recorded.metadata else PARTIAL


def _sources(raw: Mapping[str, Any]) -> list[str]:
    table = raw.get("sources")
    return [str(record.data["source"]) for record in table.records] if table is not None else []


def _numbers(record: dg.RunRecord, recorded: RecordedRun, result: RefreshResult) -> Numbers:
    metadata = recorded.metadata
    report, gate = metadata.get("eval_report", {}), plain(recorded.gate.metadata) if recorded.gate else {}
    raw, embedded = metadata.get("raw_documents", {}), metadata.get("embeddings", {})
    return Numbers(
        recall_at_5=report.get(plotted("recall_at_5"), gate.get("recall_at_5")),
        eval_threshold=gate.get("eval_threshold"),
        mrr=report.get(plotted("mrr")),
        num_documents=raw.get("num_documents"),
        changes=changes_in_words(metadata.get("deduped_documents", {})),
        num_tokens=result.num_tokens if "num_tokens" in {*raw, *embedded} else None,
        cost_usd=result.cost_usd,
        duration_seconds=record.end_time - record.start_time
        if record.end_time and record.start_time
        else None,
    )


def _first(metadata: Mapping[str, Mapping[str, Any]], key: str) -> object:
    """Return the value of a key in the metadata of the first asset with that key."""
    return next((values[key] for values in metadata.values() if key in values), None)
