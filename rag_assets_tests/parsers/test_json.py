import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_assets.errors import DocumentUnreadable
from rag_assets.parsers import parse_document
from rag_assets_tests.parsers.refusals import unreadable


def _parse(value: object) -> str:
    return parse_document(json.dumps(value).encode(), "a.json").text


def _unreadable(source: str | bytes) -> DocumentUnreadable:
    return unreadable(source.encode() if isinstance(source, str) else source, "a.JSON")


def test_every_value_follows_its_path() -> None:
    value = {"version": 3, "limits": {"rate": {"per_minute": 120}, "burst": True}, "owner": "Cloud"}
    assert _parse(value) == "version: 3\n\nlimits.rate.per_minute: 120\n\nlimits.burst: true\n\nowner: Cloud"


def test_an_array_of_objects_is_one_block_a_record_under_its_name() -> None:
    value = {
        "title": "Sites",
        "sites": [
            {"name": "Port Ellery", "staff": 260, "address": {"city": "Port Ellery", "gate": "C"}},
            {"name": "Brannoch", "staff": 141},
            {"staff": 11},
        ],
        "as_of": "2026-06-01",
    }
    # Values outside arrays come before the heading of the array, not below it.
    assert _parse(value) == (
        "# Sites\n\nas_of: 2026-06-01\n\n## sites\n\n"
        "### Port Ellery\nstaff: 260\naddress.city: Port Ellery\naddress.gate: C\n\n"
        "### Brannoch\nstaff: 141\n\n"
        "staff: 11"
    )


def test_an_array_of_records_deep_inside_has_its_path_as_heading() -> None:
    value = {"network": {"vpn": {"gateways": [{"host": "a"}, {"host": "b"}], "port": 443}}}
    assert _parse(value) == "network.vpn.port: 443\n\n## network.vpn.gateways\n\nhost: a\n\nhost: b"


def test_a_document_may_be_an_array_of_records() -> None:
    assert _parse([{"name": "Ada", "city": "Rome"}, {"city": "Oslo"}]) == "# Ada\ncity: Rome\n\ncity: Oslo"


def test_a_small_object_in_a_record_is_one_line() -> None:
    record = {"id": 7, "contacts": [{"who": "Ada", "phone": 12}, {"who": "Bob", "phone": None}]}
    assert _parse([record]) == "id: 7\ncontacts: who: Ada; phone: 12\ncontacts: who: Bob"
    deeper = {"contacts": [{"who": {"first": "Ada"}, "phones": [1, 2]}]}
    assert _parse([deeper]) == "contacts.who.first: Ada\ncontacts.phones: 1, 2"


def test_short_values_of_an_array_share_a_line_and_long_ones_do_not() -> None:
    long = "Hold the button for twelve seconds until the light is white."
    value = {"tags": ["a", 2, None, True], "steps": [long, "Wait."], "matrix": [[1, 2], [3]]}
    assert _parse(value) == f"tags: a, 2, true\nsteps: {long}\nsteps: Wait.\nmatrix: 1, 2\nmatrix: 3"


def test_a_text_of_several_lines_keeps_them() -> None:
    value = {"body": "First.\r\n\r\nSecond.\u2028Third. ", "next": "x"}
    assert _parse(value) == "body:\nFirst.\n\nSecond.\nThird.\nnext: x"


def test_text_like_a_heading_or_a_fence_is_marked_as_text() -> None:
    value = {"body": "# one\n```\n  ## two\n#3", "# of items": 4}
    assert _parse(value) == "body:\n\\# one\n\\```\n  \\## two\n#3\n\\# of items: 4"


@pytest.mark.parametrize(
    ("value", "title"),
    [
        ({"title": "Travel", "name": "other"}, "Travel"),
        ({"name": "Travel"}, "Travel"),
        ({"Title": " Travel\n policy "}, "Travel policy"),
        ({"title": None, "name": "Travel"}, "Travel"),
        ({"title": {"en": "Travel"}}, ""),
        ({"title": "2026"}, ""),
        ({"title": "x" * 201}, ""),
        ({"inner": {"title": "Travel"}}, ""),
        ([{"title": "Travel"}], ""),
    ],
)
def test_the_title_is_that_of_the_outermost_object(value: object, title: str) -> None:
    parsed = parse_document(json.dumps(value).encode(), "a.json")
    assert parsed.title == title
    # Nothing is lost in any of the forms.
    for text in ("Travel", "2026", "xxx"):
        assert (text in json.dumps(value)) == (text in parsed.text)


def test_numbers_keep_their_notation() -> None:
    source = '{"price": 1.10, "huge": 1e400, "long": ' + "9" * 5_000 + ', "gap": NaN, "end": -Infinity}'
    text = parse_document(source.encode(), "a.json").text
    assert text.split("\n") == [
        "price: 1.10",
        "huge: 1e400",
        "long: " + "9" * 5_000,
        "gap: NaN",
        "end: -Infinity",
    ]


def test_both_values_of_a_repeated_key_are_kept() -> None:
    assert parse_document(b'{"a": 1, "b": {"c": 2, "c": 3}, "a": 4}', "a.json").text == (
        "a: 1\n\nb.c: 2\nb.c: 3\n\na: 4"
    )


def test_empty_values_are_left_out() -> None:
    assert (
        _parse({"a": None, "b": "", "c": [], "d": {}, "e": [None, ""], "f": 0, "g": False})
        == "f: 0\ng: false"
    )


@pytest.mark.parametrize(("source", "text"), [('"just text"', "just text"), ("42", "42"), ("[1, 2]", "1, 2")])
def test_a_document_may_be_a_single_value(source: str, text: str) -> None:
    assert parse_document(source.encode(), "a.json").text == text


@pytest.mark.parametrize(
    "source",
    [
        "",
        " \n",
        "{}",
        "[]",
        "null",
        '""',
        "[{}]",
        '[[], [null, ""]]',
        '{"a": {}}',
        '{"a": [{}, {"b": null}]}',
    ],
)
def test_a_document_without_a_value_is_empty_or_corrupt(source: str) -> None:
    assert _unreadable(source).reason == ("empty" if source.strip() or not source else "corrupt")


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ('{"salary": 100000,\n "a": }', "line 2, column 7"),
        ('{"salary": 100000', "line 1, column 18"),
        ("{'salary': 1}", "line 1, column 2"),
        ('{"salary": "a\nb"}', "line 1, column 14"),
        ('{"salary": "\\x"}', "line 1, column 13"),
        ("// a comment\n{}", "line 1, column 1"),
        ("salary", "line 1, column 1"),
        ("[1, 2],\n", "line 1, column 7"),
    ],
)
def test_the_error_for_invalid_json_names_the_place_but_not_the_content(source: str, place: str) -> None:
    error = _unreadable(source)
    assert error.reason == "corrupt"
    assert place in error.detail
    assert "salary" not in str(error)
    assert error.__suppress_context__


def test_several_values_in_a_row_hint_at_json_lines() -> None:
    assert ".jsonl" in _unreadable('{"a": 1}\n{"a": 2}\n').detail


@pytest.mark.parametrize(
    "source",
    [
        "[" * 100_000,
        "[" * 101 + "1" + "]" * 101,
        '{"a":' * 101 + "1" + "}" * 101,
        '[{"a":' * 200 + "1" + "}]" * 200,
    ],
    ids=["endless", "arrays", "objects", "both"],
)
def test_nesting_has_an_end(source: str) -> None:
    error = _unreadable(source)
    assert (error.reason, "levels deep" in error.detail) == ("corrupt", True)


@pytest.mark.parametrize("depth", [50, 95])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_the_promised_depth_is_read_from_any_stack_depth(opening: str, closing: str, depth: int) -> None:
    def nested(frames: int) -> str:
        if frames:
            return nested(frames - 1)
        return parse_document((opening * depth + "7" + closing * depth).encode(), "a.json").text

    assert nested(sys.getrecursionlimit() // 3).endswith("7")


def test_long_keys_are_not_repeated_in_full() -> None:
    value: dict[str, object] = {str(number): "x" for number in range(1_000)}
    for _ in range(20):
        value = {"k" * 10_000: value}
    text = _parse(value)
    assert len(text) < 150_000
    assert text.endswith("kkk.999: x")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encoding_is_found(encoding: str) -> None:
    source = '{"wo": "Größe in Köln"}'
    assert parse_document(source.encode(encoding), "a.json").text == "wo: Größe in Köln"


def test_binary_content_is_not_text() -> None:
    assert _unreadable(b"PK\x03\x04" + bytes(100)).reason == "not_text"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(_JSON)
def test_any_value_gives_text_or_is_empty(value: object) -> None:
    try:
        outcome = _parse(value)
    except DocumentUnreadable as error:
        outcome = error.reason
    assert outcome != "corrupt"


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1), st.text("xyz ", min_size=1) | st.integers(), min_size=1))
def test_no_value_is_lost(value: dict[str, object]) -> None:
    words = [word for text in value.values() for word in str(text).split()]
    try:
        text = _parse({"list": [value], "object": value})
    except DocumentUnreadable as error:
        assert error.reason == "empty"  # noqa: PT017  nothing but spaces
        assert not words
        return
    for word in words:
        assert text.split().count(word) >= 2 or word in text
