"""Follows the event log of a run, and reports its steps, messages and sentences while it executes.

The event log has the messages of every process of a run, also with one process per step.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import dagster as dg

from rag_assets.defs.asset_step import GATE
from rag_assets.defs.metadata.sentences import is_warning, sentence
from rag_assets.defs.runs.record import failure_of_step, plain
from rag_assets.refresh.outcome import Outcome

_logger = logging.getLogger(__name__)
_POLL_SECONDS = 0.25
_RECORDS = 1000
_CHECK_STEPS = {f"eval_report_{GATE}": GATE}


class Report(Protocol):
    """Receives one report: its kind, and its values by name."""

    def __call__(self, kind: str, /, **values: Any) -> None: ...


class RunLog:
    """Reports the events of a run while the block executes it, from a thread.

    Args:
        report: receives `step` at a start, `done` and `failed` at an end, `message` in between.
        on_cancel: called when the run is reported as canceled, by this process or another one.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        run_id: str,
        report: Report,
        on_cancel: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_cancel = on_cancel
        self._instance = instance
        self._run_id = run_id
        self._report = report
        self._cursor: str | None = None
        self._started_at: dict[str, float] = {}
        self._sentences: dict[str, str] = {}
        self._warnings: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="run-log", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        while True:
            ended = self._ended.wait(_POLL_SECONDS)
            try:
                while self._read():
                    pass
            except Exception as error:
                # Only what is shown is missing: the run goes on, and the next reading begins at the same place.
                _logger.warning("could not read the event log of the run: %s", type(error).__name__)
            if ended:
                return

    def _read(self) -> bool:
        """Report what is new. Return whether there may be more."""
        connection = self._instance.get_records_for_run(self._run_id, self._cursor, limit=_RECORDS)
        self._cursor = connection.cursor
        entries = [record.event_log_entry for record in connection.records]
        for number, entry in enumerate(entries):
            step = _CHECK_STEPS.get(entry.step_key or "", entry.step_key or "")
            event = entry.dagster_event
            if event is None:
                # Of a step that never began, Dagster says why. The sentence of a step is also the text of its end.
                is_warning = int(entry.level) >= logging.WARNING
                if step in self._started_at and (is_warning or not _ends(entries[number:], entry.step_key)):
                    self._report("message", step=step, level=int(entry.level), text=entry.user_message)
            else:
                self._report_event(event, step, entry.timestamp)
        return connection.has_more

    def _report_event(self, event: dg.DagsterEvent, step: str, timestamp: float) -> None:
        match event.event_type:
            case dg.DagsterEventType.STEP_START:
                self._started_at[step] = timestamp
                self._report("step", step=step)
            case dg.DagsterEventType.ASSET_MATERIALIZATION:
                materialization = event.step_materialization_data.materialization
                metadata = plain(materialization.metadata)
                self._sentences[step] = sentence(step, metadata)
                if is_warning(step, metadata):
                    self._warnings.add(step)
            case dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                if step == GATE:  # other checks are part of an asset, and have its sentence
                    self._sentences[step] = event.asset_check_evaluation_data.description or ""
            case dg.DagsterEventType.STEP_SUCCESS:
                self._end("done", step, timestamp, self._sentences.get(step, ""))
            case dg.DagsterEventType.STEP_FAILURE:
                failure = failure_of_step(event)
                if failure.outcome is Outcome.SUPERSEDED:  # nothing is wrong
                    self._warnings.add(step)
                self._end("failed", step, timestamp, failure.reason)
            case dg.DagsterEventType.RUN_CANCELING | dg.DagsterEventType.RUN_CANCELED:
                self._on_cancel()
            case _:
                pass

    def _end(self, kind: str, step: str, timestamp: float, text: str) -> None:
        seconds = timestamp - self._started_at.get(step, timestamp)
        warns = step in self._warnings
        self._report(kind, step=step, seconds=round(seconds, 2), text=text, warns=warns)


def _ends(entries: Sequence[Any], step_key: str | None) -> bool:
    """Whether these entries have the end of a step."""
    ends = (dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE)
    return any(
        entry.step_key == step_key
        and entry.dagster_event is not None
        and entry.dagster_event.event_type in ends
        for entry in entries
    )
