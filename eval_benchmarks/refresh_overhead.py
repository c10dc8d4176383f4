"""Compares the cost of a refresh with the cost of Dagster itself.

    python eval_benchmarks/refresh_overhead.py

Materializes two empty assets and the sample knowledge base, then both again without a change. Each time a new process
runs `dagster asset materialize`, in a new folder with the `dagster.yaml` of this repository. The two take turns, so other
work on the machine disturbs both. Prints medians by the clock and by processor time (user and system), and the limit for
the first refresh: twice the empty run, and a second per hundred chunks.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import Settings, load_settings

REPOSITORY = Path(__file__).resolve().parent.parent
EMPTY, REFRESH = "two_empty_assets", "rag_assets.definitions"
TWO_EMPTY_ASSETS = """
import dagster as dg

@dg.asset
def first() -> None: ...

@dg.asset(deps=[first])
def second() -> None: ...

defs = dg.Definitions(assets=[first, second], executor=dg.in_process_executor)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one process.

    Attributes:
        processor_seconds: user and system time.
    """

    clock_seconds: float
    processor_seconds: float


def materialize(module: str, folder: Path) -> Cost:
    """Materialize all assets of a module in a new process, with the folder as its working folder."""
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", module, "--select", "*"]
    started_at = time.perf_counter()
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=_environment(), stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
    clock_seconds = time.perf_counter() - started_at
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit((folder / "output.txt").read_text(errors="replace")[-3000:])
    return Cost(clock_seconds, usage.ru_utime + usage.ru_stime)


def _environment() -> dict[str, str]:
    """Return this environment without our settings, without Dagster's, and with bytecode allowed."""
    settings = {field.alias for field in Settings.model_fields.values()}
    dropped = settings | {"DAGSTER_HOME", "PYTHONDONTWRITEBYTECODE"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {
        "RAG_DOCUMENTS_DIR": str(REPOSITORY / "data" / "documents"),
        "RAG_BENCHMARK_FILE": str(REPOSITORY / "eval_benchmarks" / "benchmark.jsonl"),
        "RAG_EMBEDDING_MODEL": "wordllama",
    }


def new_folder(parent: Path) -> Path:
    folder = Path(tempfile.mkdtemp(dir=parent))
    shutil.copy(REPOSITORY / "dagster.yaml", folder)
    (folder / f"{EMPTY}.py").write_text(TWO_EMPTY_ASSETS)
    return folder


def num_chunks(folder: Path) -> int:
    knowledge_base = KnowledgeBase(load_settings(state_dir=folder / ".rag"))
    manifest = knowledge_base.production_manifest()
    knowledge_base.close()
    if manifest is None:
        raise SystemExit(f"the refresh promoted nothing:\n{(folder / 'output.txt').read_text()[-3000:]}")
    return manifest.points_count


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", help="working folder (default: the temporary folder of the system)")
    options = parser.parse_args()

    costs: dict[tuple[str, str], list[Cost]] = {}
    chunks = 0
    with tempfile.TemporaryDirectory(dir=options.folder) as parent:
        # Not counted: it writes missing bytecode.
        for module in (EMPTY, REFRESH):
            materialize(module, new_folder(Path(parent)))
        for _ in range(options.repeats):
            for module in (EMPTY, REFRESH):
                folder = new_folder(Path(parent))
                costs.setdefault((module, "first"), []).append(materialize(module, folder))
                costs.setdefault((module, "again"), []).append(materialize(module, folder))
            chunks = num_chunks(folder)

    def median(module: str, when: str, measure: str) -> float:
        return statistics.median(getattr(cost, measure) for cost in costs[module, when])

    print(f"medians of {options.repeats} runs, {chunks} chunks\n")
    print("| | clock | processor |\n|---|---|---|")
    measures = ("clock_seconds", "processor_seconds")
    for name, module, when in (
        ("two empty assets", EMPTY, "first"),
        ("first refresh", REFRESH, "first"),
        ("two empty assets, second run", EMPTY, "again"),
        ("unchanged refresh", REFRESH, "again"),
    ):
        values = [median(module, when, measure) for measure in measures]
        ratios = [
            value / median(EMPTY, when, measure) for value, measure in zip(values, measures, strict=True)
        ]
        cells = (
            f"{value:.2f} s ({ratio:.2f} ×)" if module != EMPTY else f"{value:.2f} s"
            for value, ratio in zip(values, ratios, strict=True)
        )
        print(f"| {name} | {' | '.join(cells)} |")
    allowed = [2 * median(EMPTY, "first", measure) + chunks / 100 for measure in measures]
    shares = (
        median(REFRESH, "first", measure) / limit for measure, limit in zip(measures, allowed, strict=True)
    )
    cells = (f"{limit:.2f} s ({share:.0%} used)" for limit, share in zip(allowed, shares, strict=True))
    print(f"| allowed for the first refresh | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
