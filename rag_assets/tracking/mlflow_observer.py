"""Keeps the records of runs for MLflow, and starts the process that sends them. It never fails its caller.

As for the metadata tables, records wait in the state folder until they are delivered, and the next refresh sends them again.
Nothing here imports MLflow: the process of `rag_assets.defs.mlflow` does. A refresh does not wait for it.
"""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from rag_assets.disk.file_locks import take_lock
from rag_assets.environment import read_environment
from rag_assets.errors import ConfigurationError, MlflowUnavailable
from rag_assets.settings import Settings
from rag_assets.tracking.mlflow_process import Sending, examine, start_sender
from rag_assets.tracking.outbox import Lag, Outbox
from rag_assets.tracking.records import Record

SENDING_SECONDS = 30.0
_REQUEST_SECONDS = 10
_EXAMINATION_SECONDS = 30.0
_PAUSE_SECONDS = 600.0
"""Between attempts without a refresh. Each takes 4 s of processor time."""
_RECEIVER = "MLflow"
_MISSING = (
    "MLFLOW_TRACKING_URI needs dagster-mlflow: pip install 'rag-assets[mlflow]', or remove the variable"
)
_logger = logging.getLogger(__name__)


class MlflowObserver:
    """The MLflow runs of one knowledge base.

    Attributes:
        outbox: records not delivered yet.

    Args:
        folder: for the waiting records.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self.outbox = Outbox(folder, _RECEIVER)

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

    def send(self, reports_to: str = "") -> None:
        """Start to send all waiting records, and go on. A failure to start is a warning, and remembered as a delay.

        Args:
            reports_to: see `Sending`.
        """
        if not self.is_on or not self.outbox.num_waiting:
            return
        try:
            self._start_sender(reports_to)
        except ConfigurationError as error:
            problem = str(error)
        except OSError as error:
            problem = f"its process does not start: {error.strerror or type(error).__name__}"
        except Exception as error:  # of a store of secrets
            problem = f"unexpected {type(error).__name__}"
        else:
            return
        _logger.warning("%s", mlflow_lag_in_words(self.outbox.note_problem(problem)))

    def send_again(self, reports_to: str = "") -> None:
        """Send what an earlier sender has left, with a warning. It may have ended with its container."""
        if (lag := self.lag()) is not None:
            _logger.warning("%s", mlflow_lag_in_words(lag))
            self.send(reports_to)

    def send_late(self, reports_to: str = "") -> None:
        """Send what has waited since the last attempt, ten minutes ago or interrupted. For a process that asks every minute."""
        if self.lag() is not None and self.outbox.seconds_since_problem >= _PAUSE_SECONDS:
            self.send(reports_to)

    @contextmanager
    def sending_nothing(self) -> Generator[None]:
        """Wait for a sender, and keep others away: what waits may be changed.

        Raises:
            BusyError: it did not end in time.
        """
        if not self.outbox.num_waiting:
            yield
            return
        with self.outbox.delivering(time.monotonic() + SENDING_SECONDS):
            yield

    def _start_sender(self, reports_to: str) -> None:
        _require_package()
        settings = self._settings
        with self.outbox.open_lock() as lock:
            take_lock(lock, 0)  # passed on with the file: what waits is under way from now on
            sending = Sending(
                folder=str(self.outbox.folder.absolute()),
                lock=lock,
                seconds=SENDING_SECONDS,
                experiment=self.experiment,
                knowledge_base=settings.collection,
                place=self.place,
                dagster_url=settings.dagster_url,
                page_url=settings.mlflow_url or (self.place if self.place.startswith("http") else ""),
                reports_to=reports_to,
            )
            start_sender(sending, settings.home, self._variables())

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
        scheme, separator, rest = (uri.get_secret_value() if uri is not None else "").partition("://")
        shown, _, query = rest.partition("?")
        if "@" in query:  # of a password with a question mark, which MLflow cannot use
            return f"{scheme}://"
        return f"{scheme}{separator}{shown.rpartition('@')[2]}".partition("?")[0]

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
        _require_package()
        answer = examine(self.experiment, self._settings.home, self._variables(), _EXAMINATION_SECONDS)
        if problem := answer.get("problem"):
            raise MlflowUnavailable(f"{self.place}: {problem}")
        return str(answer["detail"])


def _require_package() -> None:
    if find_spec("dagster_mlflow") is None:
        raise ConfigurationError(_MISSING)


def mlflow_lag_in_words(lag: Lag) -> str:
    """Return the delay as a sentence."""
    return lag.in_words("MLflow lags")
