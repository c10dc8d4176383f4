"""A command imports only the modules it needs: imports are most of its start-up time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import rag_assets
from rag_assets.changes.content_changes import content_changes
from rag_assets.fingerprint import short_hash
from rag_assets.generations.staging import Staging
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import load_settings
from rag_assets_tests.documents import chunks_of, document, sparse_of, vector_of

PACKAGES_OF_A_REFRESH = {
    "boto3",
    "dagster",
    "docutils",
    "httpx2",
    "lxml",
    "mlflow",
    "openpyxl",
    "pptx",
    "psycopg",
    "pyarrow",
    "pypdf",
    "pypdfium2",
    "rensa",
    "resiliparse",
}
PACKAGES = PACKAGES_OF_A_REFRESH | {
    "dotenv",
    "numpy",
    "openai",
    "pydantic",
    "qdrant_client",
    "qdrant_edge",
    "tokenizers",
    "wordllama",
    "yaml",
}


def imported_by(home: Path, *arguments: str) -> tuple[set[str], str]:
    """Run a command in a process of its own; return the modules in it at the end, and what it printed."""
    program = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print('\\n' + json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
        "from rag_assets.cli.main import main\n"
        f"sys.exit(main({list(arguments)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=home,
        env={"PYTHONPATH": str(Path(rag_assets.__file__).parents[1]), "PATH": "", "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1])), done.stdout


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A folder with a knowledge base of one document in production."""
    text = "Vacation is thirty days.\n"
    documents = [document("vacation.md", text)]
    knowledge_base = KnowledgeBase(
        load_settings(state_dir=tmp_path / ".rag", embedding_model="wordllama", qdrant_url=None)
    )
    fingerprint = knowledge_base.fingerprint()
    Staging(
        knowledge_base.vector_store,
        generation="g1",
        refresh_id="r1",
        fingerprint=fingerprint,
        fingerprint_hash=short_hash(fingerprint),
        base=None,
        expected_production=None,
        encode_sparse=sparse_of,
    ).run(
        content_changes((), documents),
        ((chunk, vector_of(chunk.text, 256)) for chunk in chunks_of(text)),
        documents=documents,
        total_chunks=1,
    )
    knowledge_base.vector_store.promote("g1", None)
    knowledge_base.close()
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), ("search", "--help"), ("benchmark", "draft", "--help")],
    ids=" ".join,
)
def test_help_imports_no_package(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    modules, printed = imported_by(tmp_path, *arguments)
    assert "rag-assets" in printed
    assert modules & PACKAGES == set()
    assert {name for name in modules if name.startswith("rag_assets.")} == {
        "rag_assets.cli",
        "rag_assets.cli.options",
        "rag_assets.cli.main",
        "rag_assets.errors",
    }


@pytest.mark.slow
def test_search_imports_nothing_needed_only_by_a_refresh(served: Path) -> None:
    modules, printed = imported_by(served, "search", "How long is vacation?")
    assert "vacation.md" in printed
    assert {"numpy", "pydantic", "qdrant_edge"} <= modules, "the test no longer sees what is imported"
    assert modules & (PACKAGES_OF_A_REFRESH | {"openai", "qdrant_client"}) == set()
    rooms = {name.split(".")[1] for name in modules if name.startswith("rag_assets.")}
    assert rooms & {"artifacts", "chunkers", "defs", "ingestion", "inspection", "parsers", "sources"} == set()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "quarantine", "export"])
def test_a_report_imports_no_parser_library_and_no_dagster(served: Path, command: str) -> None:
    modules, _ = imported_by(served, command)
    assert modules & (PACKAGES_OF_A_REFRESH - {"pyarrow"}) == set()


@pytest.mark.slow
def test_the_first_line_of_a_refresh_does_not_wait_for_dagster(tmp_path: Path) -> None:
    program = "import json, sys, rag_assets.cli.refresh\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    modules = set(json.loads(done.stdout))
    assert "rag_assets.cli.run_process" in modules
    assert modules & PACKAGES_OF_A_REFRESH == set()
