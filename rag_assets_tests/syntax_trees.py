"""The syntax trees of Python files, parsed and walked once for all tests that look at the code."""

import ast
from functools import cache
from pathlib import Path


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return all nodes of a file in the order of `ast.walk`, the module first."""
    found: list[ast.AST] = [tree(path)]
    for node in found:
        found.extend(ast.iter_child_nodes(node))
    return tuple(found)
