"""Runs a refresh for side-by-side benchmarks of ingestion systems: the real pipeline behind two commands.

    python eval_benchmarks/side_by_side.py sync --corpus DIR --state DIR --base-url http://127.0.0.1:8791/v1
    python eval_benchmarks/side_by_side.py dump --corpus DIR --state DIR --out FILE

`sync` brings production to the state of the files in the corpus, with chunks of 512 tokens, an overlap of 50, and an
OpenAI-compatible endpoint (1536 dimensions). Its last line is one JSON object: the seconds of the work (without imports)
and of each step. All seven assets and the gate run in this process, as a Dagster job with its history in the state
folder. `--without-dagster` calls the bodies of the assets one after the other instead. The questions of the gate are
passages of 50 documents of the first `sync`, and are embedded as well.

`dump` writes one line `{"source": path in the corpus, "text": chunk}` per point in production. All state is in the
state folder.
"""

import argparse
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

BATCH = 100
NUM_QUESTIONS = 50


def write_benchmark(corpus: Path, path: Path) -> None:
    """Write questions: passages of documents at even distances. Later refreshes answer the same ones."""
    if path.exists():
        return
    documents = sorted(file for file in corpus.rglob("*") if file.is_file())
    lines: list[str] = []
    for document in documents[:: max(1, len(documents) // NUM_QUESTIONS)][:NUM_QUESTIONS]:
        words = document.read_text(encoding="utf-8").split()
        middle = len(words) // 2
        question = {
            "query": " ".join(words[middle : middle + 12]),
            "expected_docs": [document.relative_to(corpus).as_posix()],
        }
        lines.append(json.dumps(question) + "\n")
    path.write_text("".join(lines), encoding="utf-8")


def run_job(state: Path) -> dict[str, float]:
    """Run the job `refresh` and return the seconds of each step."""
    import dagster as dg

    from rag_assets.definitions import defs

    folder = state / "dagster"
    folder.mkdir(exist_ok=True)
    overrides: dict[str, Any] = {
        "telemetry": {"enabled": False},
        "python_logs": {"managed_python_loggers": ["rag_assets"], "python_log_level": "INFO"},
    }
    with dg.DagsterInstance.local_temp(str(folder), overrides) as instance:
        result = defs.resolve_job_def("refresh").execute_in_process(instance=instance)
    return {
        str(event.step_key): event.step_success_data.duration_ms / 1000
        for event in result.all_events
        if event.is_step_success
    }


def run_bodies() -> dict[str, float]:
    """Call the bodies of the assets and the gate, and return the seconds of each."""
    from rag_assets.defs.asset_checks import recall_gate
    from rag_assets.defs.assets import ALL_ASSETS
    from rag_assets.knowledge_base import KnowledgeBase
    from rag_assets.settings import load_settings

    definitions = (*ALL_ASSETS[:-1], recall_gate, ALL_ASSETS[-1])
    run = SimpleNamespace(run_id=str(uuid.uuid4()), parent_run_id=None, step_keys_to_execute=None)
    context = SimpleNamespace(
        run=run,
        job_def=SimpleNamespace(graph=SimpleNamespace(node_dict={one.op.name for one in definitions})),
        retry_number=0,
        instance=SimpleNamespace(is_ephemeral=True, managed_python_loggers=["root"]),
        log=logging.getLogger("side_by_side"),
        selected_asset_check_keys=frozenset(),
    )
    knowledge_base = KnowledgeBase(load_settings())
    seconds: dict[str, float] = {}
    try:
        for definition in definitions:
            body: Callable[..., object] = definition.op.compute_fn.decorated_fn  # type: ignore[union-attr]
            context.op_execution_context = SimpleNamespace(op=SimpleNamespace(name=body.__name__))
            started_at = time.perf_counter()
            result = body(context, knowledge_base)
            if isinstance(result, Iterator):  # a body with checks yields its results
                list(result)
            seconds[body.__name__] = time.perf_counter() - started_at
    finally:
        knowledge_base.ledger.release_lease(run.run_id)
        knowledge_base.close()
    return seconds


def sync(options: argparse.Namespace) -> None:
    if options.batch != BATCH:
        raise SystemExit(
            f"--batch is {options.batch}: only {BATCH} is supported, the texts per embedding request"
        )
    write_benchmark(options.corpus, options.state / "benchmark.jsonl")
    import rag_assets.definitions  # noqa: F401 - not part of the measured work

    started_at, processor = time.perf_counter(), time.process_time()
    steps = run_bodies() if options.without_dagster else run_job(options.state)
    summary = {
        "work_s": round(time.perf_counter() - started_at, 3),
        "processor_s": round(time.process_time() - processor, 3),
        "steps_s": {name: round(seconds, 3) for name, seconds in steps.items()},
    }
    print(f"\n{json.dumps(summary)}")


def dump(options: argparse.Namespace) -> None:
    from rag_assets.knowledge_base import KnowledgeBase
    from rag_assets.settings import load_settings

    knowledge_base = KnowledgeBase(load_settings())
    production = knowledge_base.vector_store.production_state().production
    if production is None:
        raise SystemExit("production is empty: run `sync` first")
    reader = knowledge_base.vector_store.read(production)
    with options.out.open("w", encoding="utf-8") as file:
        for batch in reader.scroll():
            for point in batch:
                line = {"source": point.payload["locations"][0]["path"], "text": point.payload["text"]}
                file.write(json.dumps(line) + "\n")
    reader.close()
    knowledge_base.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("command", choices=("sync", "dump"))
    parser.add_argument("--corpus", type=lambda path: Path(path).resolve(), required=True)
    parser.add_argument("--state", type=lambda path: Path(path).resolve(), required=True)
    parser.add_argument("--base-url", default="http://127.0.0.1:8791/v1")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--without-dagster", action="store_true")
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("OPENAI_API_KEY", "sk-local")
    os.environ.update(
        RAG_DOCUMENTS_DIR=str(options.corpus),
        RAG_STATE_DIR=str(options.state / "rag"),
        RAG_BENCHMARK_FILE=str(options.state / "benchmark.jsonl"),
        RAG_EMBEDDING_MODEL="text-embedding-3-small",
        RAG_CHUNK_SIZE="512",
        RAG_CHUNK_OVERLAP="50",
        OPENAI_BASE_URL=options.base_url,
    )
    sync(options) if options.command == "sync" else dump(options)


if __name__ == "__main__":
    main()
