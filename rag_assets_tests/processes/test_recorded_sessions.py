"""The terminal sessions in README and docs, recorded again: the same commands show the same, apart from times, ids and dates."""

import pytest

from docs.terminal.record_sessions import blocks, stable
from docs.terminal.recorder import COLUMNS, shown_text
from docs.terminal.sessions import SESSIONS, recorded

# Seven sessions with nine refreshes, in a real terminal.
pytestmark = pytest.mark.timeout(1200)


def test_the_pages_show_what_the_terminal_shows() -> None:
    on_pages = blocks()
    assert {name: len(found) > 0 for name, found in on_pages.items()} == {it.name: True for it in SESSIONS}
    for name, text in recorded():
        for block in on_pages[name]:
            assert stable(block) == stable(text), f"{name}: run `python -m docs.terminal.record_sessions`"


def test_a_terminal_shows_the_last_state_of_a_line_and_no_color() -> None:
    output = "\x1b[32m✓\x1b[0m one\r\n\r\x1b[2Kworking\r\x1b[2Kstill working\r\x1b[2Ktwo\r\n"
    assert shown_text(output) == "✓ one\ntwo\n"


def test_a_terminal_breaks_long_lines() -> None:
    assert shown_text("x" * (COLUMNS + 5) + "\r\n") == "x" * COLUMNS + "\nxxxxx\n"
