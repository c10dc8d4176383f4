"""Compares parsing in this process with parsing in the processes of a refresh: same libraries, same files.

    python eval_benchmarks/parsing.py FOLDER [--endings .html .pdf] [--most 1000] [--rounds 3]

One side parses one document after the other in this process, as in a script: without limits, and a hanging or crashing
document ends it. The other side hands the documents to the processes of a refresh, new ones in each round, and waits for
the last. Prints documents and megabytes per second, and the ratio of the medians, for each file ending.
"""

import argparse
import statistics
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import parse_document
from rag_assets.parsers.isolation import ParseWorkers
from rag_assets.parsers.parsed_text import ParsedText
from rag_assets.parsers.registry import recognize

Documents = list[tuple[str, bytes]]


def in_this_process(documents: Documents) -> int:
    """Return the number of characters of extracted text."""
    characters = 0
    for name, data in documents:
        try:
            characters += len(parse_document(data, name).text)
        except DocumentUnreadable:
            continue
    return characters


def in_processes(documents: Documents) -> int:
    """Return the number of characters of extracted text."""
    workers = ParseWorkers()
    characters = 0
    at_work: deque[Future[ParsedText]] = deque()

    def wait_for_first() -> None:
        nonlocal characters
        try:
            characters += len(at_work.popleft().result().text)
        except DocumentUnreadable:
            return

    try:
        for name, data in documents:
            at_work.append(workers.submit(recognize(data, name), data, name))
            if len(at_work) > 8 * workers.num_workers:
                wait_for_first()
        while at_work:
            wait_for_first()
        return characters
    finally:
        workers.close()


def seconds(run: Callable[[Documents], int], documents: Documents) -> tuple[float, int]:
    started = time.perf_counter()
    characters = run(documents)
    return time.perf_counter() - started, characters


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--endings", nargs="+", default=[".html", ".pdf"])
    parser.add_argument("--most", type=int, default=1000, help="maximum documents per ending")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print("| | documents | MB | in this process | in processes | ratio |\n|---|---|---|---|---|---|")
    for ending in arguments.endings:
        paths = sorted(path for path in arguments.folder.rglob(f"*{ending}") if path.is_file())[
            : arguments.most
        ]
        documents = [(path.name, path.read_bytes()) for path in paths]
        if not documents:
            print(f"| {ending} | none | | | | |")
            continue
        in_this_process(documents[:1])  # late imports happen now
        alone: list[float] = []
        together: list[float] = []
        for _ in range(arguments.rounds):
            for run, times in ((in_this_process, alone), (in_processes, together)):
                taken, characters = seconds(run, documents)
                times.append(taken)
                if run is in_this_process:
                    expected = characters
                elif characters != expected:
                    raise SystemExit(
                        f"{ending}: the sides differ, {characters:,} and {expected:,} characters of text"
                    )
        one, many = statistics.median(alone), statistics.median(together)
        megabytes = sum(len(data) for _, data in documents) / 1e6
        print(
            f"| {ending} | {len(documents)} | {megabytes:.1f} | {len(documents) / one:.0f}/s, {megabytes / one:.1f} MB/s | "
            f"{len(documents) / many:.0f}/s, {megabytes / many:.1f} MB/s | {one / many:.2f} × |"
        )


if __name__ == "__main__":
    main()
