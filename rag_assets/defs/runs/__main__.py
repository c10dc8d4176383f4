"""The process of one refresh. `rag-assets refresh` starts it, shows its reports and cancels it.

    python -m rag_assets.defs.runs REPORTS CONTROL [RUN REASON PRODUCTION]

REPORTS and CONTROL are file descriptors of two pipes. Reports are JSON objects, one a line. The last one is the result. A
byte from CONTROL, or its end, cancels the run. Standard output and error have Dagster's own log. With RUN, the process of that
run has died: it is recorded as failed for this REASON, or as canceled. PRODUCTION served before it, "" if nothing did.
"""

import contextlib
import json
import logging
import os
import select
import signal
import sys
import threading
import traceback
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import yaml
from dagster import DagsterError
from dagster._cli.utils import get_possibly_temporary_instance_for_cli
from dagster._core.instance.config import is_dagster_home_set
from dagster._utils import interrupts

from rag_assets.defs.runs.execution import CanceledError, Cancellation, Execution, bury
from rag_assets.defs.runs.queue import require_own_process
from rag_assets.defs.runs.results import begin, finish
from rag_assets.defs.storage_errors import storage_problem
from rag_assets.errors import RagAssetsError
from rag_assets.refresh.outcome import Outcome, outcome_of
from rag_assets.refresh.result import RefreshResult
from rag_assets.secret_values import hide_secrets_in_logs, shown_error, without_secrets


class _Reports:
    """Writes reports into a pipe. A reader that went away is noticed at the other pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def __call__(self, kind: str, /, **values: Any) -> None:
        line = json.dumps({"kind": kind, **values}).encode() + b"\n"
        with self._lock, contextlib.suppress(BrokenPipeError):
            while line:
                line = line[os.write(self._descriptor, line) :]


def main(reports: int, control: int, run_id: str = "", reason: str = "", production: str = "") -> None:
    """Refresh, or end the run of a dead process, and report the result."""
    hide_secrets_in_logs()
    report, cancellation = _Reports(reports), Cancellation()
    watched = (control, _pipe_of_sigterm())
    threading.Thread(target=_watch, args=(watched, cancellation), name="control", daemon=True).start()
    # Its messages about a temporary folder and about variables would come before everything else.
    quiet = logging.Logger("instance", logging.CRITICAL)
    try:
        with (
            interrupts.capture_interrupts(),
            get_possibly_temporary_instance_for_cli(logger=quiet) as instance,
        ):
            if run_id:
                result = finish(instance, bury(instance, run_id, reason), production or None)
            else:
                require_own_process(instance)
                before = begin()
                result = finish(instance, Execution(instance, report, cancellation).run(before), before)
            if not is_dagster_home_set() and not Path("dagster.yaml").exists():
                result.notes.append(
                    f"Dagster keeps no history of this run: DAGSTER_HOME is not set, and {Path.cwd()} has no dagster.yaml"
                )
    except CanceledError:
        result = RefreshResult(Outcome.CANCELED)
    except RagAssetsError as error:
        result = RefreshResult(outcome_of(error), reason=str(error))
    except Exception as error:
        traceback.print_exception(shown_error(error))
        result = RefreshResult(Outcome.FAILED, reason=_reason(error))
    report("result", **asdict(result))


def _reason(error: Exception) -> str:
    if problem := storage_problem(error):
        return problem
    if isinstance(error, yaml.YAMLError):
        return f"dagster.yaml is no valid YAML: {_first_line(error)}"
    if isinstance(error, DagsterError):
        # Of the instance, for example: DAGSTER_HOME is no folder, or dagster.yaml is invalid.
        return f"Dagster: {_first_line(error)}"
    return f"unexpected {type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return (without_secrets(str(error)).strip().splitlines() or [""])[0]


def _pipe_of_sigterm() -> int:
    """Return a pipe with a byte after SIGTERM, which a service manager sends to this process too.

    Dagster would take it for an interruption of unknown origin, and end the run as failed.
    """
    signals, written = os.pipe()
    os.set_blocking(written, False)
    signal.signal(signal.SIGTERM, _only_wake_up)
    signal.set_wakeup_fd(written)
    interrupts.setup_interrupt_handlers = lambda: None  # sets the handler of SIGINT for SIGTERM too
    return signals


def _only_wake_up(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: without a handler, the signal would write no byte."""


def _watch(pipes: tuple[int, ...], cancellation: Cancellation) -> None:
    """Cancel the run as soon as one of the pipes has a byte, or ends."""
    select.select(pipes, (), ())
    cancellation.ask()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
