"""The observers of a refresh, each behind a proxy: MLflow, the metadata tables, Slack, the Pushgateway.

A new observer is a class here: how a knowledge base uses it, with which request a trouble begins, and what it holds afterwards.
"""

import atexit
import contextlib
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal
from unittest import mock
from urllib.parse import quote, urlsplit

from rag_assets.alerts import delivery
from rag_assets.tracking import metrics_exporter, mlflow_observer, observer
from rag_assets_tests.mlflow_servers import ERROR, MlflowServer, mlflow_server, runs_in, wait_for_sender
from rag_assets_tests.outages.postgres_error import postgres_error
from rag_assets_tests.pipeline import Pipeline
from rag_assets_tests.prometheus_servers import get, pushgateway
from rag_assets_tests.slack_receiver import SlackReceiver
from rag_assets_tests.sources.scenes.postgres_server import PASSWORD, server_port
from rag_assets_tests.tracking.conftest import ask, new_postgres_url
from rag_assets_tests.troubled_proxy import TroubledProxy, http_error, is_whole_http_request

Moment = Literal["at the start", "in the middle", "at the end"]
OUTCOMES = ["live", "live", "unchanged"]
"""Of the three refreshes of a cell: before, in and after a trouble."""
_SECRET = "not-a-password-at-all"


class ObserverInTrouble:
    """One observer.

    Attributes:
        host: in place of the address of the proxy, in the table.
        part: its name in `doctor`, or "".
        secrets: of its address. They are nowhere.
    """

    host: ClassVar[str]
    part: ClassVar[str] = ""
    secrets: tuple[str, ...] = (_SECRET,)
    proxy: TroubledProxy

    def use(self, pipeline: Pipeline) -> None:
        """Let the knowledge base use the observer through the proxy."""
        raise NotImplementedError

    def first_request(self, moment: Moment) -> Callable[[bytes], bool] | None:
        """Return how to recognize the request with which the trouble begins. None: any."""
        return None

    def impatience(self) -> contextlib.AbstractContextManager[object]:
        """Let a refresh in trouble wait shorter than usual."""
        return contextlib.nullcontext()

    def after_refresh(self, pipeline: Pipeline) -> str:
        """Do or await what follows a refresh. Return the error that a person reads there, or ""."""
        return ""

    def held(self, pipeline: Pipeline) -> str:
        """Return what the observer holds after the three refreshes, in words.

        Raises:
            AssertionError: something is missing.
        """
        raise NotImplementedError


class MlflowInTrouble(ObserverInTrouble):
    """A real server."""

    host, part = "mlflow.example.com:5000", "MLflow"

    def __init__(self, server: MlflowServer) -> None:
        self._server = server
        self._experiment = f"trouble-{time.time_ns()}"
        self.proxy = TroubledProxy(server.port, lambda _: ERROR)

    def use(self, pipeline: Pipeline) -> None:
        pipeline.configure(
            MLFLOW_TRACKING_URI=f"http://someone:{_SECRET}@127.0.0.1:{self.proxy.port}",
            MLFLOW_EXPERIMENT_NAME=self._experiment,
        )

    def first_request(self, moment: Moment) -> Callable[[bytes], bool] | None:
        return (lambda data: b"log-batch" in data) if moment == "in the middle" else None

    def after_refresh(self, pipeline: Pipeline) -> str:
        [lock] = pipeline.state_dir.glob("tracking/*/mlflow/lock")
        wait_for_sender(lock.parent)
        return ""

    def held(self, pipeline: Pipeline) -> str:
        found = runs_in(self._server.database, self._experiment, self._server.files)
        assert [run.outcome for run in found] == OUTCOMES
        assert {run.tags["is_complete"] for run in found} == {"yes"}
        for run in found:
            linked = pipeline.instance.get_run_by_id(run.tags["dagster_run_id"])
            assert linked is not None
            assert linked.tags["mlflow/run_id"] == run.run_id
        return "each run once"


class TablesInTrouble(ObserverInTrouble):
    """A real PostgreSQL server. In trouble its disk is full."""

    host, part = "postgres.example.com:5432", "metadata tables"
    secrets = (PASSWORD, quote(PASSWORD))

    def __init__(self) -> None:
        self.proxy = TroubledProxy(server_port(), postgres_error)
        self._url = new_postgres_url()

    def use(self, pipeline: Pipeline) -> None:
        port = urlsplit(self._url).port
        pipeline.configure(RAG_METADATA_URL=self._url.replace(f":{port}/", f":{self.proxy.port}/"))

    def first_request(self, moment: Moment) -> Callable[[bytes], bool] | None:
        requests: dict[Moment, Callable[[bytes], bool]] = {
            "in the middle": lambda data: b"INSERT INTO" in data,
            "at the end": lambda data: b"COMMIT" in data,
        }
        return requests.get(moment)

    def impatience(self) -> contextlib.AbstractContextManager[object]:
        return mock.patch.object(observer, "DELIVERY_SECONDS", 10.0)

    def held(self, pipeline: Pipeline) -> str:
        ended = ask(self._url, "SELECT outcome FROM rag_refreshes ORDER BY ended_at")
        assert [row["outcome"] for row in ended] == OUTCOMES
        rows = ask(self._url, "SELECT document_id FROM rag_documents")
        assert {row["document_id"] for row in rows} == pipeline.served()
        return "each run once, and production"


class SlackInTrouble(ObserverInTrouble):
    """A stand-in for the webhook. `rag-assets refresh` posts at its end, as the sensor does a minute later."""

    host, part = "hooks.slack.example.com", "slack"
    secrets = ("secret-of-the-webhook",)

    def __init__(self, receiver: SlackReceiver) -> None:
        self._receiver = receiver
        self.proxy = TroubledProxy(urlsplit(receiver.url).port or 0, http_error, is_whole_http_request)

    def use(self, pipeline: Pipeline) -> None:
        address = urlsplit(self._receiver.url)._replace(netloc=f"127.0.0.1:{self.proxy.port}")
        pipeline.configure(SLACK_WEBHOOK_URL=address.geturl())

    def impatience(self) -> contextlib.AbstractContextManager[object]:
        return mock.patch.object(delivery, "_STEP_SECONDS", 2)

    def held(self, pipeline: Pipeline) -> str:
        live = [text for text in self._receiver.texts if "A new generation is live" in text]
        generations = [match[1] for text in live if (match := re.search(r"now serves `(.+?)`", text))]
        assert len(set(generations)) == OUTCOMES.count("live")
        assert generations.count(generations[0]) == 1
        # Slack cannot recognize a message that it has already.
        return "each message once" if len(live) == 2 else "each message, that of the trouble twice"


class PushgatewayInTrouble(ObserverInTrouble):
    """A real Pushgateway, after each refresh: `rag-assets refresh; rag-assets metrics --push`."""

    host = "pushgateway.example.com:9091"

    def __init__(self, url: str) -> None:
        self._url = url
        self.proxy = TroubledProxy(urlsplit(url).port or 0, http_error, is_whole_http_request)

    def use(self, pipeline: Pipeline) -> None:
        pipeline.configure(RAG_PUSHGATEWAY_URL=f"http://someone:{_SECRET}@127.0.0.1:{self.proxy.port}")

    def impatience(self) -> contextlib.AbstractContextManager[object]:
        return mock.patch.object(metrics_exporter, "_PUSH_SECONDS", 2.0)

    def after_refresh(self, pipeline: Pipeline) -> str:
        code, _, errors = pipeline.command("metrics", "--push")
        return errors.strip() if code else ""

    def held(self, pipeline: Pipeline) -> str:
        lines = get(f"{self._url}/metrics").decode().splitlines()
        [promotions] = [line for line in lines if line.startswith("rag_promotions_total{")]
        assert float(promotions.rpartition(" ")[2]) == OUTCOMES.count("live")
        return "the totals of all runs"


@cache
def _kept_server() -> MlflowServer:
    """Start a server for all cells: that takes half a minute."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
    return stack.enter_context(mlflow_server(Path(folder)))


@contextlib.contextmanager
def _mlflow(_folder: Path) -> Iterator[ObserverInTrouble]:
    with (
        mock.patch.object(mlflow_observer, "_EXAMINATION_SECONDS", 100.0),
        mock.patch.object(mlflow_observer, "SENDING_SECONDS", 120.0),
    ):
        yield MlflowInTrouble(_kept_server())


@contextlib.contextmanager
def _tables(_folder: Path) -> Iterator[ObserverInTrouble]:
    with mock.patch.object(observer, "DELIVERY_SECONDS", 120.0):  # on a busy machine
        yield TablesInTrouble()


@contextlib.contextmanager
def _slack(_folder: Path) -> Iterator[ObserverInTrouble]:
    with SlackReceiver() as receiver:
        yield SlackInTrouble(receiver)


@contextlib.contextmanager
def _pushgateway(folder: Path) -> Iterator[ObserverInTrouble]:
    with pushgateway(folder) as url:
        yield PushgatewayInTrouble(url)


OBSERVERS: dict[
    str,
    tuple[Callable[[Path], contextlib.AbstractContextManager[ObserverInTrouble]], tuple[Moment, ...]],
] = {
    "MLflow": (_mlflow, ("at the start", "in the middle")),
    "PostgreSQL of the metadata tables": (_tables, ("at the start", "in the middle", "at the end")),
    "Slack": (_slack, ("at the start",)),
    "Pushgateway": (_pushgateway, ("at the start",)),
}
"""Name -> context manager of a folder that yields the observer, and the moments at which a trouble begins."""


@contextlib.contextmanager
def observing(name: str, folder: Path) -> Iterator[ObserverInTrouble]:
    """Run an observer behind its proxy."""
    folder.mkdir(parents=True)
    with OBSERVERS[name][0](folder) as running:
        try:
            yield running
        finally:
            running.proxy.close()
