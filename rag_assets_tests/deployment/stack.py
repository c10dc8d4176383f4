"""The stack of docker-compose.yml, started for real, with a folder of its own and without Qdrant, MLflow and Grafana."""

import json
import os
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SERVICES = (
    "alertmanager",
    "code-location",
    "daemon",
    "metrics",
    "postgres",
    "prometheus",
    "redis",
    "webserver",
)
CANARY = "canary-of-a-test-7d1b"
_PATIENCE_SECONDS = 420
_LAUNCH = """
mutation Launch($job: String!) {
  launchRun(executionParams: {selector: {repositoryLocationName: "rag_assets", repositoryName: "__repository__", jobName: $job}}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
_RUNS = """
query Runs { runsOrError { ... on Runs { results { runId status tags { key value } } } } }
"""


class Stack:
    """One project of the Compose tool.

    Attributes:
        documents: the mounted folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._project = f"rag-assets-test-{os.getpid()}"
        self.tag = "test"
        self.documents = folder / "documents"
        self.documents.mkdir()
        secrets = folder / "secrets"
        secrets.mkdir()
        (secrets / "slack").write_text(f"http://127.0.0.1:9/{CANARY}")
        benchmark = folder / "questions.jsonl"
        benchmark.write_text("")
        self._benchmark = benchmark
        self._settings = folder / "settings.env"
        self._env = folder / "stack.env"
        subprocess.run(["sh", str(ROOT / "deployment" / "write-env.sh"), str(self._env)], check=True)
        self.passwords = re.findall(r"(?:PASSWORD|KEY)=(\w{32})", self._env.read_text())
        with self._env.open("a") as file:
            file.write(
                f"COMPOSE_PROFILES=\nIMAGE_TAG={self.tag}\nDAGSTER_PORT={free_port()}\nPROMETHEUS_PORT={free_port()}\n"
                f"RAG_DOCUMENTS_DIR={self.documents}\nRAG_BENCHMARK_FILE={benchmark}\nSECRETS_DIR={secrets}\n"
                f"SETTINGS_FILE={self._settings}\n"
            )
        self.configure(automatic=False)

    def configure(self, *, automatic: bool) -> None:
        """Set whether schedule and sensors are on. Applies from the next `up`."""
        self._settings.write_text(
            "RAG_SCHEDULE=* * * * *\nRAG_EVAL_THRESHOLD=0.5\nSLACK_WEBHOOK_URL_FILE=/run/secrets/slack\n"
        )
        text = re.sub(r"^RAG_AUTO_REFRESH=.*\n", "", self._env.read_text(), flags=re.MULTILINE)
        self._env.write_text(f"{text}RAG_AUTO_REFRESH={str(automatic).lower()}\n")

    def write(self, name: str, subject: str) -> None:
        """Write a document, and a question about it."""
        (self.documents / name).write_text(
            f"# The {subject}\n\nThe {subject} is kept in the cellar of house {len(subject)}.\n"
        )
        question = {"query": f"Where is the {subject}?", "expected_docs": [name]}
        with self._benchmark.open("a") as file:
            file.write(json.dumps(question) + "\n")

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            ["nice", "docker-compose", "--project-name", self._project, "--env-file", str(self._env),
             "--file", str(ROOT / "docker-compose.yml"), *arguments],
            cwd=self._folder, env=clean, capture_output=True, text=True, timeout=1800,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{arguments}: {done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done

    def up(self) -> None:
        """Build what is missing, start, and wait until all services are healthy."""
        self.compose("up", "-d")
        wait_for(lambda: set(self.health().values()) == {"healthy"}, self.health)

    def health(self) -> dict[str, str]:
        """Return service -> its health."""
        return {
            service: docker(
                "inspect", "--format", "{{.State.Health.Status}}", self.container(service)
            ).strip()
            for service in SERVICES
        }

    def container(self, service: str) -> str:
        return self.compose("ps", "-q", service).stdout.strip()

    def execute(self, service: str, *command: str) -> str:
        return self.compose("exec", "-T", service, *command).stdout

    def in_another_container(self, *command: str) -> str:
        return self.compose("run", "--rm", "-T", "code-location", *command).stdout

    def ask(self, query: str, **variables: str) -> Any:
        """Ask the API of the UI."""
        port = re.findall(r"^DAGSTER_PORT=(\d+)$", self._env.read_text(), re.MULTILINE)[0]
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    def launch(self, job: str) -> str:
        """Start a job by the API of the UI, and return its run."""
        launched = self.ask(_LAUNCH, job=job)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def runs(self) -> list[dict[str, Any]]:
        return list(self.ask(_RUNS)["runsOrError"]["results"])

    def ended(self, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for the end of the first run that matches, and return it."""
        ends = {"SUCCESS", "FAILURE", "CANCELED"}

        def found() -> dict[str, Any] | None:
            return next((run for run in self.runs() if matches(run) and run["status"] in ends), None)

        return wait_for(found, self.runs)

    def remove(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", check=False)


def wait_for(found: Callable[[], Any], state: Callable[[], Any]) -> Any:
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(2)
    raise AssertionError(f"still waiting: {state()}")


def docker(*arguments: str) -> str:
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=True, timeout=300
    ).stdout


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
