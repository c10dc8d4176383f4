"""Benchmark files: questions and the documents that answer them.

One JSON object per line: `{"query": "…", "expected_docs": ["hr/handbook.pdf"]}`. The name of a document is its id, its
URI, its path relative to its source, or its filename if unique.
"""

import hashlib
import json
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_assets.errors import BenchmarkError
from rag_assets.records import DocumentState, Location
from rag_assets.text.spellings import composed
from rag_assets.text.wording import counted

HOW_TO_DRAFT = (
    "run `rag-assets benchmark draft` to create one from your own documents, review it, then run "
    "`rag-assets benchmark accept`"
)


@dataclass(frozen=True, slots=True)
class BenchmarkQuery:
    """One question.

    Attributes:
        expected_docs: names of the documents that answer the question, as written in the file.
    """

    query: str
    expected_docs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """All questions of one file."""

    queries: tuple[BenchmarkQuery, ...]


def benchmark_hash(path: Path) -> str:
    """Return the SHA-256 of a benchmark file, hex, or "" if there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def load_benchmark(path: Path) -> Benchmark:
    """Read a benchmark file.

    Raises:
        BenchmarkError: missing, malformed (names the line), a draft, or without questions.
    """
    return _load(path, drafts_allowed=False)


def load_draft(path: Path) -> Benchmark:
    """Read a benchmark file as `load_benchmark` does, but accept a draft."""
    return _load(path, drafts_allowed=True)


def _load(path: Path, *, drafts_allowed: bool) -> Benchmark:
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows put a byte order mark first
    except FileNotFoundError:
        raise BenchmarkError(
            f"no benchmark file at {path}: {HOW_TO_DRAFT}, or set RAG_BENCHMARK_FILE"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"the benchmark {path} cannot be read ({type(error).__name__})") from None
    queries = tuple(
        _parse_line(line, f"{path}, line {number}", drafts_allowed=drafts_allowed)
        # Not `splitlines`: a JSON string may contain U+2028 and similar characters.
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    )
    if not queries:
        raise BenchmarkError(f"the benchmark {path} has no questions: {HOW_TO_DRAFT}")
    return Benchmark(queries)


def _parse_line(line: str, where: str, *, drafts_allowed: bool) -> BenchmarkQuery:
    expectation = 'expected {"query": "…", "expected_docs": ["…"]}'
    try:
        entry: Any = json.loads(line)
        json.dumps(entry, ensure_ascii=False).encode()  # an escaped half of a surrogate pair has no UTF-8
    except (ValueError, RecursionError):
        raise BenchmarkError(f"{where}: not JSON in UTF-8; {expectation}") from None
    if not isinstance(entry, dict):
        raise BenchmarkError(f"{where}: not an object; {expectation}")
    if entry.get("draft") and not drafts_allowed:
        raise BenchmarkError(f"{where}: this is a draft: review it, then run `rag-assets benchmark accept`")
    query, expected = entry.get("query"), entry.get("expected_docs")
    if not isinstance(query, str) or not query.strip():
        raise BenchmarkError(f"{where}: no query; {expectation}")
    names = (
        [name for name in expected if isinstance(name, str) and name] if isinstance(expected, list) else []
    )
    if not isinstance(expected, list) or not names or len(names) != len(expected):
        raise BenchmarkError(f"{where}: no expected_docs; {expectation}")
    return BenchmarkQuery(query, tuple(dict.fromkeys(names)))


NAME_KINDS = ("document_id", "source_uri", "path", "filename")
"""The kinds of names of a document, in order of precedence."""


def ids_named(name: str, locations: Iterable[Location]) -> list[str]:
    """Return the ids of the documents with this name, sorted. The exact spelling has precedence over others of it."""
    found: dict[tuple[bool, str], set[str]] = {
        (exact, kind): set() for exact in (True, False) for kind in NAME_KINDS
    }
    for location in locations:
        for kind in NAME_KINDS:
            known = getattr(location, kind)
            if composed(known) == composed(name):
                found[known == name, kind].add(location.document_id)
    return next((sorted(ids) for ids in found.values() if ids), [])


class DocumentNames:
    """Resolves the names in a benchmark to contents."""

    def __init__(self, documents: Iterable[DocumentState]) -> None:
        # kind of name -> name -> content hash -> document ids
        self._known: dict[str, dict[str, dict[str, list[str]]]] = {kind: {} for kind in NAME_KINDS}
        self._composed: dict[str, dict[str, dict[str, list[str]]]] = {kind: {} for kind in NAME_KINDS}
        for state in documents:
            if state.content_hash is None:
                continue
            for kind in NAME_KINDS:
                name = getattr(state.location, kind)
                spelled = [(self._known[kind], name)]
                if not name.isascii():
                    spelled.append((self._composed[kind], composed(name)))
                for by_name, spelling in spelled:
                    contents = by_name.setdefault(spelling, {})
                    contents.setdefault(state.content_hash, []).append(state.document_id)

    def content_of(self, name: str) -> str | None:
        """Return the content hash of a document, or None if there is no such document.

        Raises:
            BenchmarkError: the name fits several different documents. The message lists them.
        """
        for contents in (
            *(by_name.get(name) for by_name in self._known.values()),
            *(by_name.get(composed(name)) for by_name in self._composed.values()),
        ):
            if contents is None:
                continue
            if len(contents) > 1:
                candidates = sorted(document_id for owners in contents.values() for document_id in owners)
                raise BenchmarkError(
                    f"expected document {name!r} is ambiguous: it fits {', '.join(candidates)}. "
                    "Use one of these names instead"
                )
            return next(iter(contents))
        return None


def expected_contents(
    benchmark: Benchmark, names: DocumentNames, set_apart: Set[str] = frozenset()
) -> dict[str, str | None]:
    """Return a mapping from the name of each expected document, sorted, to its content hash or None.

    Args:
        set_apart: names that may be missing, because their deletion was accepted.

    Raises:
        BenchmarkError: a name is ambiguous, or most expected documents are missing.
    """
    expected = {name for query in benchmark.queries for name in query.expected_docs}
    contents = {name: names.content_of(name) for name in sorted(expected)}
    absent = [name for name, content in contents.items() if content is None and name not in set_apart]
    if 2 * len(absent) > len(contents):
        raise BenchmarkError(
            f"the benchmark does not fit the documents: {len(absent)} of "
            f"{counted(len(contents), 'expected document')} {'is' if len(absent) == 1 else 'are'} missing, for example "
            f"{', '.join(absent[:3])}. Set RAG_BENCHMARK_FILE to another one, or {HOW_TO_DRAFT}"
        )
    return contents


def reading_problem(path: Path) -> str:
    """Return the reason for an unreadable benchmark file, in the words of the gate, or ""."""
    try:
        load_benchmark(path)
    except BenchmarkError as error:
        return str(error)
    return ""


def fitting_problem(path: Path, documents: Iterable[DocumentState]) -> str:
    """Return why a benchmark does not fit these documents, in the words of the gate, or "".

    Also "" for an unreadable file, because `reading_problem` reports it.
    """
    try:
        benchmark = load_benchmark(path)
    except BenchmarkError:
        return ""
    try:
        expected_contents(benchmark, DocumentNames(documents))
    except BenchmarkError as error:
        return str(error)
    return ""
