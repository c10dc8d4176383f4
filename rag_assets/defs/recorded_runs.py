"""The begin and the end of each run for metadata tables and MLflow, seen from its steps: with one process per step none sees all."""

import time
from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from rag_assets.artifacts.last_outcome import OutcomeRecord
from rag_assets.defs.mlflow.reports import report_address
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.outcome import Outcome
from rag_assets.tracking.composition import RunEnd
from rag_assets.tracking.observer import Observer
from rag_assets.tracking.records import PARTIAL

STEPS = (
    "raw_documents",
    "deduped_documents",
    "chunks",
    "embeddings",
    "staging_collection",
    "eval_report",
    "eval_report_recall_gate",
    "production_collection",
)
"""The steps of a refresh, in order. Each waits for the one before."""


@contextmanager
def run_recorded(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, knowledge_base: KnowledgeBase
) -> Generator[None]:
    """Note a step, and record the end of the run after its last step, a failure or an interruption."""
    run_id = context.run.run_id
    observer = Observer(knowledge_base, report_address(context.instance, run_id))
    step = context.op_execution_context.op.name
    observer.begin_step(run_id, step)
    if step == STEPS[0]:
        observer.send_again()
    started_at = time.monotonic()
    try:
        yield
    except dg.RetryRequested:
        raise
    except Exception as error:
        failed = RunEnd(run_id, Outcome.FAILED, step, reason=f"unexpected {type(error).__name__}")
        observer.end_run(_recorded_end(knowledge_base, run_id) or failed)
        raise
    except BaseException:
        _end_interrupted(context, knowledge_base, observer, step)
        raise
    observer.end_step(run_id, step, time.monotonic() - started_at)
    end = _recorded_end(knowledge_base, run_id)
    if end is None and _is_last_step(context, step):
        end = RunEnd(run_id, PARTIAL, step)
    if end is not None:
        observer.end_run(end)


def _recorded_end(knowledge_base: KnowledgeBase, run_id: str) -> RunEnd | None:
    found = OutcomeRecord(knowledge_base.failures.folder).get()
    if found is None or found.run_id != run_id:
        return None
    return RunEnd(run_id, found.outcome, found.step, found.generation, found.message)


def _end_interrupted(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext,
    knowledge_base: KnowledgeBase,
    observer: Observer,
    step: str,
) -> None:
    """Record a canceled run at once. Its process may not live long enough to deliver the record."""
    run = context.instance.get_run_by_id(context.run.run_id)
    if run is not None and run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED):
        OutcomeRecord(knowledge_base.failures.folder).put(Outcome.CANCELED, step, run.run_id)
        observer.end_run(RunEnd(run.run_id, Outcome.CANCELED, step), delivers=False)


def _is_last_step(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, step: str) -> bool:
    """Whether no later one of our steps is in this run."""
    names = set(context.job_def.graph.node_dict)
    selected = context.run.step_keys_to_execute
    planned = [one for one in STEPS if one in names and (selected is None or one in selected)]
    return planned[-1:] == [step]
