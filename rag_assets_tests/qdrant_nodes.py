"""Real Qdrant servers for tests: one that runs already, or nodes started from an executable on this machine.

`QDRANT_TEST_URL` and `QDRANT_TEST_API_KEY` lead to a server. `QDRANT_TEST_EXECUTABLE` is a program to start: one
server, if there is no URL, and a cluster of three nodes. Without them tests of real servers are skipped.
"""

import atexit
import contextlib
import functools
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from rag_assets.vector_stores.server.client import connect
from rag_assets_tests.pipeline import Pipeline

URL = os.environ.get("QDRANT_TEST_URL")
EXECUTABLE = os.environ.get("QDRANT_TEST_EXECUTABLE")
_START_SECONDS = 120


class Node:
    """One server, with its data in a folder of its own. It keeps ports and data over restarts."""

    def __init__(
        self,
        folder: Path,
        first: "Node | None" = None,
        *,
        cluster: bool = True,
        configuration: Mapping[str, str] | None = None,
    ) -> None:
        """Describe a node.

        Args:
            first: another node of the cluster.
            configuration: of the server, such as `SERVICE__API_KEY`.
        """
        self.folder = folder
        self._configuration = {f"QDRANT__{name}": value for name, value in (configuration or {}).items()}
        self.http_port, self._grpc_port, self._peer_port = (_free_port() for _ in range(3))
        self._first = first
        self._cluster = cluster
        self._process: subprocess.Popen[bytes] | None = None
        self.num_starts = 0
        self.is_serving = False

    @property
    def url(self) -> str:
        scheme = "https" if self._configuration.get("QDRANT__SERVICE__ENABLE_TLS") == "true" else "http"
        return f"{scheme}://127.0.0.1:{self.http_port}"

    @property
    def peer_url(self) -> str:
        return f"http://127.0.0.1:{self._peer_port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.num_starts += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": str(self.http_port),
            "QDRANT__SERVICE__GRPC_PORT": str(self._grpc_port),
            "QDRANT__STORAGE__STORAGE_PATH": str(self.folder / "storage"),
            "QDRANT__STORAGE__SNAPSHOTS_PATH": str(self.folder / "snapshots"),
            "QDRANT__STORAGE__TEMP_PATH": str(self.folder / "temporary"),
            "QDRANT__TELEMETRY_DISABLED": "true",
            "QDRANT__LOG_LEVEL": "WARN",
            **self._configuration,
        }
        arguments: list[str] = []
        if self._cluster:
            environment["QDRANT__CLUSTER__ENABLED"] = "true"
            environment["QDRANT__CLUSTER__P2P__PORT"] = str(self._peer_port)
            arguments = ["--uri", self.peer_url]
            if self._first is not None:
                arguments += ["--bootstrap", self._first.peer_url]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(EXECUTABLE), *arguments],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_it_answers()
        self.is_serving = True

    def kill(self) -> None:
        """Kill it, as a power cut does."""
        self.is_serving = False
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self.is_running:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", verify=False).status_code == 200:
                    return
            time.sleep(0.1)
        end = (self.folder / "log").read_text(errors="replace")[-2000:]
        raise AssertionError(f"the server at {self.url} did not start:\n{end}")


class Nodes:
    """Some nodes, a cluster if there are several. They end with the process."""

    def __init__(self, folder: Path, count: int) -> None:
        first = Node(folder / "1", cluster=count > 1)
        self.nodes = [first, *(Node(folder / str(number), first) for number in range(2, count + 1))]
        for node in self.nodes:
            node.start()
        self.wait_until_complete()

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    def wait_until_complete(self) -> None:
        """Wait until every running node knows all the others and the leader of the consensus."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if len(self.nodes) == 1 or all(self._is_in(node) for node in self.nodes if node.is_running):
                    return
            time.sleep(0.1)
        raise AssertionError("the nodes did not become a cluster")

    def _is_in(self, node: Node) -> bool:
        found = httpx.get(f"{node.url}/cluster").json()["result"]
        return len(found["peers"]) == len(self.nodes) and found["raft_info"]["leader"] is not None

    def wait_until_whole(self, prefix: str) -> None:
        """Wait until every copy of every collection with this prefix is active, as seen by every node."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if all(state == "Active" for node in self.nodes for state in _copies(node, prefix)):
                    return
            time.sleep(0.2)
        raise AssertionError("some copies did not become active")

    def holding(self, prefix: str) -> Node:
        """Return a node with the only copy of a generation."""
        for node in self.nodes:
            for name, copies in _local_copies(node).items():
                if name.startswith(prefix) and not name.endswith("--meta") and copies:
                    return node
        raise AssertionError(f"no node holds {prefix}")

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()


@functools.cache
def running_nodes(count: int) -> Nodes:
    """Return nodes shared by all tests of this process."""
    in_memory = Path("/dev/shm")
    folder = Path(
        tempfile.mkdtemp(prefix="rag-assets-qdrant-", dir=in_memory if in_memory.is_dir() else None)
    )
    nodes = Nodes(folder, count)

    def end() -> None:
        nodes.stop()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return nodes


@dataclass(frozen=True)
class RealServer:
    """A server or a cluster.

    Attributes:
        urls: of the nodes. Each new client takes the next one.
        replicas: copies of a collection, None for the default.
    """

    urls: tuple[str, ...]
    api_key: str | None = None
    replicas: int | None = None
    _turns: "itertools.cycle[str]" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_turns", itertools.cycle(self.urls))

    def connect(self) -> Any:
        return connect(next(self._turns), self.api_key)

    @contextlib.contextmanager
    def configured(self, pipeline: Pipeline, collection: str) -> Iterator[None]:
        """Let a pipeline use the server, and delete its collections afterwards."""
        variables = {"QDRANT_URL": next(self._turns), "RAG_COLLECTION": collection}
        if self.api_key is not None:
            variables["QDRANT_API_KEY"] = self.api_key
        if self.replicas is not None:
            variables["RAG_QDRANT_REPLICAS"] = str(self.replicas)
        pipeline.configure(**variables)
        try:
            yield
        finally:
            pipeline.unset(*variables)
            self.delete_collections(collection)

    def delete_collections(self, prefix: str) -> None:
        client = self.connect()
        for one in client.get_collections().collections:
            if one.name.startswith(prefix):
                client.delete_collection(one.name)


ONE_SERVER = ["server"] if URL or EXECUTABLE else []
CLUSTERS = {"cluster with one copy": 1, "cluster with two copies": 2} if EXECUTABLE else {}
REAL_SERVERS = [*ONE_SERVER, *CLUSTERS]
"""Names for `real_server`."""


@functools.cache
def real_server(name: str) -> RealServer:
    if name in CLUSTERS:
        return RealServer(tuple(running_nodes(3).urls), replicas=CLUSTERS[name])
    if URL:
        return RealServer((URL,), os.environ.get("QDRANT_TEST_API_KEY"))
    return RealServer(tuple(running_nodes(1).urls))


def real_servers_or_skip() -> list[Any]:
    """Return the names as parameters of a test, or one that is skipped."""
    reason = "neither QDRANT_TEST_URL nor QDRANT_TEST_EXECUTABLE is set"
    return REAL_SERVERS or [pytest.param("server", marks=pytest.mark.skip(reason=reason))]


def _copies(node: Node, prefix: str) -> Iterator[str]:
    for name, found in _clusters(node):
        if name.startswith(prefix):
            yield from (shard["state"] for shard in (*found["local_shards"], *found["remote_shards"]))


def _local_copies(node: Node) -> dict[str, int]:
    return {name: len(found["local_shards"]) for name, found in _clusters(node)}


def _clusters(node: Node) -> Iterator[tuple[str, Any]]:
    for one in httpx.get(f"{node.url}/collections").json()["result"]["collections"]:
        answer = httpx.get(f"{node.url}/collections/{one['name']}/cluster")
        if answer.status_code == 200:  # else deleted in the meantime
            yield one["name"], answer.json()["result"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
