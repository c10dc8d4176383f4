"""The rules that keep the package readable: what may import what, and when."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

import rag_assets
from rag_assets_tests.syntax_trees import nodes

PACKAGE = Path(rag_assets.__file__).parent

# Lowest first, every name at the top of the package in exactly one. A module may import from its own layer and below.
LAYERS = (
    (
        *(
            "aws",
            "backports",
            "document_metadata",
            "effective_settings",
            "environment",
            "errors",
            "index_settings",
            "invalid_values",
            "latencies",
            "openai_endpoint",
            "progress",
            "records",
            "redis_address",
        ),
        *("secret_values", "setting_types", "settings", "time_limits"),
    ),
    ("disk",),
    ("changes", "fingerprint", "safe_http", "text"),
    ("chunkers", "embedders", "ledgers", "parsers", "sources", "vector_stores"),
    ("chunking", "embedding", "generations", "retrieval"),
    ("evaluation", "integrations"),
    ("artifacts",),
    ("ingestion",),
    ("knowledge_base",),
    ("alerts", "tracking"),
    ("refresh", "inspection"),
    ("operations", "serving"),
    ("defs", "scaffolded"),
    ("definitions",),
    ("cli",),
)
PLANNED = set[str]()
"""Folders that CONTRIBUTING.md names and nothing fills yet."""
DAGSTER = {"defs", "definitions", "scaffolded"}
"""What may import Dagster."""

HEAVY = (
    "mlflow",
    "dagster_mlflow",
    "pandas",
    "sklearn",
    "torch",
    "boto3",
    "dagster_aws",
    "pyarrow",
    "openai",
    "wordllama",
    "qdrant_edge",
    "qdrant_client",
    "rensa",
    "pypdf",
    "pypdfium2",
    "docutils",
    "defusedxml",
    "resiliparse",
    "mammoth",
    "pptx",
    "openpyxl",
    "lxml",
    "PIL",
    "tiktoken",
    "tokenizers",
    "httpx",
    "httpx2",
    "httpcore2",
    "protego",
    "defusedxml",
    "safetensors",
    "langchain_core",
    "llama_index",
    "atlassian",
    "requests",
    "notion_client",
    "psycopg",
    "redis",
    "alembic",
    "mcp",
    "uvicorn",
    "prometheus_client",
)


PRINTS = {"cli.terminal", "cli.options"}
"""`terminal` escapes control characters in the names and texts of documents, `options` prints the version."""


@cache
def trees() -> dict[str, tuple[ast.AST, ...]]:
    """Module name, relative to the package and without `__init__` -> the nodes of its syntax tree, the module first."""
    found: dict[str, tuple[ast.AST, ...]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = nodes(path)
    return found


def top(module: str) -> str:
    return module.partition(".")[0]


def layer_of(module: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if top(module) in names)


def imports(found: Iterable[ast.AST]) -> Iterator[str]:
    """Yield everything that is imported, by its full name."""
    for node in found:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module is not None
            yield node.module
            # `from rag_assets import doctor` imports a module.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(module: str, found: Iterable[ast.AST]) -> set[str]:
    """The modules of the package among them, as `trees` names them."""
    names = (name.partition("rag_assets.")[2] for name in imports(found) if name.startswith("rag_assets."))
    return {name for name in names if name in trees()} - {module}


MODULES = sorted(trees())


def test_every_module_at_the_top_is_in_exactly_one_layer() -> None:
    named = sorted(name for names in LAYERS for name in names)
    there = {top(module) for module in MODULES if module}
    assert named == sorted(there | PLANNED)


def test_only_the_definitions_import_dagster() -> None:
    offenders = {
        module
        for module in MODULES
        if top(module) not in DAGSTER
        and any(top(name).startswith("dagster") for name in imports(trees()[module]))
    }
    assert offenders == set()


def test_imports_run_one_way() -> None:
    # Those inside functions and for type checkers too: an arrow is an arrow.
    upward = [
        f"{module} -> {other}"
        for module in MODULES
        if module
        for other in sorted(own_imports(module, trees()[module]))
        if layer_of(other) > layer_of(module)
    ]
    assert upward == []


def test_there_are_no_import_circles() -> None:
    arrows = {module: own_imports(module, found) for module, found in trees().items()}
    circles: list[str] = []
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            circles.append(" -> ".join((*path[path.index(module) :], module)))
        elif module not in finished:
            for other in sorted(arrows[module]):
                visit(other, (*path, module))
            finished.add(module)

    for module in MODULES:
        visit(module, ())
    assert circles == []


def test_the_records_and_the_errors_import_next_to_nothing() -> None:
    metadata = "document_metadata.values"
    allowed = {"records": {metadata}, metadata: set[str](), "errors": {"secret_values"}}
    for module, imported in allowed.items():
        assert own_imports(module, trees()[module]) == imported


def test_only_one_module_reads_the_environment() -> None:
    offenders = {
        module
        for module in MODULES
        if module != "environment"
        and {ast.unparse(node) for node in trees()[module] if isinstance(node, ast.Attribute)}
        & {"os.environ", "os.getenv", "os.environb"}
    }
    assert offenders == set()


def test_output_goes_through_the_terminal_module() -> None:
    offenders = {
        module
        for module in MODULES
        if module not in PRINTS
        and {ast.unparse(node.func) for node in trees()[module] if isinstance(node, ast.Call)}
        & {"print", "sys.stdout.write", "sys.stderr.write"}
    }
    assert offenders == set(), "use `say`, `say_json` and `complain` of rag_assets.cli.terminal"


def test_annotations_stay_what_dagster_can_read() -> None:
    offenders = {
        module
        for module in MODULES
        if top(module) in DAGSTER and "__future__.annotations" in imports(trees()[module])
    }
    assert offenders == set()


def test_every_module_has_a_charter() -> None:
    modules = {name: found[0] for name, found in trees().items() if isinstance(found[0], ast.Module)}
    missing = [name for name, module in modules.items() if module.body and not ast.get_docstring(module)]
    assert missing == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    names = {part for module in MODULES for part in module.split(".")}
    assert not names & {"utils", "helpers", "common", "metrics", "misc", "tools"}


def test_nothing_pickled_is_ever_read() -> None:
    pickles = {"pickle", "dill", "cloudpickle", "shelve", "joblib", "marshal"}
    offenders = {module for module in MODULES if {top(name) for name in imports(trees()[module])} & pickles}
    assert offenders == set()


@pytest.mark.slow
def test_the_code_location_loads_without_anything_heavy(tmp_path: Path) -> None:
    program = f"import json, sys, rag_assets.definitions\nprint(json.dumps(sorted(set({HEAVY!r}) & set(sys.modules))))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(PACKAGE.parent),
            "PATH": "",
            "HOME": str(tmp_path),
            "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert list(tmp_path.iterdir()) == [], "loading wrote something"
