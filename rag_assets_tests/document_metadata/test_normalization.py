import math
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.document_metadata.normalization import (
    MAX_BYTES,
    MAX_KEYS,
    MAX_LIST_TEXTS,
    MAX_TEXT_CHARACTERS,
    MOST_LEFT_OUT,
    is_date,
    normalized,
    normalized_key,
    size_bytes,
)
from rag_assets.document_metadata.values import Metadata


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("memo", "memo"),
        ("  two\n lines\t", "two lines"),
        ("cafe\u0301", "café"),
        (2024, 2024),
        (2024.0, 2024),
        (-0.0, 0),
        (0.25, 0.25),
        (Decimal("1.5"), 1.5),
        (1 / 3, 0.333333333333333),
        (123456789.12345679, 123456789.123457),
        (0.1 + 0.2, 0.3),
        (2.9999999999999999, 3),
        (1e22, 1e22),
        (1.23456789012345e-10, 1.234567890123e-10),
        (5e-324, 0),
        (True, True),
        ("2024", "2024"),
        ("1.10", "1.10"),
        (date(2024, 1, 31), "2024-01-31T00:00:00Z"),
        (datetime(2024, 1, 31, 12, 0, 0, 999), "2024-01-31T12:00:00Z"),
        (datetime(2024, 1, 31, 1, tzinfo=timezone(timedelta(hours=2))), "2024-01-30T23:00:00Z"),
        ("2024-01-31", "2024-01-31T00:00:00Z"),
        ("2024-01-31 10:00:00 +02:00", "2024-01-31T08:00:00Z"),
        ("2024-01-31T10:00:00.123Z", "2024-01-31T10:00:00Z"),
        ("1234-56-78", "1234-56-78"),
        ("2024-01-31 and later", "2024-01-31 and later"),
        (["b", "a", "b"], ("b", "a")),
        (("a", 3, True, date(2024, 1, 1)), ("a", "3", "true", "2024-01-01T00:00:00Z")),
        ({"b", "a"}, ("a", "b")),
    ],
)
def test_a_value_has_one_form(value: object, expected: object) -> None:
    said = normalized({"key": value})
    assert said.pairs == (("key", expected),)
    assert type(said["key"]) is type(expected)
    assert said.left_out == ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(2024), 2024),
        (np.uint8(7), 7),
        (np.float32(0.5), 0.5),
        (np.float64(2.0), 2),
        (np.bool_(False), False),
        (np.str_("memo"), "memo"),
        ([np.int64(1), np.str_("b")], ("1", "b")),
    ],
)
def test_numbers_of_data_frames_are_numbers(value: object, expected: object) -> None:
    said = normalized({"key": value})
    assert said.pairs == (("key", expected),)
    assert type(said["key"]) is type(expected)


def test_the_same_part_of_a_large_set_is_kept_by_every_process() -> None:
    """The order of a set of texts differs between processes."""
    texts = [f"text {number:03}" for number in range(200)]
    said = normalized({"key": set(texts), "other": frozenset([3, "b", None])})
    assert said["key"] == tuple(texts[:MAX_LIST_TEXTS])
    assert said["other"] == ("3", "b")
    assert said.left_out == ("cut: key",)


class NotATime(datetime):
    """Like `NaT` of pandas: a time in name only, unequal to itself."""

    def replace(self, *_: Any, **__: Any) -> "NotATime":
        return self

    def astimezone(self, *_: Any) -> "NotATime":
        return self

    def isoformat(self, *_: Any, **__: Any) -> str:
        return "NaT"

    def __eq__(self, _: object) -> bool:
        return False

    __hash__ = datetime.__hash__


@pytest.mark.parametrize(
    "value",
    [
        NotATime(1, 1, 1),
        np.datetime64("NaT"),
        np.datetime64(5, "ns"),
        np.timedelta64(5, "s"),
        np.float32("nan"),
        np.complex64(1),
        np.array([1, 2]),
        np.array(5),
    ],
)
def test_what_is_no_single_value_in_a_data_frame_is_left_out(value: object) -> None:
    said = normalized({"key": value, "list": ["a", value]})
    assert dict(said) == {"list": ("a",)}
    assert said.left_out == ("not usable: key", "not usable: list")


@pytest.mark.parametrize("value", [None, "", "  ", [], {}, (), "\x00"])
def test_an_empty_value_says_nothing(value: object) -> None:
    assert normalized({"key": value}) == Metadata()
    assert normalized({"key": value}).left_out == ()


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        1.5e300,
        2**53,
        10**4000,
        Decimal("NaN"),
        Decimal("sNaN"),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
        b"bytes",
        object(),
        1j,
        [{"a": 1}],
    ],
)
def test_a_value_that_is_none_of_the_types_is_left_out(value: object) -> None:
    said = normalized({"key": value, "other": 1})
    assert dict(said) == {"other": 1}
    assert said.left_out == ("not usable: key",)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("docType", "doc_type"),
        ("Doc Type", "doc_type"),
        ("doc-type", "doc_type"),
        ("dc:subject", "dc_subject"),
        ("PDFVersion", "pdf_version"),
        ("_x_", "x"),
        ("Größe", "größe"),
        ("年", "年"),
        ("İlçe", "i_lçe"),
        (7, "7"),
    ],
)
def test_a_key_has_one_form(key: object, expected: str) -> None:
    assert dict(normalized({key: 1})) == {expected: 1}


def test_the_normal_form_of_a_key_is_stable_for_every_character() -> None:
    keys = (f"a{chr(code)}B" for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    forms = {normalized_key(key) for key in keys} - {None}
    assert [form for form in forms if normalized_key(form) != form] == []


@pytest.mark.parametrize("key", ["", "  ", "!?", "x" * 65, "x" * 129, None, True, 1.5, ("a",), 10**4000])
def test_a_key_without_a_form_is_left_out(key: object) -> None:
    said = normalized({key: 1})
    assert dict(said) == {}
    assert said.left_out == ("not usable: (a key)",)


def test_mappings_are_flattened_to_a_depth() -> None:
    raw = {"a": {"b": {"c": 1, "deep": {"d": {"e": 2}}}, "f": [1]}}
    said = normalized(raw)
    assert dict(said) == {"a_b_c": 1, "a_f": ("1",)}
    assert said.left_out == ("not usable: a_b_deep",)


def test_the_first_of_two_values_for_a_key_counts() -> None:
    assert dict(normalized({"docType": 1, "doc_type": 2}, {"Doc Type": 3, "more": 4})) == {
        "doc_type": 1,
        "more": 4,
    }


def test_a_long_text_and_a_long_list_are_cut() -> None:
    said = normalized({"text": "x" * 1_000_000, "list": [str(number) for number in range(1000)]})
    assert said["text"] == "x" * MAX_TEXT_CHARACTERS
    assert said["list"] == tuple(str(number) for number in range(MAX_LIST_TEXTS))
    assert said.left_out == ("cut: text", "cut: list")


def test_many_keys_and_a_megabyte_are_bounded() -> None:
    many = normalized({f"key{number}": number for number in range(100)})
    assert len(many) == MAX_KEYS
    assert many.left_out == ("too many keys",)
    large = normalized({f"key{number}": "ä" * 10_000 for number in range(100)})
    assert 0 < sum(size_bytes(*pair) for pair in large.pairs) <= MAX_BYTES
    assert len(large.left_out) == MOST_LEFT_OUT
    assert large.left_out[-1] == "more"


class _Endless(Mapping[str, Any]):
    """Says how many keys were asked for."""

    asked = 0

    def __getitem__(self, key: str) -> Any:
        return key

    def __iter__(self) -> Iterator[str]:
        while True:
            self.asked += 1
            yield f"key{self.asked}"

    def __len__(self) -> int:
        return 2**31


def test_the_work_for_keys_without_end_is_bounded() -> None:
    endless = _Endless()
    assert len(normalized(endless)) <= MAX_KEYS
    assert endless.asked < 2_000


def test_the_work_for_deep_nesting_is_bounded() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert normalized(deep).left_out == ("not usable: a_a_a",)


raw_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.datetimes(timezones=st.just(UTC))
    | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), raw_values, max_size=6))
def test_the_normal_form_is_stable_and_survives_json(raw: dict[str, Any]) -> None:
    said = normalized(raw)
    again = normalized(said.to_json())
    assert again == said
    assert again.left_out == ()
    assert Metadata.from_json(said.to_json()) == said
    assert len({said, again}) == 1


def test_a_date_is_a_text_of_one_form() -> None:
    assert is_date("2024-01-31T00:00:00Z")
    assert not any(map(is_date, ("2024-01-31", "2024-13-31T00:00:00Z", 2024, "text", True)))


def test_numbers_and_booleans_are_different_values() -> None:
    assert Metadata.of({"a": 1}) != Metadata.of({"a": True})
    assert Metadata.of({"a": 1}) == Metadata.of({"a": 1})
    assert Metadata.of({"a": 1}, left_out=("cut: b",)) == Metadata.of({"a": 1})
