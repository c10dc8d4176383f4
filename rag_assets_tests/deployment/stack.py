"""The stack of docker-compose.yml, started for real, with a folder of its own, a stand-in for Slack, and without Grafana.

Qdrant is started by a test of its own, where there is its program.
"""

import json
import os
import re
import socket
import subprocess
import time
import urllib.parse
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
    "mlflow",
    "postgres",
    "prometheus",
    "redis",
    "webserver",
)
CANARY = "canary-of-a-test-7d1b"
TLS = ROOT / "deployment" / "docker-compose.tls.yml"
_PATIENCE_SECONDS = 420
_GROUP = 10001
"""Group of the containers that read the secrets."""
_DOCUMENTS_GROUP = 4711
_PORTS = ("DAGSTER_PORT", "PROMETHEUS_PORT", "MLFLOW_PORT", "QDRANT_PORT")
# One line of JSON per message.
_SLACK = """
import http.server, json
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(json.dumps({"path": self.path, "body": body}), flush=True)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("", 8000), Receiver).serve_forever()
"""
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
        files: those of the Compose tool.
        passwords: variable -> value, as written by the script.
        port: variable -> value.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._project = f"rag-assets-test-{os.getpid()}"
        self.tag = "test"
        self.documents = folder / "documents"
        self.documents.mkdir()
        secrets = folder / "secrets"
        secrets.mkdir()
        (secrets / "slack_webhook_url").write_text(f"http://slack:8000/{CANARY}\n")
        if os.geteuid() == 0:  # As the guide says: readable by a group, and by nobody else.
            _close(secrets / "slack_webhook_url", 0o640, _GROUP)
            _close(secrets, 0o750, _GROUP)
            _close(self.documents, 0o750, _DOCUMENTS_GROUP)
        self._stand_in = folder / "stand-in.json"
        self._stand_in.write_text(json.dumps(_stand_in()))
        self.files = [ROOT / "docker-compose.yml", self._stand_in]
        benchmark = folder / "questions.jsonl"
        benchmark.write_text("")
        self._benchmark = benchmark
        self._settings = folder / "settings.env"
        self._env = folder / "stack.env"
        subprocess.run(["sh", str(ROOT / "deployment" / "write-env.sh"), str(self._env)], check=True)
        self.passwords = dict(
            re.findall(r"^(\w+(?:PASSWORD|KEY))=(\w{32})$", self._env.read_text(), re.MULTILINE)
        )
        self._settings.write_text(
            "RAG_SCHEDULE=* * * * *\nRAG_EVAL_THRESHOLD=0.5\nSLACK_WEBHOOK_URL_FILE=/run/secrets/slack_webhook_url\n"
        )
        self.port = {name: free_port() for name in _PORTS}
        self.configure(
            **{name: str(port) for name, port in self.port.items()},
            COMPOSE_PROFILES="mlflow",
            IMAGE_TAG=self.tag,
            RAG_AUTO_REFRESH="false",
            RAG_BENCHMARK_FILE=str(benchmark),
            RAG_DOCUMENTS_DIR=str(self.documents),
            DOCUMENTS_GROUP_ID=str(_DOCUMENTS_GROUP),
            SECRETS_DIR=str(secrets),
            SETTINGS_FILE=str(self._settings),
        )

    def configure(self, **variables: str) -> None:
        """Set variables of the env file. They apply from the next `up`."""
        lines = self._env.read_text().splitlines()
        kept = [line for line in lines if line.partition("=")[0] not in variables]
        self._env.write_text(
            "\n".join([*kept, *(f"{name}={value}" for name, value in variables.items()), ""])
        )

    def write(self, name: str, subject: str) -> None:
        """Write a document, and a question about it."""
        (self.documents / name).write_text(
            f"# The {subject}\n\nThe {subject} is kept in the cellar of house {len(subject)}.\n"
        )
        question = {"query": f"Where is the {subject}?", "expected_docs": [name]}
        with self._benchmark.open("a") as file:
            file.write(json.dumps(question) + "\n")

    def folder_for_the_user_of_the_containers(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(mode=0o700)
        os.chown(folder, _GROUP, _GROUP)
        return folder

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            ["nice", "docker-compose", "--project-name", self._project, "--env-file", str(self._env),
             *(part for file in self.files for part in ("--file", str(file))), *arguments],
            cwd=self._folder, env=clean, capture_output=True, text=True, timeout=1800,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{arguments}: {done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done

    def up(self, *more: str) -> None:
        """Build what is missing, start, and wait until all services, and these, are healthy."""
        self.compose("up", "-d", "--remove-orphans")
        services = (*SERVICES, *more)
        wait_for(lambda: set(self.health(*services).values()) == {"healthy"}, lambda: self.health(*services))

    def health(self, *services: str) -> dict[str, str]:
        """Return service -> its health."""
        return {
            service: docker(
                "inspect", "--format", "{{.State.Health.Status}}", self.container(service)
            ).strip()
            for service in services or SERVICES
        }

    def container(self, service: str) -> str:
        return self.compose("ps", "-q", service).stdout.strip()

    def execute(self, service: str, *command: str) -> str:
        return self.compose("exec", "-T", service, *command).stdout

    def in_another_container(self, *command: str) -> str:
        return self.compose("run", "--rm", "-T", "code-location", *command).stdout

    def ask(self, query: str, **variables: str) -> Any:
        """Ask the API of the UI."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port['DAGSTER_PORT']}/graphql",
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

    def prometheus(self, path: str, **parameters: str) -> Any:
        """Ask the API of Prometheus."""
        query = urllib.parse.urlencode(parameters)
        url = f"http://127.0.0.1:{self.port['PROMETHEUS_PORT']}/api/v1/{path}?{query}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.load(answer)["data"]

    def sample(self, query: str) -> float | None:
        """Return the one value of a query, None without one."""
        found = self.prometheus("query", query=query)["result"]
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else None

    def told(self) -> list[Any]:
        """Return the bodies of the messages that the stand-in for Slack has taken."""
        received = [json.loads(line) for line in docker("logs", self.container("slack")).splitlines()]
        assert {one["path"] for one in received} <= {f"/{CANARY}"}
        return [one["body"] for one in received]

    def wait_until_told(self, *words: str, patience_seconds: float = _PATIENCE_SECONDS) -> str:
        """Wait for the first message with all of these words."""
        return str(
            wait_for(
                lambda: next(
                    (text for text in map(json.dumps, self.told()) if all(word in text for word in words)),
                    None,
                ),
                self.told,
                patience_seconds=patience_seconds,
            )
        )

    def remove(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", check=False)
        # Those of the proxy are in none of the files any more.
        volumes = docker(
            "volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={self._project}"
        ).split()
        if volumes:
            docker("volume", "rm", *volumes)


def _close(path: Path, mode: int, group: int) -> None:
    os.chown(path, -1, group)
    path.chmod(mode)


def _stand_in() -> dict[str, Any]:
    """Return the Compose file of the stand-in for Slack, on the network of the services that tell."""
    image = re.findall(r"^ARG PYTHON_IMAGE=(.+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]
    service = {"image": image, "command": ["python", "-c", _SLACK], "init": True, "networks": ["outside"]}
    return {"services": {"slack": service}}


def wait_for(
    found: Callable[[], Any],
    state: Callable[[], Any],
    *,
    patience_seconds: float = _PATIENCE_SECONDS,
    pause_seconds: float = 2,
) -> Any:
    end = time.monotonic() + patience_seconds
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(pause_seconds)
    raise AssertionError(f"still waiting: {state()}")


def docker(*arguments: str) -> str:
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=True, timeout=300
    ).stdout


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
