"""A real MLflow server on loopback, and the content of an MLflow database, read with SQL as another program would.

Without MLflow the tests are skipped, or fail if `CI` is set.
"""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_assets.disk.file_locks import take_lock
from rag_assets_tests.optional_packages import require_unimported

_START_SECONDS = 180
ERROR = b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain\r\ncontent-length: 5\r\nconnection: close\r\n\r\nerror"


@dataclass(frozen=True)
class MlflowServer:
    """A running server.

    Attributes:
        database: its SQLite file.
        files: folder with the files of the runs.
    """

    port: int
    database: Path
    files: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[MlflowServer]:
    """Start a server with its data in a folder."""
    require_unimported("mlflow", "dagster_mlflow")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = MlflowServer(port, folder / "server.db", folder / "files")
    process = subprocess.Popen(
        [
            *(
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "mlflow",
                "server",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
            ),
            *("--workers", "1", "--backend-store-uri", f"sqlite:///{server.database}"),
            *("--artifacts-destination", str(server.files)),
        ],
        cwd=folder,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=(folder / "server.log").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _wait_for(server, process, folder / "server.log")
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(server: MlflowServer, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{server.url}/health", timeout=5):
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up, log.read_text()
            time.sleep(0.2)


def wait_for_sender(folder: Path) -> None:
    """Wait for the end of the process that sends the records of an outbox."""
    descriptor = os.open(folder / "lock", os.O_RDWR)
    try:
        assert take_lock(descriptor, time.monotonic() + _START_SECONDS)
    finally:
        os.close(descriptor)


def pids_of_senders() -> list[int]:
    """Return the senders that this process has started, and that have not ended."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name, _, fields = (path / "stat").read_text().rpartition(") ")
            state, parent = fields.split()[:2]
            is_sender = b"rag_assets.defs.mlflow" in (path / "cmdline").read_bytes()
            if is_sender and int(parent) == os.getpid() and state != "Z":
                found.append(int(name.partition(" ")[0]))
    return found


@dataclass(frozen=True)
class FoundRun:
    """A run in a database, not in its trash."""

    run_id: str
    name: str
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    files: dict[str, str]

    @property
    def outcome(self) -> str:
        return self.tags["outcome"]


def runs_in(database: Path, experiment: str, files: Path | None = None) -> list[FoundRun]:
    """Return the runs of an experiment in the order of their ends.

    Args:
        files: folder with the files of the runs, by default beside the database.
    """
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT r.run_uuid, r.name, r.status FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id "
            "WHERE e.name = ? AND r.lifecycle_stage = 'active' ORDER BY r.end_time",
            (experiment,),
        ).fetchall()

        def of(table: str, run_id: str) -> dict[str, Any]:
            found = connection.execute(f"SELECT key, value FROM {table} WHERE run_uuid = ?", (run_id,))
            return dict(found.fetchall())

        return [
            FoundRun(
                run_id,
                name,
                status,
                of("params", run_id),
                of("latest_metrics", run_id),
                of("tags", run_id),
                _files_of(run_id, files or database.parent / "mlartifacts"),
            )
            for run_id, name, status in rows
        ]


def _files_of(run_id: str, files: Path) -> dict[str, str]:
    return {
        path.name: path.read_text()
        for folder in files.rglob(run_id)
        for path in (folder / "artifacts").glob("*")
    }


def results_of(run: FoundRun) -> dict[str, Any]:
    results: dict[str, Any] = json.loads(run.files["eval_results.json"])
    return results
