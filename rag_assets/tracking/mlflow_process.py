"""The process with MLflow, seen from a refresh: its start ahead of time, its answers, its end at the latest with a deadline.

MLflow and dagster-mlflow are imported there only. A hanging server, a crash of a library and their memory stay there.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_MODULE = "rag_assets.defs.mlflow"
_END_SECONDS = 5.0


class MlflowProcess:
    """Starts at once, and imports its packages while the refresh goes on.

    Args:
        home: working folder, for relative paths in an address.
        environment: its variables.
    """

    def __init__(self, experiment: str, home: Path, environment: Mapping[str, str]) -> None:
        self.identity = (experiment, home, dict(environment))
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-W", "ignore", "-m", _MODULE, experiment],
            cwd=home,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C ends the refresh, which ends this process
        )
        self._requests: Any = self._process.stdin
        self._answers: Any = self._process.stdout

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def limit(self, seconds: float) -> None:
        """Let it end by itself after a time, also without this process."""
        self._send({"seconds": seconds})

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer. It may be a `problem`, or that a run is `refused` for ever. Waits for it without limit."""
        self._send(request)
        line = self._answers.readline()
        if not line:
            return {"problem": "its process ended without an answer"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process. One that waits for a server is killed."""
        if self.is_alive:
            self._process.kill()
        for pipe in (self._requests, self._answers):
            with suppress(OSError):  # with a request that was not sent
                pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)

    def _send(self, message: Mapping[str, Any]) -> None:
        with suppress(BrokenPipeError):  # its end is seen with the answer
            self._requests.write(json.dumps(message).encode() + b"\n")
            self._requests.flush()
