"""One refresh in its own process. It may kill itself at a named point.

The processes are forked from a server with Dagster and the definitions imported once. A start takes milliseconds instead
of seconds, and each is still a whole process with its own pid.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rag_assets_tests.processes.kill_points import kill_at, stop_at
from rag_assets_tests.processes.scene import Scene
from rag_assets_tests.quick_dagster import quick_dagster
from rag_assets_tests.small_generations import small_generations

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "rag_assets.definitions",
        "rag_assets_tests.processes.kill_points",
        "alembic.context",
        "dagster._core.storage.sqlite_storage",
        "dagster._core.storage.event_log.sqlite.consolidated_sqlite_event_log",
        "pyarrow.parquet",
        "qdrant_edge",
        "wordllama",
    ]
)
LOG = "refresh.log"


class RefreshProcess:
    """A running refresh."""

    def __init__(
        self,
        scene: Scene,
        prepare: Callable[..., None] | None = None,
        arguments: tuple[Any, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        """Start it.

        Args:
            prepare: function at the top level of a module. The process calls it before the run.
        """
        self._scene = scene
        full = scene.environment(**(environment or {}))
        self.process = _context.Process(target=_refresh, args=(scene, full, prepare, arguments))
        self.process.start()

    def wait(self, seconds: float = 180) -> int:
        """Return the exit code: 0 success, 1 failure, -9 killed."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise AssertionError(f"the refresh did not end within {seconds} s:\n{self.log()}")
        return self.process.exitcode

    def log(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self._scene.home / LOG).read_text(encoding="utf-8")[-6000:]
        return ""


def refresh(scene: Scene, **environment: str) -> None:
    """Refresh in a separate process, and assert its success."""
    process = RefreshProcess(scene, environment=environment)
    assert process.wait() == 0, process.log()


def refresh_until_killed(scene: Scene, point: str) -> None:
    """Refresh in a process killing itself at a named point, and assert its death there."""
    process = RefreshProcess(scene, kill_at, (point,))
    assert process.wait() == -signal.SIGKILL, f"the refresh did not reach {point!r}:\n{process.log()}"


class StoppedRefresh:
    """A refresh stopped at a named point: alive but silent, until it is resumed."""

    def __init__(self, scene: Scene, point: str) -> None:
        self._process = RefreshProcess(scene, stop_at, (point,))
        self._pid = self._process.process.pid
        deadline = time.monotonic() + 180
        while self._status() != "T":
            if self._process.process.exitcode is not None or time.monotonic() > deadline:
                self._process.process.kill()
                raise AssertionError(f"the refresh did not reach {point!r}:\n{self._process.log()}")
            time.sleep(0.02)

    def _status(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()[0]
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.process.kill()

    def resume(self) -> int:
        """Continue the refresh, and return its exit code."""
        assert self._pid is not None
        os.kill(self._pid, signal.SIGCONT)
        return self._process.wait()


def _refresh(
    scene: Scene, environment: dict[str, str], prepare: Callable[..., None] | None, arguments: tuple[Any, ...]
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(scene.home)
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    import dagster as dg

    from rag_assets.definitions import build_definitions
    from rag_assets.settings import load_settings

    try:
        if prepare is not None:
            prepare(*arguments)
        definitions = build_definitions(load_settings())
        with (
            quick_dagster(),
            contextlib.nullcontext() if scene.all_indexes else small_generations(),
            dg.DagsterInstance.get() as instance,
        ):
            result = definitions.resolve_job_def("refresh").execute_in_process(
                instance=instance, raise_on_error=False
            )
        code = 0 if result.success else 1
    except BaseException:
        traceback.print_exc()
        code = 3
    sys.exit(code)
