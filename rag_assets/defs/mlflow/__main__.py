"""Writes runs to MLflow, one after the other, in a process of its own: importing dagster-mlflow takes 4 s of processor time.

    python -m rag_assets.defs.mlflow EXPERIMENT

The variables of MLflow are in its environment. Standard input has one JSON object per line: an `MlflowRun`, `{"examine": true}` or
`{"seconds": N}`, after which the process ends by itself. Each of the first two is answered by one line on standard output. The
end of the input ends the process, and so does the death of its parent.
"""

import json
import logging
import math
import os
import signal
import sys
from contextlib import suppress
from typing import Any


def main(experiment: str) -> None:
    """Answer requests until the end of the input."""
    # MLflow prints addresses of runs on standard output, between our answers.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers, open(0, encoding="utf-8") as requests:
        os.dup2(2, 1)
        os.nice(5)  # its imports run beside a refresh
        os.umask(0o077)  # a database and files made here are for this user only
        logging.disable(logging.CRITICAL)
        from rag_assets.defs.mlflow.runs import MlflowRuns, explain

        runs: MlflowRuns | None = None
        with suppress(Exception):  # the first request says why
            runs = MlflowRuns(experiment)  # before it: opening a database takes seconds
        for line in requests:
            request: dict[str, Any] = json.loads(line)
            if "seconds" in request:
                signal.alarm(math.ceil(request["seconds"]))
                continue
            try:
                runs = runs or MlflowRuns(experiment)
                answer = runs.examine() if "examine" in request else runs.put(request)
            except Exception as error:
                answer = {"problem": explain(error)}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
