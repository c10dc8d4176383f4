"""Ends the runs whose process died. Dagster would show them as running for ever, and keep their pool slots."""

import logging
import time

import dagster as dg

from rag_assets.alerts.book import Book
from rag_assets.alerts.dead_runs import dead_runs
from rag_assets.defs.run_tags import LEASE_TAG, tag_run
from rag_assets.errors import RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.lease import live_holder
from rag_assets.tracking.composition import RunEnd
from rag_assets.tracking.observer import Observer
from rag_assets.tracking.records import DIED

_RUNNING = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_DELIVERY_SECONDS = 5.0
_logger = logging.getLogger(__name__)


def end_dead_runs(instance: dg.DagsterInstance, knowledge_base: KnowledgeBase, book: Book) -> list[str]:
    """Mark runs as failed that had the lease, lost it more than ten minutes ago, and have not ended. Return their ids."""
    runs = {
        run.run_id: run
        for run in instance.get_runs(dg.RunsFilter(statuses=_RUNNING, tags={LEASE_TAG: "yes"}))
    }
    try:
        holder = live_holder(knowledge_base.ledger) if runs else None
    except RagAssetsError:
        return []  # unknown, so none is dead
    dead, book.lease_lost_at = dead_runs(
        runs, holder.owner if holder else None, book.lease_lost_at, time.time()
    )
    for run_id in dead:
        _end(instance, knowledge_base, runs[run_id])
    return dead


def _end(instance: dg.DagsterInstance, knowledge_base: KnowledgeBase, run: dg.DagsterRun) -> None:
    step = _step_under_way(instance, run.run_id)
    reason = (
        f"the process of this run died{f' during {step}' if step else ''}, and said nothing for ten minutes"
    )
    tag_run(instance, run.run_id, outcome=DIED)
    instance.report_run_failed(run, f"{reason[0].upper()}{reason[1:]}")
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    observer = Observer(knowledge_base)
    if observer.is_open(run.run_id):
        observer.end_run(RunEnd(run.run_id, DIED, step, reason=reason), delivers=False)
        observer.deliver(_DELIVERY_SECONDS)


def _step_under_way(instance: dg.DagsterInstance, run_id: str) -> str:
    ended = {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}
    started: dict[str, None] = {}
    records = instance.get_records_for_run(run_id, of_type={dg.DagsterEventType.STEP_START, *ended}).records
    for record in records:
        entry = record.event_log_entry
        if entry.dagster_event is None or entry.step_key is None:
            continue
        if entry.dagster_event.event_type in ended:
            started.pop(entry.step_key, None)
        else:
            started[entry.step_key] = None
    return next(iter(started), "")
