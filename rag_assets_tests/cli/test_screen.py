"""Lines for a person: wrapped and colored on a terminal, plain in a pipe, and never without them the work."""

import io

import pytest

from rag_assets.cli import screen as screen_module
from rag_assets.cli.screen import Screen


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Latin(io.StringIO):
    encoding = "latin-1"


@pytest.fixture(autouse=True)
def forty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    size = screen_module.shutil.get_terminal_size
    monkeypatch.setenv("COLUMNS", "40")
    assert size().columns == 40


def test_a_long_line_continues_in_the_column_of_its_text() -> None:
    stream = Terminal()
    Screen(stream).line("one two three four five six seven eight", "head  ", 6)
    assert stream.getvalue() == "head  one two three four five six seven\n      eight\n"


def test_a_line_in_a_pipe_stays_one_line_without_colors() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    screen.live("working")
    screen.line("one two three four five six seven eight nine ten", screen.paint("head  ", "red"), 6)
    assert stream.getvalue() == "head  one two three four five six seven eight nine ten\n"


def test_the_live_line_fits_and_is_replaced_by_the_next_line() -> None:
    stream = Terminal()
    screen = Screen(stream, colored=False)
    screen.live("x" * 50)
    screen.line("done")
    assert stream.getvalue() == f"\r\x1b[2K{'x' * 38}…\r\x1b[2Kdone\n"


def test_colors_can_be_turned_off_on_a_terminal() -> None:
    assert Screen(Terminal()).paint("ok", "green") == "\x1b[32mok\x1b[0m"
    assert Screen(Terminal(), colored=False).paint("ok", "green") == "ok"
    assert Screen(Terminal(), plain=True).paint("ok", "green") == "ok"


def test_a_name_of_a_document_cannot_act_on_the_terminal() -> None:
    stream = Terminal()
    Screen(stream).line("a\x1b[31m\nb")
    assert stream.getvalue() == "a\\u001b[31m\\nb\n"


def test_letters_replace_signs_that_the_output_cannot_write() -> None:
    stream = Latin()
    screen = Screen(stream)
    screen.line(f"{screen.sign('✓', '+')} → done")
    assert stream.getvalue() == "+ ? done\n"


def test_a_closed_output_ends_the_lines_and_not_the_work() -> None:
    class Closed(io.StringIO):
        encoding = "utf-8"

        def write(self, text: str) -> int:
            raise BrokenPipeError

    screen = Screen(Closed())
    screen.line("one")
    screen.line("two")
