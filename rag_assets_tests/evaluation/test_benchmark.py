import json
from pathlib import Path

import pytest

from rag_assets.errors import BenchmarkError
from rag_assets.evaluation.benchmark import (
    BenchmarkQuery,
    DocumentNames,
    benchmark_hash,
    ids_named,
    load_benchmark,
)
from rag_assets_tests.documents import document, hashed, place


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "benchmark.jsonl"


def test_a_benchmark_has_one_question_per_line(file: Path) -> None:
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
def test_an_unusable_line_is_named(file: Path, line: str) -> None:
    file.write_text('{"query": "q", "expected_docs": ["a"]}\n\n' + line)
    with pytest.raises(BenchmarkError, match=f"{file}, line 3: "):
        load_benchmark(file)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00"], ids=["empty", "blank", "binary"])
def test_a_benchmark_without_questions_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(BenchmarkError):
        load_benchmark(file)


def test_a_missing_benchmark_explains_how_to_create_one(file: Path) -> None:
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
        ("vpn.md", "VPN"),  # two locations of one content are not ambiguous
        ("readme.md", "root"),  # a path comes before a filename
    ],
)
def test_a_document_is_named_by_its_id_its_uri_its_path_or_its_filename(name: str, text: str) -> None:
    assert NAMES.content_of(name) == hashed(text)


@pytest.mark.parametrize("name", ["absent.md", "torn.pdf", "", "hr"])
def test_an_unknown_document_has_no_content(name: str) -> None:
    assert NAMES.content_of(name) is None


def test_an_ambiguous_name_is_refused_with_a_list_of_documents() -> None:
    with pytest.raises(BenchmarkError, match=r"filesystem:hr/handbook\.pdf, filesystem:it/handbook\.pdf"):
        NAMES.content_of("handbook.pdf")


def test_the_same_path_in_two_sources_is_ambiguous_and_their_ids_are_not() -> None:
    names = DocumentNames([document("a.md", "1", "s3"), document("a.md", "2", "web")])
    with pytest.raises(BenchmarkError, match=r"s3:a\.md, web:a\.md"):
        names.content_of("a.md")
    assert names.content_of("web:a.md") == hashed("2")


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("s3:a/x.md", ["s3:a/x.md"]),
        ("s3:///docs/a/x.md", ["s3:a/x.md"]),
        ("a/x.md", ["s3:a/x.md", "web:a/x.md"]),
        ("x.md", ["s3:a/x.md", "s3:b/x.md", "web:a/x.md"]),
        ("readme.md", ["s3:readme.md"]),  # a path comes before a filename
        ("y.md", []),
    ],
)
def test_all_documents_of_a_name_are_found_by_the_first_kind_of_name_that_fits(
    name: str, ids: list[str]
) -> None:
    paths = [
        ("a/x.md", "web"),
        ("b/x.md", "s3"),
        ("a/x.md", "s3"),
        ("readme.md", "s3"),
        ("b/readme.md", "s3"),
    ]
    assert ids_named(name, [place(path, source) for path, source in paths]) == ids
