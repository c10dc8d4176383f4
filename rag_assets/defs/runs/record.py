"""The record of a run in Dagster, in our own terms: results of its assets, and the reason for its failure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from rag_assets.defs.asset_step import ERROR_KEY, GATE, IN_A_ROW_KEY
from rag_assets.defs.storage_errors import StorageUnavailable
from rag_assets.errors import RagAssetsError
from rag_assets.refresh.outcome import OUTCOME_KEY, Outcome

_IN_OUR_WORDS = (
    f"{RagAssetsError.__module__}.",
    f"{StorageUnavailable.__module__}.",
    "dagster._core.definitions.events.Failure",
)
_MARKED = "This run has been marked as failed from outside"
"""Dagster's own message for a run with the reason in the event before."""
_CRASHED = re.compile(r"was terminated by signal \d+ \(\w+\)|unexpectedly exited with code -?\d+")
_NO_MESSAGE = "the run stopped without an error message; see its log in the Dagster UI"


class _RecordedError(Protocol):
    """An error in the event log, as Dagster records it."""

    @property
    def message(self) -> str: ...
    @property
    def cls_name(self) -> str | None: ...
    @property
    def cause(self) -> "_RecordedError | None": ...


@dataclass(frozen=True, slots=True)
class RunFailure:
    """Why a run failed.

    Attributes:
        step: failed step, "" if the run failed outside its steps.
        num_superseded_in_a_row: 0 if it was not superseded.
        error_type: the type of the error.
        is_from_outside: whether the run did not end itself: its process died, or could not be launched.
    """

    step: str
    reason: str
    outcome: Outcome = Outcome.FAILED
    num_superseded_in_a_row: int = 0
    error_type: str = ""
    is_from_outside: bool = False


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What the events of a run say.

    Attributes:
        metadata: asset -> key -> plain value.
        failure: the first one.
        gate: evaluation of the gate, None without one.
    """

    metadata: dict[str, dict[str, Any]]
    failure: RunFailure | None
    gate: dg.AssetCheckEvaluation | None


def recorded_run(instance: dg.DagsterInstance, run_id: str) -> RecordedRun:
    """Read the events of a run."""
    run = instance.get_run_by_id(run_id)
    # A paused run that was taken for dead may come back and succeed: its failure is none.
    has_failed = run is None or run.status is not dg.DagsterRunStatus.SUCCESS
    failure = failure_of(instance, run_id) if has_failed else None
    return RecordedRun(metadata_of(instance, run_id), failure, _gate_evaluation(instance, run_id))


def metadata_of(instance: dg.DagsterInstance, run_id: str) -> dict[str, dict[str, Any]]:
    """Return asset -> key -> plain value, of the materializations of a run."""
    found: dict[str, dict[str, Any]] = {}
    for record in instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    ).records:
        materialization = record.asset_materialization
        if materialization is not None:
            found[materialization.asset_key.to_user_string()] = plain(materialization.metadata)
    return found


def _gate_evaluation(instance: dg.DagsterInstance, run_id: str) -> dg.AssetCheckEvaluation | None:
    evaluated = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    for record in instance.get_records_for_run(run_id, of_type=evaluated).records:
        event = record.event_log_entry.dagster_event
        if event is not None and event.asset_check_evaluation_data.check_name == GATE:
            return event.asset_check_evaluation_data
    return None


def plain(metadata: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, Any]:
    """Return the values of metadata without Dagster's types."""
    return {key: value.value for key, value in metadata.items()}


def failure_of(instance: dg.DagsterInstance, run_id: str) -> RunFailure | None:
    """Return the first failure of a run, or None."""
    for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records:
        event = record.event_log_entry.dagster_event
        if event is not None:
            return failure_of_step(event)
    # For example invalid settings, or a process that was killed.
    for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records:
        event = record.event_log_entry.dagster_event
        if event is not None:
            error = event.job_failure_data.error if event.event_specific_data else None
            return (
                RunFailure("", reason_in(error)) if error else _failure_from_outside(instance, run_id, event)
            )
    return None


def _failure_from_outside(instance: dg.DagsterInstance, run_id: str, event: dg.DagsterEvent) -> RunFailure:
    """Return the failure of a run marked as failed by others: a launcher, a code server, run monitoring, or our sensor."""
    reason, error_type = event.message or _NO_MESSAGE, ""
    if reason.startswith(_MARKED):
        # The reason is in the event before.
        for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records:
            before = record.event_log_entry.dagster_event
            if before is None or before.event_specific_data is None:
                continue
            if error := before.engine_event_data.error:
                reason, error_type = f"it could not be launched: {reason_in(error)}", error.cls_name or ""
            elif crash := _CRASHED.search(before.message or ""):
                reason, error_type = f"its process {crash[0]}", ""
    step = step_under_way(instance, run_id)
    return RunFailure(step, reason, error_type=error_type, is_from_outside=True)


def step_under_way(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return the step under way, "" if there is none."""
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


def failure_of_step(event: dg.DagsterEvent) -> RunFailure:
    data, step = event.step_failure_data, event.step_key or ""
    declared = data.user_failure_data
    if declared is None:
        return RunFailure(step, reason_in(data.error), error_type=_type_in(data.error))
    values = plain(declared.metadata)
    return RunFailure(
        step,
        declared.description or "",
        Outcome(values.get(OUTCOME_KEY, Outcome.FAILED)),
        int(values.get(IN_A_ROW_KEY, 0)),
        str(values.get(ERROR_KEY, "")),
    )


def _type_in(error: _RecordedError | None) -> str:
    while error is not None and error.message.startswith("dagster.") and error.cause is not None:
        error = error.cause
    return (error.cls_name or "") if error is not None else ""


def reason_in(error: _RecordedError | None, log: str = "the log of the run") -> str:
    """Return the message of one of our own errors, or the type of any other: its message may quote a document.

    Args:
        log: where the whole error is, in words.
    """
    while error is not None and error.message.startswith("dagster.") and error.cause is not None:
        error = error.cause  # Dagster wraps the errors of steps and resources in its own
    if error is None:
        return _NO_MESSAGE
    if error.cls_name == DagsterExecutionInterruptedError.__name__:
        return "interrupted"
    if error.message.startswith(_IN_OUR_WORDS):
        return error.message.partition(": ")[2].strip()
    return f"unexpected {error.cls_name}; see {log} in the Dagster UI"
