"""The result of a run for a person: read from its events, and from production afterwards."""

from typing import Any

import dagster as dg

from rag_assets.artifacts.last_outcome import OutcomeRecord, record_failure
from rag_assets.changes.change_set import Change
from rag_assets.defs.asset_step import GATE
from rag_assets.defs.metadata.raw_documents import UNREADABLE_KEY
from rag_assets.defs.runs.alerts import ALERTED_BY_TAG, post_alerts
from rag_assets.defs.runs.record import failure_of, metadata_of
from rag_assets.errors import RagAssetsError
from rag_assets.inspection.pending_approvals import pending_approvals
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.outcome import OUTCOME_KEY, Outcome
from rag_assets.refresh.result import RefreshResult, add_production
from rag_assets.settings import load_settings
from rag_assets.tracking.composition import RunEnd
from rag_assets.tracking.observer import Observer, lag_in_words


def begin() -> str | None:
    """Return the generation in production before the run, None if there is none or it cannot be asked."""
    knowledge_base = KnowledgeBase(load_settings())
    try:
        return knowledge_base.vector_store.production_state().production
    except RagAssetsError:
        return None  # the run says why
    finally:
        knowledge_base.close()


def finish(instance: dg.DagsterInstance, run: dg.DagsterRun, before: str | None) -> RefreshResult:
    """Return the result of a finished run. Its lease is released, and its alerts are posted if no daemon does it."""
    result = result_of(instance, run)
    result.production_before = before
    knowledge_base = KnowledgeBase(load_settings())
    add_production(result, knowledge_base)
    try:
        # With one process per step, none sees the end of a canceled run.
        knowledge_base.ledger.release_lease(run.run_id)
        result.waiting_approvals = [
            one["token"] for one in pending_approvals(knowledge_base) if not one["is_approved"]
        ]
        records = OutcomeRecord(knowledge_base.failures.folder)
        recorded = records.get()
        if result.outcome is Outcome.CANCELED:
            records.put(Outcome.CANCELED, result.failed_step, run.run_id)
        elif result.outcome is Outcome.FAILED and (recorded is None or recorded.run_id != run.run_id):
            # A killed process, or a failure outside of the steps.
            step = result.failed_step or "refresh"
            record_failure(knowledge_base.failures.folder, Outcome.FAILED, step, run.run_id, result.reason)
        _record(knowledge_base, result, by_step=recorded is not None and recorded.run_id == run.run_id)
    except RagAssetsError as error:
        result.notes.append(f"the end of the run could not be recorded: {error}")
    finally:
        if run.tags.get(ALERTED_BY_TAG):
            posted, problem = post_alerts(instance, run, knowledge_base)
            if problem:
                result.alert = f"not posted: {problem}"
            elif posted:
                result.alert = "posted to Slack"
        knowledge_base.close()
    return result


def _record(knowledge_base: KnowledgeBase, result: RefreshResult, *, by_step: bool) -> None:
    """Record the run for the metadata tables, if no step did: its process died, or it ended before its first step."""
    observer = Observer(knowledge_base)
    if observer.is_open(result.run_id) or not by_step:
        observer.end_run(RunEnd(result.run_id, result.outcome, result.failed_step, reason=result.reason))
    elif result.outcome is Outcome.CANCELED:
        observer.deliver()
    if lag := observer.lag():
        result.notes.append(lag_in_words(lag))


def result_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RefreshResult:
    """Return what the events of a run say."""
    metadata = metadata_of(instance, run.run_id)
    result = RefreshResult(_outcome(run, metadata), run.run_id, verdict=_verdict(instance, run.run_id))
    failure = failure_of(instance, run.run_id)
    if failure is not None:
        result.failed_step = failure.step
        if result.outcome is not Outcome.CANCELED:
            result.outcome, result.reason = failure.outcome, failure.reason
    raw, compared = metadata.get("raw_documents", {}), metadata.get("deduped_documents", {})
    embedded, staged = metadata.get("embeddings", {}), metadata.get("staging_collection", {})
    result.changes = {key: compared[key] for change in Change if (key := f"num_{change.value}") in compared}
    result.num_tokens = sum(one.get("num_tokens", 0) for one in (raw, embedded))
    costs = [one.get("cost_usd", 0.0) for one in (raw, embedded)]
    result.cost_usd = None if any(isinstance(cost, str) for cost in costs) else sum(costs)
    result.num_probe_tokens = raw.get("num_probe_tokens", 0)
    result.unreadable_sources = raw.get(UNREADABLE_KEY, {})
    result.num_quarantined = raw.get("num_quarantined", 0) + staged.get("num_quarantined", 0)
    return result


def _outcome(run: dg.DagsterRun, metadata: dict[str, dict[str, Any]]) -> Outcome:
    if run.status is dg.DagsterRunStatus.SUCCESS:
        return Outcome(metadata.get("production_collection", {}).get(OUTCOME_KEY, Outcome.FAILED))
    canceled = (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELING)
    return Outcome.CANCELED if run.status in canceled else Outcome.FAILED


def _verdict(instance: dg.DagsterInstance, run_id: str) -> str:
    for record in instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        evaluation = event.asset_check_evaluation_data
        if evaluation.check_name == GATE:
            return evaluation.description or ""
    return ""
