import pytest

from rag_assets.parsers import parse_document
from rag_assets_tests.parsers.refusals import unreadable


def _text(source: str) -> str:
    return parse_document(source.encode(), "a.jsonl").text


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\n\n \n"])
@pytest.mark.parametrize("last", ["", "\n"])
def test_each_line_is_one_block_under_its_name(line_end: str, last: str) -> None:
    lines = [
        '{"title": "Clock", "product": "LK3", "fix": {"in": "4.7"}}',
        '{"product": "SG2"}',
        '"a note"',
        "[1, 2]",
    ]
    assert _text(line_end.join(lines) + last) == (
        "# Clock\nproduct: LK3\nfix.in: 4.7\n\nproduct: SG2\n\na note\n\n1, 2"
    )


def test_it_has_no_title() -> None:
    parsed = parse_document(b'{"title": "Clock"}\n{"a": 1}', "a.jsonl")
    assert (parsed.title, parsed.parser_name) == ("", "json_lines")


def test_line_separators_of_unicode_do_not_end_a_record() -> None:
    assert _text('{"a": "one\u2028two\x85three"}') == "a:\none\ntwo\nthree"


@pytest.mark.parametrize(
    "broken", ['{"salary": 1', "salary", '{"salary": 1} {"salary": 2}', '{"salary": "a', "{'salary': 1}"]
)
@pytest.mark.parametrize("around", [("", ""), ('{"a": 1}\n\n', ""), ('{"a": 1}\n\n', '\n{"b": 2}\n')])
def test_a_broken_line_fails_the_document_and_is_named(broken: str, around: tuple[str, str]) -> None:
    before, after = around
    error = unreadable((before + broken + after).encode(), "a.ndjson")
    assert error.reason == "corrupt"
    assert f"line {before.count(chr(10)) + 1}, column" in error.detail
    assert "salary" not in str(error)
    assert ".jsonl" not in error.detail


def test_a_record_over_several_lines_is_not_json_lines() -> None:
    assert "line 1" in unreadable(b'{\n  "a": 1\n}\n', "a.ndjson").detail


@pytest.mark.parametrize("source", [b"", b"{}\n\nnull\n[]\n", b"\n"])
def test_a_file_without_values_is_empty(source: bytes) -> None:
    assert unreadable(source, "a.ndjson").reason == "empty"


def test_an_endlessly_nested_line_is_corrupt() -> None:
    assert unreadable(b'{"a": 1}\n' + b"[" * 100_000, "a.ndjson").reason == "corrupt"


def test_the_encoding_is_found() -> None:
    assert (
        parse_document('{"wo": "Größe"}\n{"wo": "Köln"}'.encode("utf-16"), "a.jsonl").text
        == "wo: Größe\n\nwo: Köln"
    )
