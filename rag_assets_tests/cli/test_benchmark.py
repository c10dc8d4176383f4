import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rag_assets.cli.benchmark import accept_draft, draft_path, write_draft
from rag_assets.errors import BenchmarkError, SourceUnavailable
from rag_assets.evaluation.benchmark import load_benchmark
from rag_assets.ingestion.source_reports import SourceReport
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import DocumentState
from rag_assets_tests.documents import document, hashed

GOOD = '{"query": "q", "expected_docs": ["a"]}\n'


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    return tmp_path / "benchmarks" / "benchmark.jsonl"


def knowledge_base(
    benchmark: Path, texts: dict[str, str | None], reports: Sequence[SourceReport] = ()
) -> KnowledgeBase:
    """Documents by path. Text None: the document is unreadable."""

    def documents() -> Iterator[DocumentState]:
        yield from (document(path, text) for path, text in texts.items())

    kept = {hashed(text): text for text in texts.values() if text is not None and text != "lost"}
    fake: Any = SimpleNamespace(
        settings=SimpleNamespace(benchmark_file=benchmark, documents_dir=Path("data/documents")),
        text_store=SimpleNamespace(get=kept.get),
        ingestion=lambda: SimpleNamespace(documents=documents, reports=reports),
    )
    return cast("KnowledgeBase", fake)


def put(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def test_a_draft_is_written_beside_the_benchmark_and_not_used(benchmark: Path) -> None:
    base = knowledge_base(
        benchmark, {"a.md": "# Parental leave 東京\n\ntext", "torn.pdf": None, "lost.md": "lost"}
    )
    assert write_draft(base, 60) == (draft_path(benchmark), 1)
    assert draft_path(benchmark).name == "benchmark.draft.jsonl"
    assert "Parental leave 東京" in draft_path(benchmark).read_text(encoding="utf-8")
    assert not benchmark.exists()
    with pytest.raises(BenchmarkError, match="this is a draft"):
        load_benchmark(draft_path(benchmark))


def test_documents_without_a_question_make_no_draft(benchmark: Path) -> None:
    with pytest.raises(BenchmarkError, match="no document in data/documents has a title"):
        write_draft(knowledge_base(benchmark, {"a.txt": "short"}), 60)
    assert not draft_path(benchmark).exists()


def test_an_unreadable_source_makes_no_draft(benchmark: Path) -> None:
    reports = [SourceReport("s3", problem="the bucket does not answer")]
    with pytest.raises(SourceUnavailable, match="the bucket does not answer"):
        write_draft(knowledge_base(benchmark, {"a.md": "# Parental leave"}, reports), 60)
    assert not draft_path(benchmark).exists()


def test_an_accepted_draft_is_the_benchmark(benchmark: Path) -> None:
    write_draft(knowledge_base(benchmark, {"a.md": "# Parental leave", "b.md": "# Sick leave"}), 60)
    assert accept_draft(benchmark) == (benchmark, 2)
    assert [query.query for query in load_benchmark(benchmark).queries] == ["Parental leave", "Sick leave"]
    assert {path.name for path in benchmark.parent.iterdir()} == {"benchmark.jsonl"}


def test_the_previous_benchmark_is_kept_beside_it(benchmark: Path) -> None:
    put(benchmark, GOOD)
    put(draft_path(benchmark), GOOD.replace('"q"', '"new"'))
    accept_draft(benchmark)
    assert load_benchmark(benchmark).queries[0].query == "new"
    assert (benchmark.parent / "benchmark.before.jsonl").read_text() == GOOD


def test_a_draft_saved_by_any_editor_is_accepted(benchmark: Path) -> None:
    line = json.dumps({"draft": True, "query": "one\u2028two", "expected_docs": ["a"]}, ensure_ascii=False)
    put(draft_path(benchmark), b"\xef\xbb\xbf" + line.encode() + b"\r\n\r\n")
    assert accept_draft(benchmark)[1] == 1
    assert load_benchmark(benchmark).queries[0].query == "one\u2028two"


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '"text"',
        '{"query": "q"}',
        '{"query": "q", "expected_docs": []}',
        '{"query": "", "expected_docs": ["a"]}',
    ],
)
def test_a_malformed_draft_is_reported_by_file_and_line_and_changes_nothing(
    benchmark: Path, line: str
) -> None:
    put(benchmark, GOOD)
    put(draft_path(benchmark), f"{GOOD}\n{line}\n")
    with pytest.raises(BenchmarkError, match=f"{draft_path(benchmark)}, line 3: "):
        accept_draft(benchmark)
    assert benchmark.read_text() == GOOD
    assert {path.name for path in benchmark.parent.iterdir()} == {"benchmark.jsonl", "benchmark.draft.jsonl"}


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe"], ids=["empty", "blank", "binary"])
def test_a_draft_without_questions_changes_nothing(benchmark: Path, content: bytes) -> None:
    put(benchmark, GOOD)
    put(draft_path(benchmark), content)
    with pytest.raises(BenchmarkError, match=r"benchmark\.draft\.jsonl"):
        accept_draft(benchmark)
    assert benchmark.read_text() == GOOD


def test_accept_without_a_draft_is_refused(benchmark: Path) -> None:
    with pytest.raises(BenchmarkError, match="run `rag-assets benchmark draft` first"):
        accept_draft(benchmark)
