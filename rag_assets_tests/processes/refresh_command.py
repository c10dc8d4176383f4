"""`rag-assets refresh` in a process of its own, and what Dagster recorded of it."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI, Reply, Request
from rag_assets_tests.processes.scene import Scene


@dataclass(frozen=True)
class Printed:
    """What a command printed, and its exit code."""

    code: int
    output: str
    errors: str

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.output)

    def labeled(self, label: str) -> str:
        """Return the text after a label in the last part of the output."""
        (found,) = [line for line in self.lines if line.startswith(f"{label} ")]
        return found.removeprefix(label).strip()


def start_command(scene: Scene, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """Start `rag-assets` with these arguments, in the home of the scene."""
    return subprocess.Popen(
        [Path(sys.executable).with_name("rag-assets"), *arguments],
        cwd=scene.home,
        env=scene.environment(**environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: "subprocess.Popen[str]", seconds: float = 180) -> Printed:
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        raise AssertionError(f"the command did not end within {seconds} s:\n{output}\n{errors}") from None
    return Printed(process.returncode, output, errors)


def run_command(scene: Scene, *arguments: str, **environment: str) -> Printed:
    return finished(start_command(scene, *arguments, **environment))


class StuckModel:
    """A server with a model that answers the probe, and holds every other request until it is released."""

    def __init__(self, server: FakeOpenAI) -> None:
        self._released, self._asked = threading.Event(), threading.Event()
        self.environment = {
            "OPENAI_API_KEY": API_KEY,
            "OPENAI_BASE_URL": server.base_url,
            "RAG_EMBEDDING_MODEL": "tiny-embedding",
        }
        server.habits.append(self._hold)

    def _hold(self, request: Request, reply: Reply) -> None:
        if len(request.texts) > 3:
            self._asked.set()
            self._released.wait(170)

    def wait_for_a_request(self) -> None:
        assert self._asked.wait(120), "no text was sent to the model"

    def release(self) -> None:
        self._released.set()


@contextmanager
def stuck_model() -> Iterator[StuckModel]:
    with FakeOpenAI() as server:
        stuck = StuckModel(server)
        try:
            yield stuck
        finally:
            stuck.release()


def child_of(pid: int) -> int:
    """Return the process that executes the run of a command."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if found:
            return int(found[0])
        time.sleep(0.05)
    raise AssertionError("the command started no process")
