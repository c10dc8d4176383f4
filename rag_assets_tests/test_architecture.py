"""The rules that keep the package readable: what may import what, and when."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import rag_assets

PACKAGE = Path(rag_assets.__file__).parent

# From the bottom up; a module may import from its own layer and from those below it.
LAYERS = (
    ("records", "errors", "settings"),
    (),  # logic: whatever is named in no other layer
    ("resources",),
    ("asset_step", "metadata", "assets"),
    ("asset_checks",),
    ("jobs",),
    ("schedules", "sensors"),
    ("definitions",),
)
LOGIC = 1
HEAVY = (
    "mlflow",
    "torch",
    "boto3",
    "pyarrow",
    "openai",
    "wordllama",
    "qdrant_edge",
    "qdrant_client",
    "pypdf",
    "pypdfium2",
    "docutils",
    "defusedxml",
    "resiliparse",
    "tiktoken",
    "tokenizers",
    "httpx",
    "safetensors",
    "langchain_core",
    "llama_index",
)


@cache
def trees() -> dict[str, ast.Module]:
    """Module name, relative to the package and without `__init__` -> its syntax tree."""
    found: dict[str, ast.Module] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def layer_of(module: str) -> int:
    top = module.partition(".")[0]
    return next((number for number, names in enumerate(LAYERS) if top in names), LOGIC)


def imports(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Yield everything that is imported, by its full name."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module is not None
            yield node.module
            # `from rag_assets import doctor` imports a module.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(module: str, nodes: Iterator[ast.AST]) -> set[str]:
    """The modules of the package among them, as `trees` names them."""
    names = (name.partition("rag_assets.")[2] for name in imports(nodes) if name.startswith("rag_assets."))
    return {name for name in names if name in trees()} - {module}


def when_imported(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes that run when a module is imported: no functions, nothing for type checkers only."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting.extend(node.orelse)
            continue
        waiting.extend(ast.iter_child_nodes(node))


MODULES = sorted(trees())


def test_every_layer_names_modules_that_exist() -> None:
    named = {name for names in LAYERS for name in names}
    assert named <= {module.partition(".")[0] for module in MODULES}


@pytest.mark.parametrize("module", [module for module in MODULES if layer_of(module) <= LOGIC])
def test_below_the_line_nothing_imports_dagster(module: str) -> None:
    found = {name for name in imports(ast.walk(trees()[module])) if name.split(".")[0].startswith("dagster")}
    assert found == set()


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module: str) -> None:
    # Those inside functions and for type checkers too: an arrow is an arrow.
    upward = {
        other
        for other in own_imports(module, ast.walk(trees()[module]))
        if layer_of(other) > layer_of(module)
    }
    assert upward == set()


def test_no_module_imports_itself_by_a_roundabout_way() -> None:
    arrows = {module: own_imports(module, when_imported(tree)) for module, tree in trees().items()}
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in finished:
            for other in sorted(arrows[module]):
                visit(other, (*path, module))
            finished.add(module)

    for module in MODULES:
        visit(module, ())


def test_the_records_and_the_errors_import_nothing_of_the_package() -> None:
    for module in ("records", "errors"):
        assert own_imports(module, ast.walk(trees()[module])) == set()


def test_nothing_imports_the_command_line() -> None:
    for module in MODULES:
        assert "cli" not in own_imports(module, ast.walk(trees()[module])), module


@pytest.mark.parametrize("module", [module for module in MODULES if module != "settings"])
def test_only_settings_read_the_environment(module: str) -> None:
    names = {ast.unparse(node) for node in ast.walk(trees()[module]) if isinstance(node, ast.Attribute)}
    assert not names & {"os.environ", "os.getenv", "os.environb"}


@pytest.mark.parametrize("module", [m for m in MODULES if layer_of(m) > LOGIC])
def test_annotations_stay_what_dagster_can_read(module: str) -> None:
    assert "__future__.annotations" not in set(imports(ast.walk(trees()[module])))


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_charter(module: str) -> None:
    tree = trees()[module]
    assert not tree.body or ast.get_docstring(tree)


def test_no_module_has_a_name_that_says_nothing() -> None:
    names = {part for module in MODULES for part in module.split(".")}
    assert not names & {"utils", "helpers", "common", "metrics", "misc", "tools"}


@pytest.mark.parametrize("module", MODULES)
def test_nothing_pickled_is_ever_read(module: str) -> None:
    roots = {name.partition(".")[0] for name in imports(ast.walk(trees()[module]))}
    assert not roots & {"pickle", "dill", "cloudpickle", "shelve", "joblib", "marshal"}


def test_the_code_location_loads_without_anything_heavy(tmp_path: Path) -> None:
    program = f"import json, sys, rag_assets.definitions\nprint(json.dumps(sorted(set({HEAVY!r}) & set(sys.modules))))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(PACKAGE.parent), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert list(tmp_path.iterdir()) == [], "loading wrote something"
