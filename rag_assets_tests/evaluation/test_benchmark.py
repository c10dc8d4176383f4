import json
from pathlib import Path
from typing import Any

import pytest

from rag_assets.errors import BenchmarkError
from rag_assets.evaluation.benchmark import (
    BenchmarkQuery,
    DocumentNames,
    benchmark_hash,
    draft_questions,
    load_benchmark,
)
from rag_assets_tests.documents import document, hashed


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "benchmark.jsonl"


def test_a_benchmark_is_one_question_a_line(file: Path) -> None:
    file.write_text(
        '{"query": "Wie groß?", "expected_docs": ["a.md", "b.md", "a.md"], "comment": "ignored"}\n\n'
        '{"query": "Two", "expected_docs": ["c.md"]}',
        encoding="utf-8",
    )
    assert load_benchmark(file).queries == (
        BenchmarkQuery("Wie groß?", ("a.md", "b.md")),
        BenchmarkQuery("Two", ("c.md",)),
    )


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_a_benchmark_may_come_from_any_editor(file: Path, prefix: bytes, line_end: bytes) -> None:
    line = b'{"query": "q", "expected_docs": ["a"]}'
    file.write_bytes(prefix + line + line_end + line + line_end)
    assert len(load_benchmark(file).queries) == 2


@pytest.mark.parametrize("character", ["\u2028", "\u0085", "\u2029"])
def test_a_line_ends_with_a_line_feed_only(file: Path, character: str) -> None:
    query = f"one{character}two"
    file.write_text(
        json.dumps({"query": query, "expected_docs": ["a"]}, ensure_ascii=False), encoding="utf-8"
    )
    assert load_benchmark(file).queries[0].query == query


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        "[]",
        "3",
        "{}",
        '{"query": "q"}',
        '{"query": "", "expected_docs": ["a"]}',
        '{"query": "  ", "expected_docs": ["a"]}',
        '{"query": 3, "expected_docs": ["a"]}',
        '{"query": "q", "expected_docs": []}',
        '{"query": "q", "expected_docs": "a"}',
        '{"query": "q", "expected_docs": ["a", 3]}',
        '{"query": "q", "expected_docs": ["a", ""]}',
        '{"draft": true, "query": "q", "expected_docs": ["a"]}',
    ],
)
def test_a_line_that_cannot_be_used_is_named(file: Path, line: str) -> None:
    file.write_text('{"query": "q", "expected_docs": ["a"]}\n\n' + line)
    with pytest.raises(BenchmarkError, match=f"{file}, line 3: "):
        load_benchmark(file)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00"], ids=["empty", "blank", "binary"])
def test_a_benchmark_without_questions_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(BenchmarkError):
        load_benchmark(file)


def test_a_missing_benchmark_says_how_to_make_one(file: Path) -> None:
    with pytest.raises(BenchmarkError, match="rag-assets benchmark draft"):
        load_benchmark(file)
    with pytest.raises(BenchmarkError, match="IsADirectoryError"):
        load_benchmark(file.parent)


def test_the_hash_of_a_benchmark_follows_its_bytes(file: Path) -> None:
    assert benchmark_hash(file) == ""
    file.write_bytes(b"one")
    assert benchmark_hash(file) == hashed("one")


# Names

NAMES = DocumentNames(
    [
        document("hr/handbook.pdf", "HR"),
        document("it/handbook.pdf", "IT"),
        document("it/vpn.md", "VPN"),
        document("copies/vpn.md", "VPN"),
        document("readme.md", "root"),
        document("hr/readme.md", "other"),
        document("torn.pdf", None),
    ]
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("filesystem:hr/handbook.pdf", "HR"),
        ("filesystem:///docs/hr/handbook.pdf", "HR"),
        ("it/handbook.pdf", "IT"),
        ("vpn.md", "VPN"),  # two places of one content are not ambiguous
        ("readme.md", "root"),  # a path comes before a filename
    ],
)
def test_a_document_is_named_by_its_id_its_uri_its_path_or_its_filename(name: str, text: str) -> None:
    assert NAMES.content_of(name) == hashed(text)


@pytest.mark.parametrize("name", ["absent.md", "torn.pdf", "", "hr"])
def test_what_is_not_there_has_no_content(name: str) -> None:
    assert NAMES.content_of(name) is None


def test_a_name_that_fits_several_documents_is_refused_and_lists_them() -> None:
    with pytest.raises(BenchmarkError, match=r"filesystem:hr/handbook\.pdf, filesystem:it/handbook\.pdf"):
        NAMES.content_of("handbook.pdf")


def test_the_same_path_in_two_sources_is_ambiguous_and_their_ids_are_not() -> None:
    names = DocumentNames([document("a.md", "1", "s3"), document("a.md", "2", "web")])
    with pytest.raises(BenchmarkError, match=r"s3:a\.md, web:a\.md"):
        names.content_of("a.md")
    assert names.content_of("web:a.md") == hashed("2")


# Drafts


def drafted(*documents: tuple[str, str, str], limit: int = 60) -> list[dict[str, Any]]:
    return draft_questions(
        ((document(path, text, title=title), text) for path, title, text in documents), limit
    )


def test_a_draft_asks_for_titles_and_headings_and_is_marked() -> None:
    lines = drafted(("a.md", "Parental leave", "# Parental leave\n\ntext\n\n## How long it lasts\n\ntext"))
    assert lines == [
        {"draft": True, "query": "Parental leave", "expected_docs": ["filesystem:a.md"]},
        {"draft": True, "query": "How long it lasts", "expected_docs": ["filesystem:a.md"]},
    ]


def test_a_draft_takes_one_question_a_document_first() -> None:
    text = "# The first heading\n\nx\n\n# The second heading of {0}\n\nx"
    lines = drafted(
        ("a.md", "Title of a", text.format("a")), ("b.md", "Title of b", text.format("b")), limit=3
    )
    assert [line["query"] for line in lines] == ["Title of a", "Title of b", "The second heading of a"]


def test_a_document_without_title_or_heading_is_asked_for_by_its_first_line() -> None:
    assert [line["query"] for line in drafted(("a.txt", "", "The first line.\nThe second."))] == [
        "The first line."
    ]


@pytest.mark.parametrize("text", ["", "\n \n", "short"])
def test_a_document_that_gives_no_question_is_left_out(text: str) -> None:
    assert drafted(("a.txt", "", text)) == []
    assert drafted() == []


def test_documents_may_give_different_numbers_of_questions() -> None:
    many = "# Heading one\n\nx\n\n# Heading two\n\nx\n\n# Heading three\n\nx"
    lines = drafted(("a.md", "", "# Only one heading\n\nx"), ("b.md", "", many))
    assert [line["query"] for line in lines] == [
        "Only one heading",
        "Heading one",
        "Heading two",
        "Heading three",
    ]


def test_a_question_has_eight_characters_at_least_and_a_first_line_is_cut() -> None:
    assert [line["query"] for line in drafted(("a.md", "12345678", "x"), ("b.md", "1234567", "x"))] == [
        "12345678"
    ]
    assert [len(line["query"]) for line in drafted(("a.txt", "", "x" * 500))] == [120]


def test_a_title_that_two_documents_share_is_not_asked_for() -> None:
    lines = drafted(("a.md", "Same title", "# Heading of a"), ("b.md", "Same title", "# Heading of b"))
    assert [line["query"] for line in lines] == ["Heading of a", "Heading of b"]
