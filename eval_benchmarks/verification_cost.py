"""Compares a refresh with verification with one without: reading points back, hashing files, comparing them.

    python eval_benchmarks/verification_cost.py [--files 2000] [--dimensions 256 1536]

Refreshes a new knowledge base of small files, then again after an edit of every twentieth file, in the embedded store.
256 dimensions are those of the local model. Others are random vectors, without the time of a model. The refreshes with
and without verification take turns. Prints the medians with verification, and their distance from those without, by the
clock and by processor time. On a busy machine, or a slow disk, only the processor time is steady.
"""

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
from side_by_side import run_bodies, write_benchmark

from rag_assets.embedders.base import EmbeddedBatch
from rag_assets.records import EmbeddingModel, Vector

LOCAL_DIMENSIONS = 256
EMBEDDED = "rag_assets.vector_stores.embedded"


class RandomEmbedder:
    """Returns random unit vectors, the same for the same text."""

    batch_size = 100
    usd_per_million_tokens = None

    def __init__(self, dimensions: int) -> None:
        self.model = EmbeddingModel("openai", "random", dimensions)

    def embed_documents(self, texts: Sequence[str]) -> EmbeddedBatch:
        return EmbeddedBatch(np.stack([self.embed_query(text) for text in texts]), tokens=len(texts))

    def embed_query(self, text: str) -> Vector:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
        vector = np.random.default_rng(seed).standard_normal(self.model.dimensions, dtype=np.float32)
        return vector / np.linalg.norm(vector)


@contextlib.contextmanager
def no_verification() -> Iterator[None]:
    def nothing(*_: object, **__: object) -> None: ...

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch(f"{EMBEDDED}.writer.EmbeddedGenerationWriter._read_back", nothing))
        stack.enter_context(mock.patch(f"{EMBEDDED}.writer.file_hashes", return_value={}))
        for module in ("writer", "folders"):
            stack.enter_context(mock.patch(f"{EMBEDDED}.{module}.check_hashes", nothing))
        yield


def write_files(folder: Path, count: int) -> None:
    words = random.Random(1)
    for number in range(count):
        text = " ".join("".join(words.choices("abcdefghiklmnoprstu", k=6)) for _ in range(150))
        (folder / f"{number:05}.md").write_text(f"# Page {number}\n\n{text}\n")


def edit_files(folder: Path) -> None:
    for path in sorted(folder.iterdir())[::20]:
        path.write_text(f"{path.read_text()}\nEdited.\n")


def measure(state: Path) -> tuple[float, float]:
    """Refresh, and return the seconds by the clock, and of all processors including ended parse processes."""
    os.environ["RAG_STATE_DIR"] = str(state)
    clock, processor = time.perf_counter(), sum(os.times()[:4])
    run_bodies()
    return time.perf_counter() - clock, sum(os.times()[:4]) - processor


def use_folder(parent: Path) -> None:
    """Set the environment of a knowledge base in this folder. Its gate stops nothing."""
    os.environ.update(
        RAG_DOCUMENTS_DIR=str(parent / "corpus"),
        RAG_BENCHMARK_FILE=str(parent / "benchmark.jsonl"),
        RAG_EMBEDDING_MODEL="wordllama",
        RAG_TOKENIZER="wordllama",
        RAG_EVAL_THRESHOLD="0.01",
    )


def run_round(how: str, files: int, parent: Path) -> list[tuple[float, float]]:
    """Build a knowledge base, edit every twentieth file, refresh. Return both measurements."""
    corpus, state = parent / "corpus", parent / "state"
    for folder in (corpus, state):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    write_files(corpus, files)
    write_benchmark(corpus, parent / "benchmark.jsonl")
    with no_verification() if how == "without" else contextlib.nullcontext():
        first = measure(state)
        edit_files(corpus)
        return [first, measure(state)]


def compare(dimensions: int, files: int, repeats: int, parent: Path) -> None:
    run_round("with", 20, parent)  # not counted: it imports and compiles
    (parent / "benchmark.jsonl").unlink()
    rounds: dict[str, list[list[tuple[float, float]]]] = {"with": [], "without": []}
    for number in range(repeats):
        # Each comes first in every other round.
        for how in sorted(rounds, reverse=bool(number % 2)):
            rounds[how].append(run_round(how, files, parent))
        print(f"{dimensions} dimensions: round {number + 1} of {repeats}", file=sys.stderr, flush=True)
    for when, name in enumerate(("first refresh", "5 % edited")):
        cells: list[str] = []
        for measured in (0, 1):
            with_it, without = (
                statistics.median(one[when][measured] for one in rounds[how]) for how in ("with", "without")
            )
            cells.append(f"{with_it:.2f} s, {100 * (with_it / without - 1):+.1f} %")
        print(f"| {dimensions} | {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--dimensions", type=int, nargs="*", default=[LOCAL_DIMENSIONS, 1536])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print("| dimensions | | clock | processor |\n|---|---|---|---|", flush=True)
    for dimensions in options.dimensions:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            parent = Path(folder)
            use_folder(parent)
            if dimensions != LOCAL_DIMENSIONS:
                os.environ["RAG_EMBEDDING_MODEL"] = "openai:random"
                patched = "rag_assets.knowledge_base.build_embedder"
                stack.enter_context(mock.patch(patched, return_value=RandomEmbedder(dimensions)))
            compare(dimensions, options.files, options.repeats, parent)


if __name__ == "__main__":
    main()
