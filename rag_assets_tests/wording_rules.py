"""Wording that the project avoids: archaic words, British spelling, plurals beside a number that may be 1.

    python -m rag_assets_tests.wording_rules [PATH ...]    # one line per finding

Checked are messages (every literal of three words or more that is no docstring), docstrings, pages, identifiers of the
package, and names of tests. Comments are not: they quote incidents. Code in backticks is skipped.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from rag_assets_tests.plain_english import CODE, ROOT, files_below, modules, pages
from rag_assets_tests.syntax_trees import nodes

_ARCHAIC = re.compile(
    r"\b(?:who(?:so)?ever|whatever|somebody|nobody|anew|lest|ere|by and by|of what"
    r"|(?:is|are|was|were|be|been|being|not) told|told (?:of|about|to|as))\b|\b(?!http)\w+\(s\)",
    re.IGNORECASE,
)
_BRITISH_STEMS = (
    "(?:normal|recogn|token|serial|organ|optim|minim|maxim|summar|material|synchron|author|custom|categor|standard"
    "|general|special|util|real|initial|local|central|capital|character|critic|visual|modern|anonym|parallel|vector"
    "|quant|randomn?|sanit|item|prior|stabil|final|apolog|emphas|memor|util)is(?:e[drs]?|ing|ation|able)"
)
_BRITISH = re.compile(
    rf"(?:un|de|re)?{_BRITISH_STEMS}"
    "|(?:un)?analys(?:ed?|ing)|paralys|catalys"
    "|colour|behaviour|neighbour|favour|honour|labour|rumour|humour|flavour|endeavour"
    "|artefact|licence|catalogue|centre|metre|theatre|fibre|grey|judgement|programme|cheque|mould|plough|sceptic"
    "|(?:label|model|travel|level|signal|channel|tunnel|total|marshal|spiral|dial)l(?:ed|ing)"
    "|fulfil(?:s|ment)?|skilful|wilful|instalment|enrol(?:s|ment)?",
    re.IGNORECASE,
)
_NOUNS = (
    "aliases|alerts|attachments|attempts|attributes|bytes|cells|changes|characters|chunks|collections|columns"
    "|contents|days|deletions|digits|documents|elements|endpoints|entries|events|figures|files"
    "|findings|folders|generations|groups|hits|hours|ids|images|indices|items|keys|levels|lines|links|locations|members"
    "|messages|minutes|models|objects|options|pages|parts|pictures|places|points|processes|questions|records"
    "|recordings|refreshes|requests|rows|runs|seconds|sections|settings|sheets|slides|sources|steps|tables|texts|times"
    "|tokens|URLs|urls|values|variables|vectors|versions|words|workers"
)
_COUNTABLE = (
    rf"(?:(?:different|distinct|expected|missing|more|new|unreadable) )?(?:{_NOUNS})\b(?! (?:to|an?|the)\b)"
)
_PLURAL = re.compile(rf"^ {_COUNTABLE}")
_PLURAL_IN_LOG = re.compile(rf"%d {_COUNTABLE}")
_LOG_LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


class Finding(NamedTuple):
    """One place and the words in it."""

    path: str
    line: int
    words: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.words}"


Rule = Callable[[Path], Iterator[Finding]]


def _finding(path: Path, line: int, words: str) -> Finding:
    return Finding(path.resolve().relative_to(ROOT).as_posix(), line, " ".join(words.split()))


# The texts of a file


def _documentation(path: Path) -> dict[int, ast.Constant]:
    """Return docstrings, those below an assignment too: id of the node -> node."""
    return {
        id(node.value): node.value
        for node in nodes(path)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the first line of each docstring, and its text."""
    for node in _documentation(path).values():
        yield node.lineno, str(node.value)


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and text of every other literal of three words or more. Regular expressions are left out."""
    documentation = _documentation(path)
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            text = node.value
            if (
                len(re.findall(r"[A-Za-z]{2,}", text)) > 2
                and " " in text
                and not re.search(r"\\[bwsdW]|\(\?", text)
            ):
                yield node.lineno, text


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a page, code left out."""
    text = re.sub(
        r"^```.*?^```", lambda found: "\n" * found[0].count("\n"), path.read_text("utf-8"), flags=re.M | re.S
    )
    yield from enumerate(text.splitlines(), start=1)


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    if path.suffix == ".md":
        yield from prose(path)
    else:
        yield from docstrings(path)
        yield from messages(path)


# The rules


def archaic_words(path: Path) -> Iterator[Finding]:
    """Words that slow a reader down: say who, what and how often instead."""
    yield from _matches(_ARCHAIC, path)


def british_prose(path: Path) -> Iterator[Finding]:
    """British spelling in messages, docstrings and pages."""
    yield from _matches(re.compile(rf"\b{_BRITISH.pattern}", re.IGNORECASE), path)


def _matches(pattern: re.Pattern[str], path: Path) -> Iterator[Finding]:
    for line, text in _texts(path):
        plain = CODE.sub("code", text)
        for found in pattern.finditer(plain):
            around = plain[max(found.start() - 30, 0) : found.end() + 30]
            yield _finding(path, line + text[: found.start()].count("\n"), f"{found[0]!r} in: {around}")


def british_identifiers(path: Path) -> Iterator[Finding]:
    """British spelling in names of the code."""
    if _is_british(path.stem):
        yield _finding(path, 1, path.stem)
    for node in nodes(path):
        for field in _fields_with_names(type(node)):
            name = getattr(node, field)
            if isinstance(name, str) and _is_british(name):
                yield _finding(path, getattr(node, "lineno", 1), name)


@cache
def _fields_with_names(kind: type[ast.AST]) -> tuple[str, ...]:
    return tuple(field for field in kind._fields if field in ("id", "attr", "arg", "name"))


@cache
def _is_british(name: str) -> bool:
    return _BRITISH.search(name) is not None


def plurals_beside_numbers(path: Path) -> Iterator[Finding]:
    """A plural after a number that may be 1: use `counted(number, noun)`."""
    for node in nodes(path):
        if isinstance(node, ast.JoinedStr):
            for value, after in zip(node.values, node.values[1:], strict=False):
                if (
                    isinstance(value, ast.FormattedValue)
                    and isinstance(after, ast.Constant)
                    and _PLURAL.match(str(after.value))
                    and not _is_never_one(value)
                ):
                    yield _finding(
                        path, value.lineno, f"{{{ast.unparse(value.value)}}}{str(after.value)[:40]}"
                    )
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _LOG_LEVELS
        ):
            for argument in node.args[:1]:
                text = argument.value if isinstance(argument, ast.Constant) else ""
                for found in _PLURAL_IN_LOG.finditer(str(text)):
                    yield _finding(path, argument.lineno, found[0])


def _is_never_one(value: ast.FormattedValue) -> bool:
    """Whether it is a limit (a constant in capitals, `max_…`, a field of `limits`), or a fraction."""
    owner, _, name = ast.unparse(value.value).rpartition(".")
    constant = re.fullmatch(r"_?(?:[A-Z][A-Z0-9_]*|max_\w+)(?: //? \w+)?", name)
    fraction = value.format_spec is not None and re.search(r"\.[1-9]f|%", ast.unparse(value.format_spec))
    return bool(constant or fraction or owner.endswith("limits"))


def archaic_test_names(path: Path) -> Iterator[Finding]:
    """The same words in the names of tests."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        name = re.match(r"\s*(?:async )?def (test_\w+)", line)
        found = _ARCHAIC.search(name[1].replace("_", " ")) if name else None
        if name and found:
            yield _finding(path, number, f"{found[0]!r} in {name[1]}")


def tests() -> list[Path]:
    """Return every module of the tests."""
    return sorted((ROOT / "rag_assets_tests").rglob("test_*.py"))


RULES: dict[str, tuple[Rule, Callable[[], list[Path]]]] = {
    "archaic words in the package": (archaic_words, modules),
    "archaic words in pages": (archaic_words, pages),
    "archaic names of tests": (archaic_test_names, tests),
    "British spelling in the package": (british_prose, modules),
    "British spelling in pages": (british_prose, pages),
    "British identifiers": (british_identifiers, lambda: [*modules(), *tests()]),
    "plurals beside a number": (plurals_beside_numbers, modules),
}

ALLOWED: dict[tuple[str, str], str] = {
    ("rag_assets/parsers/csv.py", "csv.field_size_limit()"): "it is 131,072",
}
"""(path, words that the finding contains) -> the reason why they stay."""


def findings(name: str) -> list[Finding]:
    """Return what a rule finds, without the allowed places."""
    rule, places = RULES[name]
    return [
        found
        for path in places()
        for found in rule(path)
        if not any(found.path == place and words in found.words for place, words in ALLOWED)
    ]


if __name__ == "__main__":
    chosen = {path.resolve().relative_to(ROOT).as_posix() for path in files_below(sys.argv[1:])}
    for name in RULES:
        found = [finding for finding in findings(name) if not chosen or finding.path in chosen]
        print(f"{name}: {len(found)}")
        for finding in found:
            print(f"    {finding}")
