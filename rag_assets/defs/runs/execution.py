"""One run of the job `refresh`, executed in this process and recorded in the Dagster instance.

The run is the same as one launched in the UI: job, code location, executor, tags, events. Only the launcher is left out, so
no daemon is needed, and its end is known here.
"""

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from rag_assets.defs.jobs import REFRESH_JOB
from rag_assets.defs.runs.log import Report, RunLog
from rag_assets.defs.runs.queue import reason_to_wait
from rag_assets.defs.sensors.alerting import slack_alerts
from rag_assets.errors import StateFormatError
from rag_assets.secret_values import shown_error

DEFINITIONS = "rag_assets.definitions"
_LOCATION = "rag_assets"
"""Name of the code location in workspace.yaml and pyproject.toml."""
_REPOSITORY = "__repository__"
_WAIT_SECONDS = 1.0
_SAY_AGAIN_SECONDS = 30.0


class CanceledError(Exception):
    """Canceled before the run began."""


class Cancellation:
    """Ends a run as canceled, on request.

    Dagster ends an interrupted run as failed, unless it was reported as being canceled before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._instance: dg.DagsterInstance | None = None
        self._run: dg.DagsterRun | None = None

    def ask(self) -> None:
        """Cancel the run, from another thread. A run that has not begun never begins."""
        with self._lock:
            if self._asked.is_set():
                return
            self._asked.set()
            if self._instance is not None and self._run is not None:
                self._instance.report_run_canceling(self._run, "Canceled from the command line.")
                os.kill(os.getpid(), SIGINT)

    def notice(self) -> None:
        """End the run after it was reported as canceled elsewhere, as *Terminate* in the UI does."""
        with self._lock:
            if self._run is not None and not self._asked.is_set():
                self._asked.set()
                os.kill(os.getpid(), SIGINT)

    def check(self) -> None:
        """Raise `CanceledError` if the run is not wanted any more."""
        if self._asked.is_set():
            raise CanceledError

    def wait(self, seconds: float) -> None:
        self._asked.wait(seconds)
        self.check()

    def begin(self, instance: dg.DagsterInstance, create: Callable[[], dg.DagsterRun]) -> dg.DagsterRun:
        """Create the run, unless it has been canceled."""
        with self._lock:
            self.check()
            self._instance, self._run = instance, create()
            return self._run

    def end(self) -> None:
        """The run has ended: nothing is left to cancel."""
        with self._lock:
            self._run = None


@dataclass(frozen=True, slots=True)
class Execution:
    """What a run needs: the instance, where its events are reported, and its cancellation."""

    instance: dg.DagsterInstance
    report: Report
    cancellation: Cancellation

    def run(self, production: str | None) -> dg.DagsterRun:
        """Execute the job `refresh`, and return the run after its end.

        Args:
            production: the generation in production now. It is reported with the run: this process may be killed.

        Raises:
            CanceledError: the run was canceled before it began.
        """
        job = _reconstructable_job()
        definition = job.get_definition()
        tags = dict(definition.run_tags)
        self._wait_for_turn(tags)
        run = self.cancellation.begin(self.instance, lambda: self._create(job, tags))
        self.report("run", run_id=run.run_id, production=production)
        with RunLog(self.instance, run.run_id, self.report, self.cancellation.notice):
            try:
                execute_run(job, run, self.instance)
            except Exception as error:
                # For example a resource that cannot be opened. The run has recorded its failure.
                traceback.print_exception(shown_error(error))
            self.cancellation.end()
        return _existing(self.instance, run.run_id)

    def _wait_for_turn(self, tags: dict[str, str]) -> None:
        said_at = -_SAY_AGAIN_SECONDS
        while reason := reason_to_wait(self.instance, tags):
            if time.monotonic() - said_at >= _SAY_AGAIN_SECONDS:
                said_at = time.monotonic()
                self.report("state", text=f"waiting: {reason}")
            self.cancellation.wait(_WAIT_SECONDS)

    def _create(self, job: ReconstructableJob, tags: dict[str, str]) -> dg.DagsterRun:
        load_data = job.repository.get_definition().repository_load_data
        return self.instance.create_run_for_job(
            job_def=job.get_definition(),
            tags=tags,
            job_code_origin=job.get_python_origin(),
            repository_load_data=load_data,
            remote_job_origin=RemoteJobOrigin(_repository_origin(self.instance), REFRESH_JOB),
        )


def bury(instance: dg.DagsterInstance, run_id: str, reason: str) -> dg.DagsterRun:
    """Record the end of a run whose process died, and return the run.

    Dagster would show it as running for ever, and keep its pool slots.

    Args:
        reason: in words, or `canceled` if a person killed it.
    """
    run = _existing(instance, run_id)
    if not run.is_finished:
        if reason == "canceled":
            instance.report_run_canceled(run, "Canceled and killed from the command line.")
        else:
            instance.report_run_failed(run, reason)
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        run = _existing(instance, run_id)
    return run


def _existing(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    run = instance.get_run_by_id(run_id)
    if run is None:
        raise StateFormatError(f"run {run_id} is not in the Dagster instance any more")
    return run


def _reconstructable_job() -> ReconstructableJob:
    """Return the job, so that the processes of single steps can load it again."""
    pointer = ModuleCodePointer(DEFINITIONS, "defs", str(Path.cwd()))
    return ReconstructableRepository(pointer, executable_path=sys.executable).get_reconstructable_job(
        REFRESH_JOB
    )


def _repository_origin(instance: dg.DagsterInstance) -> RemoteRepositoryOrigin:
    """Return the code location of the run: that of the daemon on this instance, else that of the workspace file.

    The UI shows a run below the job and the lineage of its code location.
    """
    origins = {
        state.origin.repository_origin.get_label(): state.origin.repository_origin
        for state in instance.all_instigator_state()
        if state.name == slack_alerts.name
    }
    if len(origins) == 1:
        return next(iter(origins.values()))
    location = ManagedGrpcPythonEnvCodeLocationOrigin(
        LoadableTargetOrigin(module_name=DEFINITIONS), location_name=_LOCATION
    )
    default = RemoteRepositoryOrigin(location, _REPOSITORY)
    return origins.get(default.get_label(), default)
