"""Sends the records of runs to MLflow. It never fails its caller.

As for the metadata tables, records wait in the state folder until they are delivered, and the next refresh sends them again.
Nothing here imports MLflow: `mlflow_process` has it.
"""

import logging
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from rag_assets.environment import read_environment
from rag_assets.errors import ConfigurationError, MlflowUnavailable
from rag_assets.settings import Settings
from rag_assets.time_limits import NothingCame, within
from rag_assets.tracking.mlflow_process import MlflowProcess
from rag_assets.tracking.mlflow_run import mlflow_run
from rag_assets.tracking.outbox import BusyError, Lag, Outbox
from rag_assets.tracking.records import Record

_REQUEST_SECONDS = 10
_EXAMINATION_SECONDS = 30.0
_RECEIVER = "MLflow"
_MISSING = (
    "MLFLOW_TRACKING_URI needs dagster-mlflow: pip install 'rag-assets[mlflow]', or remove the variable"
)
_PREPARED: dict[Path, MlflowProcess] = {}
"""Folder of an observer -> a process that waits for its records."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WrittenRun:
    """A run in MLflow.

    Attributes:
        url: of its page, "" without a server.
    """

    run_id: str
    url: str


class MlflowObserver:
    """The MLflow runs of one knowledge base.

    Attributes:
        outbox: records not delivered yet.
        written: run in Dagster -> its MLflow run, of the deliveries of this object.

    Args:
        folder: for the waiting records.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self.outbox = Outbox(folder, _RECEIVER)
        self.written: dict[str, WrittenRun] = {}

    @property
    def is_on(self) -> bool:
        return self._settings.mlflow_tracking_uri is not None

    @property
    def experiment(self) -> str:
        return self._settings.mlflow_experiment_name or self._settings.collection

    def put(self, record: Record) -> None:
        """Keep the record of a run until it is delivered, if MLflow is in use."""
        if not self.is_on or record.kind != "run":
            return
        try:
            self.outbox.put(record)
        except OSError as error:
            _logger.warning("a record for MLflow cannot be kept: %s", error.strerror or type(error).__name__)

    def prepare(self) -> None:
        """Start the process that delivers, beside a refresh: its imports take seconds."""
        prepared = _PREPARED.get(self._folder)
        if self.is_on and (prepared is None or not prepared.is_alive):
            with suppress(Exception):  # the delivery says why
                self._process()

    @contextmanager
    def delivering(self, seconds: float) -> Generator[None]:
        """Deliver in a thread beside the body of the `with` statement, in as many seconds from its begin."""
        if not self.is_on:
            yield
            return
        thread = threading.Thread(target=self.deliver, args=(seconds,), name="mlflow", daemon=True)
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def deliver(self, seconds: float) -> None:
        """Send all waiting records. A failure is a warning, and remembered as a delay."""
        problem = self._problem_of_delivery(seconds)
        if not problem:
            self.outbox.forget_problem()
            return
        _logger.warning("%s", mlflow_lag_in_words(self.outbox.note_problem(problem)))

    def _problem_of_delivery(self, seconds: float) -> str:
        processes: list[MlflowProcess] = []
        try:
            return within(seconds, lambda: self._send(seconds, processes))
        except NothingCame:
            return f"no answer within {seconds:.0f} s. Check that MLflow is up and reachable"
        except ConfigurationError as error:
            return str(error)
        except Exception as error:  # of the disk, or of a store of secrets
            return f"unexpected {type(error).__name__}"
        finally:
            for process in processes:
                process.close()

    def _send(self, seconds: float, processes: list[MlflowProcess]) -> str:
        try:
            with self.outbox.delivering(time.monotonic() + seconds):
                waiting = self.outbox.waiting()
                if not waiting:
                    return ""
                process = self._process()
                processes.append(_PREPARED.pop(self._folder))
                process.limit(seconds + 1)
                for path, record in waiting:
                    try:
                        run = mlflow_run(record, self._settings.collection, self._settings.dagster_url)
                    except (KeyError, ValueError, TypeError) as error:
                        self.outbox.set_aside(path, type(error).__name__)
                        continue
                    answer = process.ask(run.to_json())
                    if problem := answer.get("problem"):
                        return f"{self.place}: {problem}"
                    if refusal := answer.get("refused"):  # for ever, and it would stop all others
                        self.outbox.set_aside(path, refusal)
                        continue
                    path.unlink(missing_ok=True)
                    self.written[record.id] = WrittenRun(answer["run_id"], self._url(answer))
        except BusyError:
            return "another process sends to it at the moment"
        return ""

    def _process(self) -> MlflowProcess:
        """Return the prepared process, or start one.

        Raises:
            ConfigurationError: dagster-mlflow is missing, or a secret cannot be read.
        """
        if find_spec("dagster_mlflow") is None:
            raise ConfigurationError(_MISSING)
        home, environment = self._settings.home, self._variables()
        prepared = _PREPARED.get(self._folder)
        if prepared is not None:
            if prepared.is_alive and prepared.identity == (self.experiment, home, environment):
                return prepared
            prepared.close()
        _PREPARED[self._folder] = process = MlflowProcess(self.experiment, home, environment)
        return process

    def _variables(self) -> dict[str, str]:
        settings = self._settings
        secrets = {
            "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
            "MLFLOW_TRACKING_PASSWORD": settings.mlflow_tracking_password,
            "MLFLOW_TRACKING_TOKEN": settings.mlflow_tracking_token,
        }
        return {
            **read_environment().variables,
            **{name: value.get_secret_value() for name, value in secrets.items() if value is not None},
            **({"MLFLOW_TRACKING_USERNAME": name} if (name := settings.mlflow_tracking_username) else {}),
            # MLflow would repeat a request that was perhaps carried out, for minutes. The next refresh does it.
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(_REQUEST_SECONDS),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }

    # For people

    @property
    def place(self) -> str:
        """The address without user, password and query."""
        uri = self._settings.mlflow_tracking_uri
        address = uri.get_secret_value().partition("?")[0] if uri is not None else ""
        scheme, separator, rest = address.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}" if separator else address

    def _url(self, answer: Mapping[str, str]) -> str:
        address = self._settings.mlflow_url or (self.place if self.place.startswith("http") else "")
        if not address:
            return ""
        return f"{address.rstrip('/')}/#/experiments/{quote(answer['experiment_id'])}/runs/{quote(answer['run_id'])}"

    def lag(self) -> Lag | None:
        """Return why MLflow lags behind, None if it is complete or not in use."""
        return self.outbox.lag() if self.is_on else None

    def examine(self) -> str:
        """Return the state of MLflow in words. Changes nothing.

        Raises:
            MlflowUnavailable: it lags behind, or does not answer.
        """
        try:
            detail = self._examination()
        except ConfigurationError as error:
            raise MlflowUnavailable(str(error)) from None
        if (lag := self.lag()) is not None:
            raise MlflowUnavailable(mlflow_lag_in_words(lag))
        return f"{self.place}, {detail}"

    def _examination(self) -> str:
        database = self._settings.home / self.place.removeprefix("sqlite:///")
        if self.place.startswith("sqlite:") and not database.exists():
            return "which does not exist yet; the first refresh creates it"
        process = self._process()
        del _PREPARED[self._folder]
        try:
            answer = within(_EXAMINATION_SECONDS, lambda: process.ask({"examine": True}))
        except NothingCame:
            answer = {"problem": f"no answer within {_EXAMINATION_SECONDS:.0f} s"}
        finally:
            process.close()
        if problem := answer.get("problem"):
            raise MlflowUnavailable(f"{self.place}: {problem}")
        return str(answer["detail"])


def mlflow_lag_in_words(lag: Lag) -> str:
    """Return the delay as a sentence."""
    return lag.in_words("MLflow lags")
