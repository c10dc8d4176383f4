"""Writes one MLflow run per line of standard input, in a process of its own: many attempts with one import of MLflow.

python -m rag_assets_tests.mlflow_writer EXPERIMENT
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Self, cast

from rag_assets.tracking.mlflow_run import MlflowRun


class MlflowWriter:
    """A running process. `put` returns the ids of a run, or a `problem`."""

    def __init__(self, experiment: str, home: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "rag_assets_tests.mlflow_writer", experiment],
            cwd=home,
            env={**environment, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def put(self, run: MlflowRun) -> dict[str, str]:
        requests, answers = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        requests.write(json.dumps(asdict(run)).encode() + b"\n")
        requests.flush()
        answer: dict[str, str] = json.loads(answers.readline())
        return answer


def main(experiment: str) -> None:
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        logging.disable(logging.CRITICAL)
        from rag_assets.defs.mlflow.runs import MlflowRuns, explain

        runs = MlflowRuns(experiment)
        for line in sys.stdin:
            stored: dict[str, Any] = json.loads(line)
            try:
                answer = runs.put(MlflowRun(**stored))
            except Exception as error:
                answer = {"problem": explain(error)}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
