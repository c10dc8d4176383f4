"""The sender of MLflow runs: each refresh is one run, and what is not sent waits.

The troubles of a server over whole refreshes are in `rag_assets_tests/outages`.
"""

import base64
import logging
import os
import re
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from pydantic import SecretStr

from rag_assets.defs.mlflow.reports import report_address
from rag_assets.errors import MlflowUnavailable
from rag_assets.settings import Settings, load_settings
from rag_assets.tracking import mlflow_observer
from rag_assets.tracking.mlflow_observer import MlflowObserver
from rag_assets.tracking.mlflow_run import mlflow_run
from rag_assets_tests.login_proxy import LoginProxy
from rag_assets_tests.mlflow_servers import (
    ERROR,
    FoundRun,
    MlflowServer,
    mlflow_server,
    pids_of_senders,
    runs_in,
    wait_for_sender,
)
from rag_assets_tests.mlflow_writer import MlflowWriter
from rag_assets_tests.optional_packages import require_unimported
from rag_assets_tests.tracking.sample_records import run_record
from rag_assets_tests.tracking.test_mlflow_run import measured
from rag_assets_tests.troubled_proxy import TroubledProxy

require_unimported("mlflow", "dagster_mlflow")
pytestmark = pytest.mark.slow

PASSWORD = "not-a-password-at-all"
SECONDS = 100.0
"""For a busy machine."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_HOME", str(tmp_path))
    monkeypatch.setattr(mlflow_observer, "_EXAMINATION_SECONDS", SECONDS)
    monkeypatch.setattr(mlflow_observer, "SENDING_SECONDS", SECONDS)


@pytest.fixture
def dagster_run(tmp_path: Path) -> Iterator[tuple[dg.DagsterInstance, str]]:
    """A run that has ended, in a persistent instance."""
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path / "dagster"))) as instance:
        run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.SUCCESS)
        yield instance, run.run_id


@dg.job
def nothing() -> None:
    """A job without steps."""


def warnings_of(dagster_run: tuple[dg.DagsterInstance, str]) -> list[str]:
    instance, run_id = dagster_run
    return [entry.message for entry in instance.all_logs(run_id) if entry.level == logging.WARNING]


def deliver(ours: MlflowObserver, reports_to: str = "") -> None:
    """Send what waits, and wait for the sender."""
    ours.send(reports_to)
    wait_for_sender(ours.outbox.folder)


@pytest.fixture
def proxy(server: MlflowServer) -> Iterator[TroubledProxy]:
    running = TroubledProxy(server.port, lambda _: ERROR)
    yield running
    running.close()


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name[:60]}-{time.time_ns()}"


def observer(home: Path, uri: str, experiment: str, **changed: Any) -> MlflowObserver:
    settings = load_settings(mlflow_tracking_uri=SecretStr(uri), mlflow_experiment_name=experiment, **changed)
    return MlflowObserver(settings, home / "tracking")


def url_of(proxy: TroubledProxy) -> str:
    return f"http://127.0.0.1:{proxy.port}"


def variables(proxy: TroubledProxy) -> dict[str, str]:
    return {**os.environ, "MLFLOW_TRACKING_URI": url_of(proxy), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


def found(server: MlflowServer, experiment: str) -> list[FoundRun]:
    return runs_in(server.database, experiment, server.files)


def outcomes(runs: list[FoundRun]) -> list[tuple[str, str]]:
    return [(run.tags["dagster_run_id"], run.outcome) for run in runs]


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("http://rag:secret@host:5000/mlflow?token=secret", "http://host:5000/mlflow"),
        ("http://rag:se@cret@host:5000", "http://host:5000"),
        ("http://rag:se/cret@host:5000", "http://host:5000"),
        ("http://rag:secret?secret@host:5000", "http://"),
        ("sqlite:///folder/mlflow.db", "sqlite:///folder/mlflow.db"),
        ("databricks", "databricks"),
    ],
)
def test_the_place_is_the_address_without_credentials(uri: str, place: str, tmp_path: Path) -> None:
    assert observer(tmp_path, uri, "one").place == place


def test_a_sender_has_no_secret_in_its_command_and_ends_in_time(
    proxy: TroubledProxy, experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = observer(tmp_path, url_of(proxy).replace("//", f"//someone:{PASSWORD}@"), experiment)
    ours.put(run_record("r1", 1))
    proxy.begin("hanging")
    monkeypatch.setattr(mlflow_observer, "SENDING_SECONDS", 2.0)
    ours.send()
    [pid] = pids_of_senders()
    assert PASSWORD not in Path(f"/proc/{pid}/cmdline").read_text()
    assert ours.lag() is None  # it is under way
    wait_for_sender(ours.outbox.folder)
    lag = ours.lag()
    assert lag is not None
    assert "no answer within 2 s" in lag.problem


def test_a_record_that_comes_while_another_is_sent_is_sent_too(
    server: MlflowServer, proxy: TroubledProxy, experiment: str, tmp_path: Path
) -> None:
    ours = observer(tmp_path, url_of(proxy), experiment)
    later: list[str] = []

    def first_request(_: bytes) -> bool:
        if not later:
            later.append("r2")
            ours.put(run_record("r2", 2))
            ours.send()
        return False

    proxy.begin("refused", first_request)
    ours.put(run_record("r1", 1))
    ours.send()
    give_up = time.monotonic() + SECONDS
    while ours.outbox.num_waiting and time.monotonic() < give_up:
        time.sleep(0.1)
    assert outcomes(found(server, experiment)) == [("r1", "live"), ("r2", "live")]


def test_an_answer_lost_at_any_request_leaves_one_run(
    server: MlflowServer, proxy: TroubledProxy, experiment: str, tmp_path: Path
) -> None:
    """The server carries out the request, and its answer is lost. The next attempt knows nothing of it."""
    lost, number = 0, 0
    with MlflowWriter(experiment, tmp_path, variables(proxy)) as writer:
        while lost == number:
            number += 1
            run = mlflow_run(measured(f"{number:04}"), "docs")
            count = iter(range(1, 1000))
            proxy.begin("dropped after send", lambda _, count=count, number=number: next(count) == number)
            lost += "problem" in writer.put(run)
            proxy.end()
            assert "run_id" in writer.put(run)
            assert "run_id" in writer.put(run)
    assert lost > 10
    runs = found(server, experiment)
    assert len(runs) == number
    for run in runs:
        expected = mlflow_run(measured(run.tags["dagster_run_id"]), "docs")
        assert (run.params, run.metrics) == (expected.params, pytest.approx(expected.metrics))
        assert run.tags == {**expected.tags, "is_complete": "yes"}
        assert (run.status, run.files) == ("FINISHED", expected.files)


def test_a_killed_delivery_is_completed_by_the_next(
    server: MlflowServer,
    proxy: TroubledProxy,
    experiment: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours = observer(tmp_path, url_of(proxy), experiment)
    ours.put(measured())

    def killed(data: bytes) -> bool:
        if b"log-batch" in data:
            for pid in pids_of_senders():
                os.kill(pid, signal.SIGKILL)
        return b"log-batch" in data

    proxy.begin("hanging", killed)
    deliver(ours)
    proxy.end()
    lag = ours.lag()
    assert lag is not None
    assert (lag.problem, lag.num_waiting) == ("not delivered yet", 1)
    [half] = found(server, experiment)
    assert "is_complete" not in half.tags
    ours.send_again()
    assert "MLflow lags" in caplog.text
    wait_for_sender(ours.outbox.folder)
    [run] = found(server, experiment)
    assert (run.run_id, run.tags["is_complete"]) == (half.run_id, "yes")


def test_a_late_run_is_sent_after_a_pause_or_an_interruption(
    server: MlflowServer, experiment: str, tmp_path: Path
) -> None:
    ours = observer(tmp_path, server.url, experiment)
    ours.put(run_record("r1", 1))
    lag_path = ours.outbox.folder / "lag.json"
    ours.outbox.note_problem("refused")
    ours.send_late()
    assert pids_of_senders() == []
    long_ago = time.time() - 601
    os.utime(lag_path, (long_ago, long_ago))
    ours.send_late()
    wait_for_sender(ours.outbox.folder)
    ours.put(run_record("r2", 2))  # its sender was killed: no problem is noted
    ours.send_late()
    wait_for_sender(ours.outbox.folder)
    assert outcomes(found(server, experiment)) == [("r1", "live"), ("r2", "live")]


def test_a_removed_instance_is_not_made_again(tmp_path: Path, server: MlflowServer, experiment: str) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder))) as instance:
        address = report_address(instance, "r1")
    shutil.rmtree(folder)
    ours = observer(tmp_path, server.url, experiment)
    ours.put(run_record("r1", 1))
    deliver(ours, address)
    assert outcomes(found(server, experiment)) == [("r1", "live")]
    assert not folder.exists()


def test_a_run_taken_for_dead_is_replaced_by_its_own_record(
    server: MlflowServer, proxy: TroubledProxy, experiment: str, tmp_path: Path
) -> None:
    with MlflowWriter(experiment, tmp_path, variables(proxy)) as writer:
        for outcome, kept in (("died", "died"), ("live", "live"), ("died", "live")):
            assert "run_id" in writer.put(mlflow_run(run_record("r1", 1, outcome), "docs"))
            assert outcomes(found(server, experiment)) == [("r1", kept)]


@pytest.mark.parametrize("page", ["", "https://mlflow.example.com"])
def test_a_run_is_linked_to_its_page(
    page: str,
    server: MlflowServer,
    experiment: str,
    tmp_path: Path,
    dagster_run: tuple[dg.DagsterInstance, str],
) -> None:
    ours = observer(tmp_path, server.url, experiment, mlflow_url=page)
    instance, run_id = dagster_run
    ours.put(run_record(run_id, 1))
    deliver(ours, report_address(instance, run_id))
    [run] = found(server, experiment)
    linked = instance.get_run_by_id(run_id)
    assert linked is not None
    assert linked.tags["mlflow/run_id"] == run.run_id
    assert linked.tags["mlflow/url"].startswith(f"{page or server.url}/#/experiments/")
    assert linked.tags["mlflow/url"].endswith(f"/runs/{run.run_id}")


def test_a_deleted_experiment_is_named(
    server: MlflowServer, proxy: TroubledProxy, experiment: str, tmp_path: Path
) -> None:
    with MlflowWriter(experiment, tmp_path, variables(proxy)) as writer:
        assert "run_id" in writer.put(mlflow_run(run_record("r1", 1), "docs"))
        with sqlite3.connect(server.database, timeout=30) as connection:
            connection.execute(
                "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = ?", (experiment,)
            )
        answer = writer.put(mlflow_run(run_record("r2", 2), "docs"))
        assert "the experiment was deleted" in answer["problem"]


def test_a_refused_and_a_damaged_record_do_not_stop_the_others(
    server: MlflowServer, experiment: str, tmp_path: Path, dagster_run: tuple[dg.DagsterInstance, str]
) -> None:
    ours = observer(tmp_path, server.url, experiment)
    damaged = measured("r1")
    damaged.rows["rag_evaluations"][0]["recall_at_5"] = "high"
    invalid = run_record("r2", 2, **{"num_@": 1})
    for record in (damaged, invalid, run_record("r3", 3)):
        ours.put(record)
    deliver(ours, report_address(*dagster_run))
    complete = [run for run in found(server, experiment) if "is_complete" in run.tags]
    assert outcomes(complete) == [("r3", "live")]
    assert [("for MLflow is unusable" in one) for one in warnings_of(dagster_run)] == [True, True]
    assert ours.outbox.num_waiting == 0


def test_a_database_file_is_private_and_its_files_beside_it(tmp_path: Path) -> None:
    ours = observer(tmp_path, "sqlite:///own/mlflow.db", "docs")
    assert "does not exist yet" in ours.examine()
    (tmp_path / "own").mkdir()
    ours.put(measured())
    deliver(ours)
    database = tmp_path / "own" / "mlflow.db"
    [run] = runs_in(database, "docs")
    assert run.files.keys() == {"benchmark_queries.json", "eval_results.json", "report.html"}
    assert database.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own", "tracking"]
    assert ours.examine() == "sqlite:///own/mlflow.db, experiment docs"


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        (
            "sqlite:///a_folder",
            "the database answered OperationalError|no answer within 20 s",
        ),  # MLflow tries again
        ("nonsense://host", "unexpected|MLflow answered|package|no answer"),
    ],
)
def test_an_unusable_address_is_a_warning(
    uri: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_folder").mkdir()
    monkeypatch.setattr(mlflow_observer, "SENDING_SECONDS", 20.0)
    ours = observer(tmp_path, uri, "docs")
    ours.put(run_record("r1", 1))
    deliver(ours)
    lag = ours.lag()
    assert lag is not None
    assert re.search(problem, lag.problem), lag.problem


def test_without_the_package_the_warning_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_observer, "find_spec", lambda _: None)
    ours = observer(tmp_path, "http://127.0.0.1:9", "docs")
    ours.put(run_record("r1", 1))
    ours.send()
    lag = ours.lag()
    assert lag is not None
    assert "pip install 'rag-assets[mlflow]'" in lag.problem
    with pytest.raises(MlflowUnavailable, match="pip install"):
        ours.examine()


def test_without_an_address_nothing_waits(tmp_path: Path) -> None:
    settings: Settings = load_settings(mlflow_tracking_uri=None)
    ours = MlflowObserver(settings, tmp_path / "tracking")
    ours.put(run_record("r1", 1))
    ours.send()
    assert ours.lag() is None
    assert list(tmp_path.iterdir()) == []


# A server with a login


def login(how: str, password: str) -> dict[str, Any]:
    """Return the settings of a login, beside the address."""
    if how == "token":
        return {"mlflow_tracking_token": SecretStr(password)}
    if how == "user and password":
        return {
            "mlflow_tracking_username": "someone",
            "mlflow_tracking_password": SecretStr(password),
        }
    return {}


@pytest.mark.parametrize(
    "how", ["user and password", "token", pytest.param("address", marks=pytest.mark.soak)]
)
def test_wrong_credentials_are_named_and_right_ones_send(
    how: str, server: MlflowServer, experiment: str, tmp_path: Path
) -> None:
    basic = base64.b64encode(f"someone:{PASSWORD}".encode()).decode()
    proxy = LoginProxy(server.port, f"Bearer {PASSWORD}" if how == "token" else f"Basic {basic}")

    def logged_in(password: str) -> MlflowObserver:
        user = f"someone:{password}@" if how == "address" else ""
        address = f"http://{user}127.0.0.1:{proxy.port}"
        return observer(tmp_path, address, experiment, **login(how, password))

    ours = logged_in("wrong")
    ours.put(run_record("r1", 1))
    deliver(ours)
    lag = ours.lag()
    assert lag is not None
    assert "the server refused the credentials. Check MLFLOW_TRACKING_USERNAME" in lag.problem
    with pytest.raises(MlflowUnavailable, match="the server refused the credentials"):
        ours.examine()
    refused = proxy.num_refused
    ours = logged_in(PASSWORD)
    deliver(ours)
    assert ours.examine().endswith(f"experiment {experiment}")
    assert outcomes(found(server, experiment)) == [("r1", "live")]
    assert proxy.num_refused == refused > 0
    proxy.close()
