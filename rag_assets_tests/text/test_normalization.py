import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rag_assets.text.normalization import normalize_text

# Every character handled by the normalization, and some it must not change.
_AWKWARD = "aeA \t\u00a0\n\r\x0b\x0c\x00\x08\x1b\x7f\x85\x9f\u2028\u2029\ufeff\ud83d\ude00\u2003\u200b"
_AWKWARD += "\u0301\u0323\u0344\u0308\u212b\u00e9\u1100\u1161\u11a8\u0958\u2000"
_awkward_text = st.text(st.one_of(st.sampled_from(_AWKWARD), st.characters(codec=None)))


@given(_awkward_text)
@example("a" + "\u0344" * 250)
@example("a\x00\u0301")
@example("a \x00\n\r\x00\n\n b")
@example("\ud83d\x00\ude00")
def test_normalizing_twice_changes_nothing_more(text: str) -> None:
    once = normalize_text(text)
    assert normalize_text(once) == once


@given(_awkward_text)
def test_the_result_is_nfc_encodable_and_free_of_control_characters(text: str) -> None:
    result = normalize_text(text)
    assert unicodedata.is_normalized("NFC", result)
    result.encode()
    assert not [c for c in result if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\t\n"]
    assert "\ufeff" not in result
    assert "\n\n\n" not in result
    assert all(line == line.rstrip(" \t\u00a0") for line in result.split("\n"))


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P"])))
def test_ordinary_characters_do_not_change(text: str) -> None:
    assert normalize_text(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\x0bd\x0ce\x85f\u2028g\u2029h", "a\nb\nc\nd\ne\nf\ng\nh"),
        ("nul\x00 bell\x07 escape\x1b c1\x9f", "nul bell escape c1"),
        ("\ufeffmark", "mark"),
        ("lone \ud83d high, lone \ude00 low", "lone  high, lone  low"),
        ("pair \ud83d\ude00", "pair \U0001f600"),
        ("e\u0301", "\u00e9"),
        ("e\x00\u0301", "\u00e9"),
        ("a \t\u00a0\nb", "a\nb"),
        ("a \n \n \nb", "a\n\nb"),
        ("  \n\n first\n\n\n\nlast \n", "first\n\nlast"),
        ("keeps\ttabs  and   inner   blanks", "keeps\ttabs  and   inner   blanks"),
        ("ﬁ ２ Ⅳ", "ﬁ ２ Ⅳ"),
        ("", ""),
    ],
)
def test_each_rule(text: str, expected: str) -> None:
    assert normalize_text(text) == expected


def test_combining_marks_beyond_a_hundred_are_removed_and_other_long_runs_are_kept() -> None:
    assert normalize_text("x" + "\u0323" * 500) == "x" + "\u0323" * 100
    assert normalize_text("a" + "─" * 500) == "a" + "─" * 500
    assert normalize_text("x" + "\u0323" * 100) == "x" + "\u0323" * 100


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        " " * 2_000_000 + "x",
        "a" + "\u0301\u0323" * 500_000,
        "\n" * 2_000_000,
        " \n" * 1_000_000,
        "\u00a0\t" * 1_000_000 + "x",
        "Wörter über das Reisen. \r\n" * 400_000,
    ],
    ids=["blanks", "marks", "line feeds", "blank lines", "mixed blanks", "10 MB of prose"],
)
def test_no_text_is_slow(text: str) -> None:
    """Well under a second each. Quadratic time would be minutes."""
    normalize_text(text)
