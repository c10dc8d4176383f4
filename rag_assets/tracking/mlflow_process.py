"""Processes with MLflow, seen from outside. MLflow and dagster-mlflow are imported there only.

One sends what waits, and outlives the refresh that has started it: their imports take 4 s of processor time. The other one
examines for `doctor`. A hanging server, a crash of a library and their memory stay there.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

_COMMAND = (sys.executable, "-W", "ignore", "-m", "rag_assets.defs.mlflow")
_SENDERS: list["subprocess.Popen[bytes]"] = []
"""Those of this process. Asked for its end at the next start, none stays a zombie of a process that lives for weeks."""


@dataclass(frozen=True, slots=True)
class Sending:
    """What a sender is to do. Credentials are in its environment.

    Attributes:
        folder: of the outbox.
        lock: number of an open file, the lock of the outbox. The sender waits for it.
        seconds: time limit, without the wait and the imports.
        knowledge_base: name of the knowledge base.
        place: address of MLflow, without credentials, for messages.
        dagster_url, page_url: addresses of the pages of Dagster and MLflow, "" if unknown.
        reports_to: the run in Dagster that shows warnings, in the words of `rag_assets.defs.mlflow.reports`, or "".
    """

    folder: str
    lock: int
    seconds: float
    experiment: str
    knowledge_base: str
    place: str
    dagster_url: str
    page_url: str
    reports_to: str = ""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))


def start_sender(sending: Sending, home: Path, environment: Mapping[str, str]) -> None:
    """Start a process that sends, and do not wait for it.

    Args:
        home: working folder, for relative paths in an address.
        environment: its variables.
    """
    process = subprocess.Popen(  # noqa: S603
        [*_COMMAND, "send"],
        cwd=home,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(sending.lock,),
        start_new_session=True,  # Ctrl-C is for the refresh
    )
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.write(sending.to_json().encode())
            process.stdin.close()
    _SENDERS[:] = [one for one in (*_SENDERS, process) if one.poll() is None]


def examine(experiment: str, home: Path, environment: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """Ask MLflow for the experiment. Return its `detail`, or a `problem`. Changes nothing on a server."""
    try:
        answer = subprocess.run(  # noqa: S603
            [*_COMMAND, "examine", experiment],
            cwd=home,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        ).stdout
    except subprocess.TimeoutExpired:
        return {"problem": f"no answer within {seconds:.0f} s"}
    if not answer:
        return {"problem": "its process ended without an answer"}
    found: dict[str, Any] = json.loads(answer)
    return found
