"""One value of each setting in every process, and in every folder with the same RAG_HOME.

Each process reads the sources once. Its run records the values in effect, with their origins.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rag_assets_tests.browser.dagster_dev import REPOSITORY, dagster_dev, free_port

LAUNCHPAD = {"resources": {"knowledge_base": {"config": {"dense_weight": 0.5, "chunk_size": 300}}}}
_OURS = ("RAG_", "OPENAI_", "QDRANT_", "REDIS_", "SLACK_", "DAGSTER_", "MLFLOW_", "AWS_", "COV_")
_SECONDS = 120
_LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
_STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


@dataclass(frozen=True)
class Place:
    """A folder with `.env`, documents and the file of a secret, and another folder for processes."""

    home: Path
    other: Path

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a shell. One variable has another value in `.env`, one stands here alone."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        return {**kept, "RAG_CHUNK_OVERLAP": "7", "RAG_MAX_TEXT_MB": "99", **more}

    def elsewhere(self) -> dict[str, str]:
        """Return the environment of a process in the other folder."""
        return self.environment(RAG_HOME=str(self.home), DAGSTER_HOME=str(self.other))

    @property
    def runs(self) -> Path:
        return self.home / ".rag" / "artifacts" / "knowledge_base" / "raw_documents"

    def recorded(self) -> dict[str, tuple[str, str]]:
        """Return setting -> value and origin in the last run, for all that differ from their default."""
        run_id = json.loads((self.runs / "latest.json").read_text())["run_id"]
        details = json.loads((self.runs / run_id / "header.json").read_text())["details"]
        return {row["variable"]: (row["value"], row["origin"]) for row in details["settings"]}

    def expected(self) -> dict[str, tuple[str, str]]:
        file = str(self.home / ".env")
        return {
            "RAG_DOCUMENTS_DIR": (str(self.home / "texts"), file),
            "RAG_MAX_TEXT_MB": ("9", file),
            "RAG_CHUNK_SIZE": ("200", file),
            "RAG_CHUNK_OVERLAP": ("7", "environment"),
            "SLACK_WEBHOOK_URL": ("set, not shown", f"file {self.home / 'secret'}"),
        }

    def expected_with_launchpad(self) -> dict[str, tuple[str, str]]:
        return self.expected() | {
            "RAG_CHUNK_SIZE": ("300", "Launchpad"),
            "RAG_DENSE_WEIGHT": ("0.5", "Launchpad"),
        }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("settings")
    home, other = folder / "home", folder / "other"
    (home / "texts").mkdir(parents=True)
    other.mkdir()
    (home / "texts" / "a.md").write_text("# Vacation\n\nThirty days.\n", encoding="utf-8")
    (home / "secret").write_text("http://127.0.0.1:9/word\n", encoding="utf-8")
    (home / ".env").write_text(
        "RAG_DOCUMENTS_DIR=texts\nRAG_MAX_TEXT_MB=9\nRAG_CHUNK_SIZE=200\nSLACK_WEBHOOK_URL_FILE=secret\n",
        encoding="utf-8",
    )
    for target in (home, other):
        shutil.copy(REPOSITORY / "dagster.yaml", target)
    return Place(home, other)


@pytest.fixture(autouse=True)
def no_run_before(place: Place) -> None:
    shutil.rmtree(place.home / ".rag", ignore_errors=True)


def execute(cwd: Path, environment: dict[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    executable = Path(sys.executable).with_name(command[0])
    return subprocess.run(
        [executable, *command[1:]], cwd=cwd, env=environment, capture_output=True, text=True, timeout=240
    )


@pytest.mark.parametrize("folder", ["home", "other"])
def test_rag_assets_says_it_in_both_folders(place: Place, folder: str) -> None:
    environment = place.environment() if folder == "home" else place.elsewhere()
    done = execute(getattr(place, folder), environment, "rag-assets", "settings", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["variable"]: row for row in json.loads(done.stdout)["settings"]}
    differing = {
        it["variable"]: (it["value"], it["origin"]) for it in rows.values() if it["value"] != it["default"]
    }
    assert differing == place.expected()
    assert rows["RAG_EVAL_THRESHOLD"]["origin"] == "default"
    assert rows["RAG_STATE_DIR"]["value"] == str(place.home / ".rag")
    assert done.stderr.splitlines() == [
        f"rag-assets: RAG_MAX_TEXT_MB is 99 in the shell and 9 in {place.home / '.env'}, which wins"
    ]


@pytest.mark.parametrize("folder", ["home", "other"])
def test_dagster_asset_materialize_uses_it_in_both_folders(place: Place, folder: str) -> None:
    environment = place.environment() if folder == "home" else place.elsewhere()
    command = ("asset", "materialize", "-m", "rag_assets.definitions", "--select", "raw_documents")
    done = execute(
        getattr(place, folder), environment, "dagster", *command, "--config-json", json.dumps(LAUNCHPAD)
    )
    assert done.returncode == 0, done.stderr
    assert place.recorded() == place.expected_with_launchpad()
    assert not (place.other / ".rag").exists()


def test_rag_assets_refresh_uses_it_in_another_folder(place: Place) -> None:
    """Its gate fails, because there is no benchmark."""
    execute(place.other, place.elsewhere(), "rag-assets", "refresh")
    assert place.recorded() == place.expected()


def test_dagster_dev_uses_it(place: Place) -> None:
    with dagster_dev(place.home, place.environment()) as url:
        launch(url)
    assert place.recorded() == place.expected_with_launchpad()


def test_a_webserver_and_a_daemon_in_another_folder_use_it(place: Place) -> None:
    """The daemon takes the run from the queue, and the code server of the daemon starts it."""
    workspace = ("-w", str(REPOSITORY / "workspace.yaml"))
    url = f"http://127.0.0.1:{free_port()}"
    with (
        started(place, "dagster-webserver", *workspace, "-h", "127.0.0.1", "-p", url.rpartition(":")[2]),
        started(place, "dagster-daemon", "run", *workspace),
    ):
        launch(url)
    assert place.recorded() == place.expected_with_launchpad()
    assert not (place.other / ".rag").exists()


@contextlib.contextmanager
def started(place: Place, *command: str) -> Generator[None]:
    """Run a command in the other folder, for the length of the block."""
    process = subprocess.Popen(
        [Path(sys.executable).with_name(command[0]), *command[1:]],
        cwd=place.other,
        env=place.elsewhere(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def launch(url: str) -> None:
    """Materialize `raw_documents` with values from the Launchpad, and wait for the end."""
    selector = {
        "repositoryLocationName": "rag_assets",
        "repositoryName": "__repository__",
        "pipelineName": "__ASSET_JOB",
        "assetSelection": [{"path": ["raw_documents"]}],
        "assetCheckSelection": [],
    }
    params = {"selector": selector, "runConfigData": LAUNCHPAD, "mode": "default"}
    wait_for(lambda: ask(url, "query { version }"))
    answer = ask(url, _LAUNCH, params=params)["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    run_id = answer["run"]["runId"]
    status = wait_for(lambda: ended(url, run_id))
    assert status == "SUCCESS"


def ended(url: str, run_id: str) -> str:
    status = str(ask(url, _STATUS, id=run_id)["runOrError"]["status"])
    return status if status in ("SUCCESS", "FAILURE", "CANCELED") else ""


def ask(url: str, query: str, **variables: Any) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{url}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())["data"]


def wait_for(look: Any) -> Any:
    """Return the first answer that is not empty. No answer at all counts as empty."""
    deadline = time.monotonic() + _SECONDS
    while True:
        with contextlib.suppress(OSError):
            if found := look():
                return found
        assert time.monotonic() < deadline
        time.sleep(0.5)
