"""Compares refreshes with all observers with refreshes without.

    PYTHONPATH=. python eval_benchmarks/observers.py [--files 2000] [--repeats 5]

The observers: MLflow on a server, metadata tables in PostgreSQL, a Slack webhook on loopback, and an exporter of metrics,
asked every second. Without them the tables are in SQLite. Times the command `rag-assets refresh` from its start to its end:
a first refresh, an unchanged one, and one after an edit of every twentieth file. Three knowledge bases take turns, two of
them without observers: the distance of these two is noise. What runs after a refresh is waited for, and not timed.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Generator, Mapping
from pathlib import Path

from side_by_side import write_benchmark
from verification_cost import edit_files, write_files

from rag_assets_tests.mlflow_servers import mlflow_server, wait_for_sender
from rag_assets_tests.slack_receiver import SlackReceiver
from rag_assets_tests.tracking.conftest import new_postgres_url

KINDS = ("first refresh", "unchanged", "5 % edited")
COMMAND = str(Path(sys.executable).with_name("rag-assets"))


def refresh(home: Path, variables: Mapping[str, str]) -> float:
    """Return the seconds of a refresh."""
    started_at = time.perf_counter()
    ended = subprocess.run(
        [COMMAND, "refresh"], cwd=home, env=dict(variables), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started_at
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)
    for lock in home.glob("state/tracking/*/mlflow/lock"):
        wait_for_sender(lock.parent)
    return seconds


def run_round(folder: Path, files: int, observers: Mapping[str, str]) -> list[float]:
    """Return the seconds of each kind of refresh, of a new knowledge base."""
    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    corpus = home / "corpus"
    corpus.mkdir(parents=True)
    write_files(corpus, files)
    write_benchmark(corpus, home / "benchmark.jsonl")
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAG_", "MLFLOW_"))
    }
    variables |= {
        "RAG_HOME": str(home),
        "RAG_STATE_DIR": str(home / "state"),
        "RAG_DOCUMENTS_DIR": str(corpus),
        "RAG_BENCHMARK_FILE": str(home / "benchmark.jsonl"),
        "RAG_EMBEDDING_MODEL": "wordllama",
        "RAG_TOKENIZER": "wordllama",
        "RAG_EVAL_THRESHOLD": "0.01",
        **observers,
    }
    with exporter(home, variables) if observers else contextlib.nullcontext():
        times = [refresh(home, variables), refresh(home, variables)]
        edit_files(corpus)
        return [*times, refresh(home, variables)]


@contextlib.contextmanager
def exporter(home: Path, variables: Mapping[str, str]) -> Generator[None]:
    """Serve the metrics, and ask for them every second."""
    process = subprocess.Popen(
        [COMMAND, "metrics"],
        cwd=home,
        env=dict(variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ended = threading.Event()
    answers: list[int] = []

    def ask() -> None:
        while not ended.wait(1):
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(
                    f"http://127.0.0.1:{variables['RAG_METRICS_PORT']}/metrics", timeout=10
                ) as answer,
            ):
                answers.append(len(answer.read()))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        while not answers:
            time.sleep(0.1)
        yield
    finally:
        ended.set()
        asking.join()
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--port", type=int, default=19464, help="of the exporter")
    options = parser.parse_args()
    seconds: dict[str, list[list[float]]] = {"without": [], "without again": [], "with observers": []}
    with tempfile.TemporaryDirectory() as name, SlackReceiver() as slack, mlflow_server(Path(name)) as mlflow:
        folder = Path(name)
        observers = {
            "MLFLOW_TRACKING_URI": mlflow.url,
            "RAG_METADATA_URL": new_postgres_url(),
            "SLACK_WEBHOOK_URL": slack.url,
            "RAG_METRICS_PORT": str(options.port),
        }
        run_round(folder, 20, observers)  # not counted: it compiles, and creates the tables
        for number in range(options.repeats):
            turns = list(seconds)
            for how in turns[number % 3 :] + turns[: number % 3]:
                chosen = {**observers, "RAG_METADATA_URL": new_postgres_url()}
                seconds[how].append(
                    run_round(folder, options.files, chosen if how == "with observers" else {})
                )
            print(f"round {number + 1} of {options.repeats}", file=sys.stderr, flush=True)
    print(f"| {options.files:,} files | {' | '.join(KINDS)} |\n|---|---|---|---|")
    base = [statistics.median(times) for times in zip(*seconds["without"], strict=True)]
    for how, rounds in seconds.items():
        medians = [statistics.median(times) for times in zip(*rounds, strict=True)]
        cells = (f"{time:.2f} s, {time / other:.2f}" for time, other in zip(medians, base, strict=True))
        print(f"| {how} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
