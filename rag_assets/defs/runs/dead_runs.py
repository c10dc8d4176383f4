"""Ends the runs whose process died. Dagster would show them as running for ever, and keep their pool slots."""

import logging
import time
from collections.abc import Iterable

import dagster as dg

from rag_assets.alerts.book import Book
from rag_assets.alerts.dead_runs import dead_runs
from rag_assets.defs.run_tags import LEASE_TAG, OUTCOME_TAG, tag_run
from rag_assets.defs.runs.facts import is_ours
from rag_assets.defs.runs.record import failure_of, step_under_way
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
        step = step_under_way(instance, run_id)
        during = f" during {step}" if step else ""
        reason = f"the process of this run died{during}, and said nothing for ten minutes"
        tag_run(instance, run_id, outcome=DIED)
        instance.report_run_failed(runs[run_id], f"{reason[0].upper()}{reason[1:]}")
        _clean_up(instance, knowledge_base, RunEnd(run_id, DIED, step, reason=reason))
    return dead


def clean_up_after_deaths(
    instance: dg.DagsterInstance, knowledge_base: KnowledgeBase, ended: Iterable[dg.RunRecord]
) -> None:
    """Free the slots of runs that Dagster itself found dead, and record their end: their processes cannot."""
    for record in ended:
        run = record.dagster_run
        if record.start_time is None or run.status is not dg.DagsterRunStatus.FAILURE:
            continue
        if OUTCOME_TAG in run.tags or not is_ours(instance, run):
            continue
        failure = failure_of(instance, run.run_id)
        if failure is not None and failure.is_from_outside:
            tag_run(instance, run.run_id, outcome=DIED)
            end = RunEnd(run.run_id, DIED, failure.step, reason=failure.reason)
            _clean_up(instance, knowledge_base, end)


def _clean_up(instance: dg.DagsterInstance, knowledge_base: KnowledgeBase, end: RunEnd) -> None:
    instance.event_log_storage.free_concurrency_slots_for_run(end.run_id)
    observer = Observer(knowledge_base)
    if observer.is_open(end.run_id):
        observer.end_run(end, delivers=False)
        observer.deliver(_DELIVERY_SECONDS)
