"""Text for a terminal or a pipe."""

import io
import json
import logging
import re
import sys
from contextlib import redirect_stdout

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.cli.terminal import (
    Bold,
    OneLineFormatter,
    columns,
    complain,
    in_lines,
    say,
    say_json,
    say_text,
    width_of,
    wrapped,
)
from rag_assets.text.control_characters import one_line, printable

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=60)
_ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@given(ANY_TEXT)
def test_nothing_that_acts_on_a_terminal_is_left(text: str) -> None:
    assert _ACTS.findall(printable(text)) == []
    assert _ACTS.findall(one_line(text)) == []
    assert len(one_line(text).splitlines()) <= 1


@pytest.mark.parametrize("text", ["Büro", "東京 🙂", "a\\b", "שלום", "e\u0301"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == one_line(text) == text


def test_control_characters_are_named() -> None:
    assert one_line("a\x1b[31m\tb\nc\x7f\x9b") == r"a\u001b[31m\tb\nc\u007f\u009b"
    assert printable("a\tb\nc\x1b") == "a\tb\nc\\u001b"


@given(ANY_TEXT)
def test_json_has_the_same_value_without_control_characters(text: str) -> None:
    with redirect_stdout(io.StringIO()) as output:
        say_json({text: [text]}, indent=None)
    assert json.loads(output.getvalue()) == {text: [text]}
    assert _ACTS.findall(output.getvalue()) == []


def test_every_text_of_a_report_becomes_one_line() -> None:
    assert in_lines({"a\n": ["b\n", 1, None, {"c": "\x1b"}]}) == {"a\\n": ["b\\n", 1, None, {"c": "\\u001b"}]}


@given(st.text(st.sampled_from("ab 東e\u0301\n"), max_size=80), st.integers(2, 12))
def test_wrapped_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = list(wrapped(text, width))
    assert max((width_of(line) for line in lines), default=0) <= width
    assert "".join(lines).replace(" ", "") == "".join(text.split())
    assert all(lines)


def test_words_are_divided_only_if_a_line_cannot_hold_them() -> None:
    assert list(wrapped("one two  three", 7)) == ["one two", "three"]
    assert list(wrapped("a 0123456789 b", 4)) == ["a", "0123", "4567", "89 b"]
    assert list(wrapped("東京東京", 5)) == ["東京", "東京"]


def test_bold_is_for_terminals() -> None:
    with redirect_stdout(Terminal()) as terminal:
        say("a ", Bold("b\x1b"), " c")
    assert terminal.getvalue() == "a \x1b[1mb\\u001b\x1b[0m c\n"


def test_no_color_is_no_bold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with redirect_stdout(Terminal()) as terminal:
        say("a ", Bold("b"))
    assert terminal.getvalue() == "a b\n"


REPORT = """\
HELD           since noon by ada, because the prices are wrong
knowledge base handbook in /srv/kb/.rag, a place with a name
               also below, with an indented part
  explained in a sentence that needs two lines
no document is quarantined, so nothing is listed"""


def test_a_report_continues_below_its_text_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    with redirect_stdout(Terminal()) as terminal:
        say_text(REPORT)
    assert terminal.getvalue().splitlines() == [
        "HELD           since noon by ada,",
        "               because the prices are",
        "               wrong",
        "knowledge base handbook in /srv/kb/.rag,",
        "               a place with a name",
        "               also below, with an",
        "               indented part",
        "  explained in a sentence that needs two",
        "  lines",
        "no document is quarantined, so nothing",
        "is listed",
    ]


def test_a_report_is_whole_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    say_text(REPORT)
    assert capsys.readouterr().out == f"{REPORT}\n"


def test_an_error_is_one_line_in_a_pipe_and_divided_between_words_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    printed: list[str] = []
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        complain("nothing is in production\nyet, refresh")
        printed.append(stream.getvalue())
    assert printed[0] == "rag-assets: nothing is in\nproduction\\nyet, refresh\n"
    assert printed[1] == "rag-assets: nothing is in production\\nyet, refresh\n"


def test_a_pipe_gets_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    say("a ", Bold("b"), " c")
    assert capsys.readouterr().out == "a b c\n"


@pytest.mark.parametrize(("output", "expected"), [(Terminal(), 50), (io.StringIO(), 80)])
def test_text_is_as_wide_as_the_terminal_and_80_columns_in_a_pipe(
    output: io.StringIO, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    with redirect_stdout(output):
        assert columns() == expected


def test_a_log_line_is_one_line() -> None:
    record = logging.LogRecord("x", logging.WARNING, "", 0, "read %s", ("a\n\x1b[31m.md",), None)
    assert OneLineFormatter("%(levelname)s: %(message)s").format(record) == r"WARNING: read a\n\u001b[31m.md"
