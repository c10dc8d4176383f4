"""Compares chunkers and chunk sizes: retrieval quality, shape of the chunks, speed.

    python eval_benchmarks/chunkers.py [CHUNK_SIZE/CHUNK_OVERLAP ...]

Refreshes the knowledge base with each chunker, at 512/50 and 128/16 without arguments. Prints two Markdown tables:

- retrieval: Recall@1/5/10 (Recall@5 with its standard error), MRR and nDCG@10. Questions with the first right document
  higher/lower than with `token_window` of the same size. Number of chunks in the index.
- chunks of the documents with headings (Markdown, HTML): their number, their median tokens, the share with a heading at
  the start, the share of their text under the headings in `heading_path`, MB of text per second of processor time (best
  of three).

Documents, benchmark and embedding model come from the settings. Each refresh has its own temporary state folder, so
production is unchanged. A model with a price is paid for each time.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise

import dagster as dg

from rag_assets.chunkers.base import Chunker
from rag_assets.chunkers.registry import CHUNKERS
from rag_assets.definitions import build_definitions
from rag_assets.defs.jobs import REFRESH_JOB
from rag_assets.evaluation.benchmark import DocumentNames, load_benchmark
from rag_assets.evaluation.evaluate import evaluate_generation
from rag_assets.evaluation.report import QueryResult, Scores
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.parsers import parse_document
from rag_assets.settings import load_settings
from rag_assets.text.headings import heading_path_at, headings

DEFAULT_SIZES = ("512/50", "128/16")
FORMATS_WITH_HEADINGS = (".md", ".html")
SPEED_CHARACTERS = 4_000_000


def main() -> None:
    retrieval = [
        "| chunker | size | Recall@1 | Recall@5 | Recall@10 | MRR | nDCG@10 | higher/lower | chunks |"
    ]
    chunks = [
        "| chunker | size | chunks | median tokens | begin at a heading | under their headings | MB/s |"
    ]
    for table in (retrieval, chunks):
        table.append("|---" * (table[0].count("|") - 1) + "|")
    for size in sys.argv[1:] or DEFAULT_SIZES:
        baseline: list[QueryResult] = []
        for name in CHUNKERS:
            print(f"{name} at {size}", file=sys.stderr)
            with tempfile.TemporaryDirectory() as state_dir:
                configure(name, size, state_dir)
                refresh()
                knowledge_base = KnowledgeBase(load_settings())
                scores, results, num_chunks = ask(knowledge_base)
                texts = texts_with_headings(knowledge_base)
                chunker = knowledge_base.chunker
                chunks.append(
                    f"| `{name}` | {size} | {shape(chunker, texts)} | {speed(chunker, texts):.1f} |"
                )
                knowledge_base.close()
            baseline = baseline or results
            gains = [
                after.reciprocal_rank - before.reciprocal_rank
                for before, after in zip(baseline, results, strict=True)
            ]
            retrieval.append(
                f"| `{name}` | {size} | {scores.means['recall_at_1']:.3f} "
                f"| {scores.recall_at_5:.3f} ± {scores.recall_at_5_standard_error:.3f} "
                f"| {scores.means['recall_at_10']:.3f} | {scores.means['mrr']:.3f} | {scores.means['ndcg_at_10']:.3f} "
                f"| {sum(gain > 0 for gain in gains)}/{sum(gain < 0 for gain in gains)} | {num_chunks} |"
            )
    print("\n".join([*retrieval, "", *chunks]))


def configure(chunker: str, size: str, state_dir: str) -> None:
    """Set the environment: a run reads its settings at its start."""
    chunk_size, _, overlap = size.partition("/")
    os.environ |= {
        "RAG_CHUNKER": chunker,
        "RAG_CHUNK_SIZE": chunk_size,
        "RAG_CHUNK_OVERLAP": overlap,
        "RAG_STATE_DIR": state_dir,
        "RAG_EVAL_THRESHOLD": "0",  # a chunker with bad retrieval is measured too
    }


def refresh() -> None:
    job = build_definitions(load_settings()).resolve_job_def(REFRESH_JOB)
    with dg.DagsterInstance.ephemeral() as instance:
        job.execute_in_process(instance=instance)


def ask(knowledge_base: KnowledgeBase) -> tuple[Scores, list[QueryResult], int]:
    manifest = knowledge_base.production_manifest()
    if manifest is None:
        raise SystemExit("the refresh promoted nothing: see its log above")
    search = knowledge_base.retriever().open(manifest.generation)
    names = DocumentNames(knowledge_base.documents_of(manifest.generation))
    benchmark = load_benchmark(knowledge_base.settings.benchmark_file)
    scores, results = evaluate_generation(search, benchmark, names, search.embedder.embed_query)
    search.close()
    return scores, results, manifest.points_count


def texts_with_headings(knowledge_base: KnowledgeBase) -> list[str]:
    paths = sorted(knowledge_base.settings.documents_dir.rglob("*"))
    return [
        parse_document(path.read_bytes(), path.name).text
        for path in paths
        if path.suffix in FORMATS_WITH_HEADINGS
    ]


def shape(chunker: Chunker, texts: Sequence[str]) -> str:
    """Return the table cells between the size and the speed."""
    tokens: list[int] = []
    num_at_heading = num_characters = num_under = 0
    for text, spans in zip(texts, chunker.chunk(texts), strict=True):
        found = headings(text)
        starts = [heading.start for heading in found]
        tokens += [span.token_count for span in spans]
        num_at_heading += sum(span.start in starts for span in spans)
        num_characters += sum(span.end - span.start for span in spans)
        for start, end in pairwise([0, *starts, len(text)]):
            path = heading_path_at(found, start)
            num_under += sum(
                max(min(end, span.end) - max(start, span.start), 0)
                for span in spans
                if path[: len(span.heading_path)] == span.heading_path
            )
    return (
        f"{len(tokens)} | {statistics.median(tokens):.0f} | {num_at_heading / len(tokens):.0%} "
        f"| {num_under / num_characters:.0%}"
    )


def speed(chunker: Chunker, texts: Sequence[str]) -> float:
    """Return MB per second, over the texts repeated to `SPEED_CHARACTERS`."""
    texts = [*texts] * (SPEED_CHARACTERS // sum(map(len, texts)) + 1)
    seconds: list[float] = []
    for _ in range(3):
        began = time.process_time()
        chunker.chunk(texts)
        seconds.append(time.process_time() - began)
    return sum(len(text.encode()) for text in texts) / 1e6 / min(seconds)


if __name__ == "__main__":
    main()
