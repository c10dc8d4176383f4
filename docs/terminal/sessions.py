"""The recorded sessions: commands typed one after the other, in a folder like a clone and a terminal of 100 columns."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from docs.terminal.recorder import record
from rag_assets.settings import Settings

REPOSITORY = Path(__file__).parents[2]
_OTHERS = ("DAGSTER_", "NO_COLOR", "OPENAI_", "PYTHON", "RAG_")


@dataclass(frozen=True)
class Session:
    """Commands with a common output, for one block of a page.

    Attributes:
        commands: shown and recorded.
        before: run before them, and not shown.
    """

    name: str
    commands: tuple[str, ...]
    before: tuple[str, ...] = ()


SESSIONS = (
    Session(
        "quick_start",
        ("rag-assets refresh", 'rag-assets search "how many days of vacation do I get?" --limit 1'),
    ),
    Session("unchanged", ("rag-assets refresh",)),
    Session(
        "blocked",
        (
            'echo "Moved to the wiki." > data/documents/it/vpn_troubleshooting.md',
            "RAG_EVAL_THRESHOLD=0.9 rag-assets refresh",
        ),
    ),
    Session(
        "held",
        (
            'rag-assets rollback --by ada --reason "the printing page is wrong"',
            'echo "Ask Ben about toner." >> data/documents/it/printing_and_scanning.txt',
            "rag-assets refresh",
        ),
        before=(
            'echo "Printers are on floor 3." >> data/documents/it/printing_and_scanning.txt',
            "rag-assets refresh",
        ),
    ),
    Session(
        "refused",
        ("rm data/documents/*/*.md", "rag-assets refresh"),
        before=("rag-assets resume", "rag-assets refresh"),
    ),
    Session(
        "own_documents",
        (
            "export RAG_DOCUMENTS_DIR=~/my-documents RAG_STATE_DIR=.rag-mine RAG_BENCHMARK_FILE=my_questions.jsonl",
            "rag-assets benchmark draft && rag-assets benchmark accept",
            "rag-assets refresh",
        ),
    ),
)


def recorded(names: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Run the sessions in order, and yield the name and the text of each.

    Args:
        names: sessions to yield. All by default. The others run too, because each begins where the one before ended.
    """
    with _folder() as (folder, environment):
        for session in SESSIONS:
            text = record(session.before, session.commands, folder, environment)
            if not names or session.name in names:
                yield session.name, text


@contextmanager
def _folder() -> Iterator[tuple[Path, Mapping[str, str]]]:
    """Yield a folder like a clone, and the environment of a new shell."""
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        folder = home / "rag-assets"
        benchmark = Settings.model_fields["benchmark_file"].default
        (folder / benchmark.parent).mkdir(parents=True)
        shutil.copy(REPOSITORY / benchmark, folder / benchmark)
        shutil.copy(REPOSITORY / "dagster.yaml", folder)
        shutil.copytree(REPOSITORY / "data", folder / "data")
        for name in ("engineering", "it", "security"):
            shutil.copytree(REPOSITORY / "data" / "documents" / name, home / "my-documents" / name)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        yield folder, {**kept, "HOME": str(home), "PATH": path, "TERM": "xterm-256color"}
