"""MLflow down, slow or gone is a warning, the next delivery catches up, and each refresh is one run."""

import os
import re
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from rag_assets.errors import MlflowUnavailable
from rag_assets.settings import Settings, load_settings
from rag_assets.tracking import mlflow_observer
from rag_assets.tracking.mlflow_observer import MlflowObserver
from rag_assets.tracking.mlflow_process import MlflowProcess
from rag_assets.tracking.mlflow_run import mlflow_run
from rag_assets_tests.mlflow_servers import ERROR, FoundRun, MlflowServer, mlflow_server, runs_in
from rag_assets_tests.optional_packages import require_unimported
from rag_assets_tests.tracking.sample_records import run_record
from rag_assets_tests.tracking.test_mlflow_run import measured
from rag_assets_tests.troubled_proxy import TROUBLES, Trouble, TroubledProxy

require_unimported("mlflow", "dagster_mlflow")
pytestmark = pytest.mark.slow

PASSWORD = "not-a-password-at-all"
SECONDS = 100.0
"""For deliveries that succeed, on a busy machine."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_HOME", str(tmp_path))
    monkeypatch.setattr(mlflow_observer, "_EXAMINATION_SECONDS", SECONDS)


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


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_trouble_is_a_warning_and_the_next_delivery_catches_up(
    trouble: Trouble,
    server: MlflowServer,
    proxy: TroubledProxy,
    experiment: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    uri = url_of(proxy).replace("//", f"//someone:{PASSWORD}@")
    ours = observer(tmp_path, uri, experiment)
    proxy.begin(trouble)
    for run_id in ("r1", "r2"):
        ours.put(run_record(run_id, int(run_id[1]), "blocked"))
    ours.deliver(25.0)
    lag = ours.lag()
    assert lag is not None
    assert (lag.num_waiting, lag.num_dropped) == (2, 0)
    assert caplog.text.count(f"MLflow lags since {lag.since}: ") == 1
    assert "2 records wait, and the next refresh sends them" in caplog.text
    proxy.end()
    ours.put(run_record("r3", 3))
    ours.deliver(SECONDS)
    assert ours.lag() is None
    assert outcomes(found(server, experiment)) == [("r1", "blocked"), ("r2", "blocked"), ("r3", "live")]
    assert ours.examine().endswith(f"experiment {experiment}")
    assert PASSWORD not in caplog.text + lag.problem + ours.examine()
    assert PASSWORD not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))


def test_a_delivery_ends_in_time_and_leaves_no_process(
    proxy: TroubledProxy, experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[MlflowProcess] = []

    class Noted(MlflowProcess):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            started.append(self)

    monkeypatch.setattr(mlflow_observer, "MlflowProcess", Noted)
    ours = observer(tmp_path, url_of(proxy), experiment)
    ours.put(run_record("r1", 1))
    proxy.begin("hanging")
    with ours.delivering(2.0):
        pass
    assert ours.lag() is not None
    assert "no answer within 2 s" in ours.lag().problem  # pyright: ignore[reportOptionalMemberAccess]
    assert [one.is_alive for one in started] == [False]


def test_a_process_without_its_parent_ends_by_itself(
    proxy: TroubledProxy, experiment: str, tmp_path: Path
) -> None:
    process = MlflowProcess(experiment, tmp_path, variables(proxy))
    assert "detail" in process.ask({"examine": True})
    proxy.begin("hanging")
    process.limit(1)
    assert process.ask({"examine": True}) == {"problem": "its process ended without an answer"}
    process.close()


def test_an_answer_lost_at_any_request_leaves_one_run(
    server: MlflowServer, proxy: TroubledProxy, experiment: str, tmp_path: Path
) -> None:
    """The server carries out the request, and its answer is lost. The next attempt knows nothing of it."""
    process = MlflowProcess(experiment, tmp_path, variables(proxy))
    lost, number = 0, 0
    while lost == number:
        number += 1
        run = mlflow_run(measured(f"{number:04}"), "docs").to_json()
        count = iter(range(1, 1000))
        proxy.begin("dropped after send", lambda _, count=count, number=number: next(count) == number)
        lost += "problem" in process.ask(run)
        proxy.end()
        assert "run_id" in process.ask(run)
        assert "run_id" in process.ask(run)
    process.close()
    assert lost > 10
    runs = found(server, experiment)
    assert len(runs) == number
    for run in runs:
        expected = mlflow_run(measured(run.tags["dagster_run_id"]), "docs")
        assert (run.params, run.metrics) == (expected.params, pytest.approx(expected.metrics))
        assert run.tags == {**expected.tags, "is_complete": "yes"}
        assert (run.status, run.files) == ("FINISHED", expected.files)


def test_a_killed_delivery_is_completed_by_the_next(
    server: MlflowServer, proxy: TroubledProxy, experiment: str, tmp_path: Path
) -> None:
    ours = observer(tmp_path, url_of(proxy), experiment)
    ours.put(measured())
    ours.prepare()
    process = mlflow_observer._PREPARED[tmp_path / "tracking"]._process
    proxy.begin(
        "hanging", lambda data: b"log-batch" in data and bool(os.kill(process.pid, signal.SIGKILL) or True)
    )
    ours.deliver(SECONDS)
    proxy.end()
    assert ours.lag() is not None
    [half] = found(server, experiment)
    assert "is_complete" not in half.tags
    ours.deliver(SECONDS)
    [run] = found(server, experiment)
    assert (run.run_id, run.tags["is_complete"]) == (half.run_id, "yes")


def test_a_run_taken_for_dead_is_replaced_by_its_own_record(
    server: MlflowServer, proxy: TroubledProxy, experiment: str, tmp_path: Path
) -> None:
    process = MlflowProcess(experiment, tmp_path, variables(proxy))
    for outcome, kept in (("died", "died"), ("live", "live"), ("died", "live")):
        assert "run_id" in process.ask(mlflow_run(run_record("r1", 1, outcome), "docs").to_json())
        assert outcomes(found(server, experiment)) == [("r1", kept)]
    process.close()


def test_links_lead_to_the_page_of_the_run(server: MlflowServer, experiment: str, tmp_path: Path) -> None:
    ours = observer(tmp_path, server.url, experiment)
    ours.put(run_record("r1", 1))
    ours.deliver(SECONDS)
    [run] = found(server, experiment)
    assert ours.written["r1"].run_id == run.run_id
    assert ours.written["r1"].url.startswith(f"{server.url}/#/experiments/")
    assert ours.written["r1"].url.endswith(f"/runs/{run.run_id}")
    shown = observer(tmp_path, server.url, experiment, mlflow_url="https://mlflow.example.com")
    assert (
        shown._url({"experiment_id": "1", "run_id": "2"})
        == "https://mlflow.example.com/#/experiments/1/runs/2"
    )


def test_a_prepared_process_delivers_and_changed_settings_start_another(
    server: MlflowServer, experiment: str, tmp_path: Path
) -> None:
    first = observer(tmp_path, "http://127.0.0.1:9", experiment)
    first.prepare()
    stale = mlflow_observer._PREPARED[tmp_path / "tracking"]
    first.prepare()
    assert mlflow_observer._PREPARED[tmp_path / "tracking"] is stale
    ours = observer(tmp_path, server.url, experiment)
    ours.put(run_record("r1", 1))
    ours.deliver(SECONDS)
    assert outcomes(found(server, experiment)) == [("r1", "live")]
    assert not stale.is_alive
    assert tmp_path / "tracking" not in mlflow_observer._PREPARED


def test_a_crashed_prepared_process_is_replaced(
    server: MlflowServer, experiment: str, tmp_path: Path
) -> None:
    ours = observer(tmp_path, server.url, experiment)
    ours.prepare()
    process = mlflow_observer._PREPARED[tmp_path / "tracking"]._process
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    ours.put(run_record("r1", 1))
    ours.deliver(SECONDS)
    assert len(found(server, experiment)) == 1


def test_a_deleted_experiment_is_named(
    server: MlflowServer, proxy: TroubledProxy, experiment: str, tmp_path: Path
) -> None:
    process = MlflowProcess(experiment, tmp_path, variables(proxy))
    assert "run_id" in process.ask(mlflow_run(run_record("r1", 1), "docs").to_json())
    with sqlite3.connect(server.database, timeout=30) as connection:
        connection.execute("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = ?", (experiment,))
    answer = process.ask(mlflow_run(run_record("r2", 2), "docs").to_json())
    assert "the experiment was deleted" in answer["problem"]
    process.close()


def test_a_refused_and_a_damaged_record_do_not_stop_the_others(
    server: MlflowServer, experiment: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours = observer(tmp_path, server.url, experiment)
    damaged = measured("r1")
    damaged.rows["rag_evaluations"][0]["recall_at_5"] = "high"
    invalid = run_record("r2", 2, **{"num_@": 1})
    for record in (damaged, invalid, run_record("r3", 3)):
        ours.put(record)
    ours.deliver(SECONDS)
    complete = [run for run in found(server, experiment) if "is_complete" in run.tags]
    assert outcomes(complete) == [("r3", "live")]
    assert caplog.text.count("for MLflow is unusable") == 2
    assert ours.outbox.num_waiting == 0


def test_a_database_file_is_private_and_its_files_beside_it(tmp_path: Path) -> None:
    ours = observer(tmp_path, "sqlite:///own/mlflow.db", "docs")
    assert "does not exist yet" in ours.examine()
    (tmp_path / "own").mkdir()
    ours.put(measured())
    ours.deliver(SECONDS)
    database = tmp_path / "own" / "mlflow.db"
    [run] = runs_in(database, "docs")
    assert run.files.keys() == {"benchmark_queries.json", "eval_results.json", "report.html"}
    assert database.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own", "tracking"]
    assert ours.written["r1"].url == ""
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
def test_an_unusable_address_is_a_warning(uri: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a_folder").mkdir()
    ours = observer(tmp_path, uri, "docs")
    ours.put(run_record("r1", 1))
    ours.deliver(20.0)
    lag = ours.lag()
    assert lag is not None
    assert re.search(problem, lag.problem), lag.problem


def test_without_the_package_the_warning_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_observer, "find_spec", lambda _: None)
    ours = observer(tmp_path, "http://127.0.0.1:9", "docs")
    ours.prepare()
    ours.put(run_record("r1", 1))
    ours.deliver(SECONDS)
    lag = ours.lag()
    assert lag is not None
    assert "pip install 'rag-assets[mlflow]'" in lag.problem
    with pytest.raises(MlflowUnavailable, match="pip install"):
        ours.examine()


def test_without_an_address_nothing_waits(tmp_path: Path) -> None:
    settings: Settings = load_settings(mlflow_tracking_uri=None)
    ours = MlflowObserver(settings, tmp_path / "tracking")
    ours.put(run_record("r1", 1))
    with ours.delivering(1.0):
        pass
    assert ours.lag() is None
    assert list(tmp_path.iterdir()) == []
