"""Compares a refresh into the embedded store with one into a Qdrant server, and what each further copy on a cluster adds.

    PYTHONPATH=. QDRANT_TEST_EXECUTABLE=qdrant python eval_benchmarks/server_refresh.py [--files 2000]

Starts one server and a cluster of three nodes on this machine. Refreshes a new knowledge base of small files, then again
after an edit of every twentieth file. The stores take turns. Prints the medians by the clock. All nodes share one machine
here, so a cluster of several machines has more processors, and a slower network between them.
"""

import argparse
import os
import statistics
import sys
import tempfile
import uuid
from pathlib import Path

from verification_cost import run_round, use_folder

from rag_assets_tests.qdrant_nodes import REAL_SERVERS, real_server

VARIABLES = ("QDRANT_URL", "RAG_QDRANT_REPLICAS", "RAG_COLLECTION")


def refresh_into(store: str, files: int, parent: Path) -> list[float]:
    """Return the seconds of the first refresh, and of one with edits."""
    for name in VARIABLES:
        os.environ.pop(name, None)
    if store == "embedded":
        return [clock for clock, _ in run_round("with", files, parent)]
    server = real_server(store)
    os.environ["QDRANT_URL"], os.environ["RAG_COLLECTION"] = server.urls[0], f"timing-{uuid.uuid4().hex[:8]}"
    if server.replicas is not None:
        os.environ["RAG_QDRANT_REPLICAS"] = str(server.replicas)
    try:
        return [clock for clock, _ in run_round("with", files, parent)]
    finally:
        server.delete_collections(os.environ["RAG_COLLECTION"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if not REAL_SERVERS:
        raise SystemExit("QDRANT_TEST_EXECUTABLE is not set: name the program of a Qdrant server")
    stores = ["embedded", *REAL_SERVERS]
    with tempfile.TemporaryDirectory() as folder:
        parent = Path(folder)
        use_folder(parent)
        seconds: dict[str, list[list[float]]] = {store: [] for store in stores}
        refresh_into("embedded", 20, parent)  # not counted: it imports and compiles
        (parent / "benchmark.jsonl").unlink()
        for number in range(options.repeats):
            for store in stores:
                seconds[store].append(refresh_into(store, options.files, parent))
            print(f"round {number + 1} of {options.repeats}", file=sys.stderr, flush=True)
    print("| store | first refresh | 5 % edited |\n|---|---|---|")
    embedded = [statistics.median(times) for times in zip(*seconds["embedded"], strict=True)]
    for store in stores:
        medians = [statistics.median(times) for times in zip(*seconds[store], strict=True)]
        cells = (f"{time:.2f} s, {time / base:.2f}" for time, base in zip(medians, embedded, strict=True))
        print(f"| {store} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
