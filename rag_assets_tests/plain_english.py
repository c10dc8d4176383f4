"""Counts what makes a text hard to read: relative pronouns and semicolons, in docs and docstrings.

    python -m rag_assets_tests.plain_english             # one line per kind of text
    python -m rag_assets_tests.plain_english PATH ...    # each file, with the sentences to look at

Limits: 1.5 relative pronouns per 100 words, semicolons in 6 % of the sentences. Conjunctions and demonstratives are
counted too ("says that", "that file"): the count is an upper bound.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rag_assets_tests.syntax_trees import nodes

ROOT = Path(__file__).parents[1]
MAX_PRONOUNS_PER_100_WORDS = 1.5
MAX_SEMICOLON_SHARE = 0.06

_PRONOUNS = {"which", "that", "who", "whom", "whose", "what", "whoever", "whatever"}
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
_LINK_TARGET = re.compile(r"\]\([^)]*\)")
_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+|\n\s*\n|\n\s*[-*|]|\s\|\s")


@dataclass(frozen=True, slots=True)
class Readability:
    """The figures of some texts."""

    num_words: int
    num_pronouns: int
    num_sentences: int
    num_semicolons: int

    @property
    def pronouns_per_100_words(self) -> float:
        return 100 * self.num_pronouns / max(self.num_words, 1)

    @property
    def semicolon_share(self) -> float:
        return self.num_semicolons / max(self.num_sentences, 1)

    def __str__(self) -> str:
        return (
            f"{self.pronouns_per_100_words:.2f} relative pronouns per 100 words, "
            f"semicolons in {self.semicolon_share:.1%} of {self.num_sentences} sentences, {self.num_words} words"
        )


def readability(texts: Iterable[str]) -> Readability:
    words = pronouns = num_sentences = semicolons = 0
    for text in texts:
        found = _words(CODE.sub(" code ", text))
        words += len(found)
        pronouns += sum(word in _PRONOUNS for word in found)
        for sentence in sentences(text):
            num_sentences += 1
            semicolons += ";" in sentence
    return Readability(words, pronouns, num_sentences, semicolons)


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text of three words or more, code replaced by one word."""
    for sentence in _SENTENCE_END.split(_LINK_TARGET.sub("]", CODE.sub(" code ", text))):
        joined = " ".join(sentence.split())
        if len(joined.split()) > 2:
            yield joined


def docstrings(path: Path) -> Iterator[str]:
    """Yield every docstring of a Python file."""
    for node in nodes(path):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text


def texts_of(path: Path) -> list[str]:
    return (
        list(docstrings(path))
        if path.suffix == ".py"
        else CODE.sub("", path.read_text("utf-8")).split("\n\n")
    )


def pages() -> list[Path]:
    """Return the files of prose: README, CONTRIBUTING, CHANGELOG and docs."""
    return [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "eval_benchmarks").glob("*.md")),
    ]


def modules() -> list[Path]:
    """Return every module of the package."""
    return sorted((ROOT / "rag_assets").rglob("*.py"))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def _print_file(path: Path) -> None:
    texts = texts_of(path)
    print(f"{path}: {readability(texts)}")
    for text in texts:
        for sentence in sentences(text):
            pronouns = sum(word in _PRONOUNS for word in _words(sentence))
            if pronouns or ";" in sentence:
                print(f"    {pronouns}{' ;' if ';' in sentence else '  '}  {sentence}")


def files_below(names: list[str]) -> Iterator[Path]:
    for name in names:
        path = Path(name)
        if path.is_dir():
            yield from sorted((*path.rglob("*.py"), *path.rglob("*.md")))
        else:
            yield path


if __name__ == "__main__":
    if sys.argv[1:]:
        for path in files_below(sys.argv[1:]):
            _print_file(path)
    else:
        print("docstrings:", readability(text for path in modules() for text in docstrings(path)))
        print("docs:", readability(text for path in pages() for text in texts_of(path)))
