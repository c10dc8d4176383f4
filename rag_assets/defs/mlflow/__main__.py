"""Sends waiting runs to MLflow, or examines it, in a process of its own: importing dagster-mlflow takes 4 s of processor time.

    python -m rag_assets.defs.mlflow send
    python -m rag_assets.defs.mlflow examine EXPERIMENT

The variables of MLflow are in its environment. `send` reads a `Sending` from standard input. `examine` prints a JSON object.
"""

import json
import logging
import os
import sys


def main(command: str, *arguments: str) -> None:
    """Carry out a command."""
    # MLflow prints addresses of runs on standard output.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        os.umask(0o077)  # a database and files made here are for this user only
        if command == "send":
            os.nice(5)  # the next command of a person comes first
            from rag_assets.defs.mlflow.sender import send
            from rag_assets.tracking.mlflow_process import Sending

            send(Sending.from_json(sys.stdin.read()))
        else:
            logging.disable(logging.CRITICAL)
            from rag_assets.defs.mlflow.runs import examine

            answers.write(json.dumps(examine(*arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
