"""Runs in one MLflow experiment, at most one per refresh. Imports MLflow, so only the process of `__main__` imports it."""

from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
import requests
import urllib3
from dagster_mlflow import mlflow_tracking
from mlflow.entities import Metric, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from rag_assets.errors import causes_of
from rag_assets.tracking.mlflow_run import COMPLETE_TAG, OUTCOME_TAG, RUN_TAG, MlflowRun
from rag_assets.tracking.records import DIED

_JOB = "refresh"
_ARTIFACTS = "mlartifacts"
"""Folder of the files beside an SQLite database. MLflow's own default is the working folder of the process."""

_LISTED_AS_RUNS = {"mlflow.experimentKind": "custom_model_development"}
"""The UI shows runs with parameters and metrics. Otherwise it takes an experiment with evaluations for one of agents."""

_INVALID = "INVALID_PARAMETER_VALUE"
_TIMEOUTS = (requests.exceptions.Timeout, urllib3.exceptions.ReadTimeoutError)


class DeletedExperimentError(Exception):
    """The experiment is in the trash of MLflow."""


class MlflowRuns:
    """The runs of an experiment, created with its first run."""

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment
        self._instance = dg.DagsterInstance.ephemeral()
        self._client = MlflowClient()  # opens an SQLite database, and no connection to a server

    def examine(self) -> str:
        """Return the state of the experiment in words. Changes nothing on a server."""
        found = self._client.get_experiment_by_name(self._experiment)
        if found is None:
            return f"experiment {self._experiment}; the first refresh creates it"
        _require_active(found.lifecycle_stage)
        return f"experiment {self._experiment}"

    def put(self, run: MlflowRun) -> dict[str, str]:
        """Write a run. One that is already there is completed, or replaced if it ended differently.

        Returns:
            Its ids, or `refused` for values that MLflow never takes.
        """
        experiment_id = self._experiment_id()
        found = self._found(experiment_id, run)
        if found is not None and _outcome(found) != run.tags[OUTCOME_TAG]:
            if run.tags[OUTCOME_TAG] == DIED:
                return _answer(experiment_id, found)  # it was not dead: its own record came first
            self._client.delete_run(found.info.run_id)
            found = None
        if found is not None and COMPLETE_TAG in found.data.tags:
            return _answer(experiment_id, found)
        try:
            if found is None:
                # With its tags at once: after a kill or a lost answer, the next attempt finds it by them.
                found = self._client.create_run(experiment_id, run.started_at, run.tags, run.name)
            self._fill(found.info.run_id, run)
        except MlflowException as error:
            if error.error_code == _INVALID:  # now and for ever, unlike an invalid address
                return {"refused": _INVALID}
            raise
        return _answer(experiment_id, found)

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is None:
            return self._client.create_experiment(self._experiment, _artifact_location(), _LISTED_AS_RUNS)
        _require_active(found.lifecycle_stage)
        return found.experiment_id

    def _found(self, experiment_id: str, run: MlflowRun) -> Run | None:
        same = f"tags.{RUN_TAG} = '{run.tags[RUN_TAG]}'"
        order = ["attributes.start_time ASC"]
        found = self._client.search_runs([experiment_id], same, ViewType.ACTIVE_ONLY, order_by=order)
        return found[0] if found else None

    def _fill(self, run_id: str, run: MlflowRun) -> None:
        config = {
            "experiment_name": self._experiment,
            "mlflow_run_id": run_id,
            "env": {},
            "extra_tags": run.tags,
        }
        with dg.build_resources(
            {"mlflow": mlflow_tracking},
            instance=self._instance,
            resource_config={"mlflow": {"config": config}},
            dagster_run=dg.DagsterRun(job_name=_JOB, run_id=run.record_id),
        ) as resources:
            tracking: Any = resources.mlflow
            try:
                tracking.log_params(run.params)
                # With the time of the run: sent again, they are the same points.
                metrics = [Metric(name, value, run.ended_at, 0) for name, value in run.metrics.items()]
                self._client.log_batch(run_id, metrics)
                for name, text in run.files.items():
                    tracking.log_text(text, name)
            finally:
                tracking.end_run(run.status)
        self._client.set_terminated(run_id, run.status, run.ended_at)
        self._client.set_tag(run_id, COMPLETE_TAG, "yes")


def _require_active(lifecycle_stage: str) -> None:
    if lifecycle_stage != "active":
        raise DeletedExperimentError


def _outcome(run: Run) -> str:
    return str(run.data.tags.get(OUTCOME_TAG, ""))


def _answer(experiment_id: str, run: Run) -> dict[str, str]:
    return {"experiment_id": experiment_id, "run_id": run.info.run_id}


def _artifact_location() -> str | None:
    """Return a folder beside an SQLite database, None for the default of a server."""
    uri = mlflow.get_tracking_uri()
    if not uri.startswith("sqlite:"):
        return None
    database = make_url(uri).database
    return (Path(database).absolute().parent / _ARTIFACTS).as_uri() if database else None


def examine(experiment: str) -> dict[str, str]:
    """Return the `detail` of an experiment, or a `problem`."""
    try:
        return {"detail": MlflowRuns(experiment).examine()}
    except Exception as error:
        return {"problem": explain(error)}


def explain(error: Exception) -> str:
    """Return why a run was not written, as a clause with the next step, without addresses, credentials and values."""
    causes = list(causes_of(error))
    # requests calls an answer that did not come in time a lost connection.
    if any(isinstance(cause, _TIMEOUTS) for cause in causes):
        return "the server did not answer in time. Check that it is up and reachable"
    for cause in causes:
        match cause:
            case DeletedExperimentError():
                return "the experiment was deleted. Restore it, or set MLFLOW_EXPERIMENT_NAME"
            case requests.exceptions.SSLError():
                return "its certificate is not trusted. Set REQUESTS_CA_BUNDLE"
            case requests.exceptions.ConnectionError():
                return "the server refused or closed the connection. Check that it is up and reachable"
            case requests.exceptions.RetryError():
                return "the server answered with an error. See its log"
            case MlflowException() if cause.get_http_status_code() in (401, 403):
                return (
                    "the server refused the credentials. Check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                    "MLFLOW_TRACKING_TOKEN"
                )
            case DBAPIError():
                return f"the database answered {type(cause.orig).__name__}. Check MLFLOW_TRACKING_URI"
            case OSError():
                return cause.strerror or type(cause).__name__
            case ModuleNotFoundError():
                return f"this address needs the package {cause.name}"
            case _:
                continue
    if isinstance(error, MlflowException):
        return f"MLflow answered {error.error_code}"
    return f"unexpected {type(error).__name__}"
