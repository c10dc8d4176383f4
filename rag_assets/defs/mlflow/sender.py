"""Sends the waiting records to MLflow, in order, one process at a time. Each becomes one run.

A failure is noted in the outbox, for `status` and `doctor`, and is a warning in a run of Dagster: the one behind the sender.
The next refresh sends again.
"""

import logging
import math
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from rag_assets.defs.mlflow.reports import DagsterRuns
from rag_assets.disk.file_locks import take_lock
from rag_assets.time_limits import NothingCame, within
from rag_assets.tracking.mlflow_observer import mlflow_lag_in_words
from rag_assets.tracking.mlflow_process import Sending
from rag_assets.tracking.mlflow_run import mlflow_run
from rag_assets.tracking.outbox import Outbox

if TYPE_CHECKING:
    from rag_assets.defs.mlflow.runs import MlflowRuns

_IMPORT_SECONDS = 120
"""On a busy machine. Also for the creation of a database."""
_logger = logging.getLogger("rag_assets")


def send(sending: Sending) -> None:
    """Send all waiting records, and new ones meanwhile."""
    # Another sender may be at work, and may have missed the last record.
    if not take_lock(sending.lock, time.monotonic() + sending.seconds + _IMPORT_SECONDS):
        return
    signal.alarm(math.ceil(sending.seconds) + _IMPORT_SECONDS)
    outbox = Outbox(Path(sending.folder), "MLflow")
    if not outbox.num_waiting:
        return
    with DagsterRuns(sending.reports_to) as dagster_runs:
        problem = _problem_of_sending(sending, outbox, dagster_runs)
        if problem:
            _logger.warning("%s", mlflow_lag_in_words(outbox.note_problem(problem)))
        else:
            outbox.forget_problem()


def _problem_of_sending(sending: Sending, outbox: Outbox, dagster_runs: DagsterRuns) -> str:
    try:
        from rag_assets.defs.mlflow.runs import MlflowRuns, explain
    except Exception as error:  # of packages that do not fit together
        return f"dagster-mlflow cannot be imported ({type(error).__name__})"
    try:
        within(
            sending.seconds,
            lambda: _send_all(sending, outbox, MlflowRuns(sending.experiment), dagster_runs),
        )
    except NothingCame:
        return f"{sending.place}: no answer within {sending.seconds:.0f} s. Check that MLflow is up and reachable"
    except Exception as error:  # of MLflow, its server, or the disk
        return f"{sending.place}: {explain(error)}"
    return ""


def _send_all(sending: Sending, outbox: Outbox, runs: "MlflowRuns", dagster_runs: DagsterRuns) -> None:
    while waiting := outbox.waiting():
        for path, record in waiting:
            try:
                run = mlflow_run(record, sending.knowledge_base, sending.dagster_url)
            except (KeyError, ValueError, TypeError) as error:
                outbox.set_aside(path, type(error).__name__)
                continue
            answer = runs.put(run)
            if refusal := answer.get("refused"):  # for ever, and it would stop all others
                outbox.set_aside(path, refusal)
                continue
            path.unlink(missing_ok=True)
            dagster_runs.link(record.id, answer["run_id"], _url(sending.page_url, answer))


def _url(page_url: str, answer: Mapping[str, Any]) -> str:
    if not page_url:
        return ""
    experiment, run = quote(answer["experiment_id"]), quote(answer["run_id"])
    return f"{page_url.rstrip('/')}/#/experiments/{experiment}/runs/{run}"
