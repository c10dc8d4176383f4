"""The result of a run for a person: read from its events, and from production afterwards."""

import dagster as dg

from rag_assets.alerts.teller import Teller
from rag_assets.artifacts.last_outcome import OutcomeRecord, record_failure
from rag_assets.defs.mlflow.reports import report_address
from rag_assets.defs.runs.facts import facts_of
from rag_assets.defs.runs.record import recorded_run
from rag_assets.defs.runs.run_result import result_of
from rag_assets.errors import RagAssetsError
from rag_assets.inspection.pending_approvals import pending_approvals
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.outcome import Outcome
from rag_assets.refresh.result import RefreshResult, add_production
from rag_assets.settings import load_settings
from rag_assets.tracking.composition import RunEnd
from rag_assets.tracking.observer import Observer


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
    """Return the result of a finished run. Its lease is released, and its messages go to Slack."""
    result = result_of(run, recorded_run(instance, run.run_id))
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
        if recorded is not None and recorded.run_id == run.run_id:
            _keep_success(result, Outcome(recorded.outcome))
        if result.outcome is Outcome.CANCELED:
            records.put(Outcome.CANCELED, result.failed_step, run.run_id)
        elif result.outcome is Outcome.FAILED and (recorded is None or recorded.run_id != run.run_id):
            # A killed process, or a failure outside of the steps.
            step = result.failed_step or "refresh"
            record_failure(knowledge_base.failures.folder, Outcome.FAILED, step, run.run_id, result.reason)
        _record(
            instance, knowledge_base, result, by_step=recorded is not None and recorded.run_id == run.run_id
        )
    except RagAssetsError as error:
        result.notes.append(f"the end of the run could not be recorded: {error}")
    finally:
        result.alert = _told(instance, run, knowledge_base)
        knowledge_base.close()
    return result


def _told(instance: dg.DagsterInstance, run: dg.DagsterRun, knowledge_base: KnowledgeBase) -> str:
    """Tell Slack about the run, and return what became of it in words. The sensor of a daemon finds it told."""
    teller = Teller(knowledge_base)
    records = instance.get_run_records(dg.RunsFilter(run_ids=[run.run_id])) if teller.is_on else []
    report = teller.tell([facts_of(instance, record) for record in records]) if records else None
    if report is None or not (report.num_posted or report.problem):
        return ""
    if report.num_waiting:
        return f"not posted: {report.problem}. The daemon or the next refresh tries again"
    return "posted to Slack"


def _keep_success(result: RefreshResult, recorded: Outcome) -> None:
    """Let a refresh stay successful if its run failed afterwards, for example because Dagster's storage went away."""
    if result.outcome is Outcome.FAILED and recorded in (Outcome.LIVE, Outcome.UNCHANGED, Outcome.HELD):
        result.notes.append(f"the run failed after the end of its refresh. {result.reason}")
        result.outcome, result.reason, result.failed_step = recorded, "", ""


def _record(
    instance: dg.DagsterInstance, knowledge_base: KnowledgeBase, result: RefreshResult, *, by_step: bool
) -> None:
    """Record the run for the metadata tables, if no step did: its process died, or it ended before its first step."""
    observer = Observer(knowledge_base, report_address(instance, result.run_id))
    if observer.is_open(result.run_id) or not by_step:
        observer.end_run(RunEnd(result.run_id, result.outcome, result.failed_step, reason=result.reason))
    elif result.outcome is Outcome.CANCELED:
        observer.deliver_runs()
    result.notes.extend(observer.delays())
