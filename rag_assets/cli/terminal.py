"""Output of every command, and the only place that prints.

Names, titles and texts of documents belong to others. Here they lose what a terminal would act on. Imports nothing heavy:
`--help` needs it.
"""

import json
import logging
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag_assets.text.control_characters import one_line, printable, printable_json

COLUMNS_IN_A_PIPE = 80
_LABEL_WIDTH = 15
_LABEL = re.compile(r"[ A-Za-z@0-9-]*  |knowledge base |NOT CONFIGURED ")
"""The head of a line in a report: a label with two spaces behind it, or one of the longest labels."""
_MOST_COLUMNS = 120
"""Longer lines are hard to read."""


class Bold(str):
    """A part of a line in bold on a terminal, and plain in a pipe."""

    __slots__ = ()


def say(*parts: str) -> None:
    """Print one line, or a text of several lines, from its parts.

    A line end within a name or a title must be escaped before, with `one_line`.
    """
    from rag_assets.environment import colors_wanted

    is_bold = sys.stdout.isatty() and colors_wanted()
    print(
        "".join(
            f"\x1b[1m{printable(part)}\x1b[0m" if is_bold and isinstance(part, Bold) else printable(part)
            for part in parts
        ),
        flush=True,
    )


def say_text(text: str, text_column: int | None = None) -> None:
    """Print sentences or the lines of a report. A terminal gets them divided between words, a pipe whole, for scripts.

    Args:
        text_column: where a divided line continues. None: below the text of its label, or else at its own beginning.
    """
    for line in text.splitlines():
        for row in _rows(line, columns(), text_column) if sys.stdout.isatty() else (line,):
            say(row)


def say_labeled(label: str, text: str, *, to_copy: bool = False) -> None:
    """Print a text beside its label, in the width of the terminal.

    Args:
        to_copy: never divide it, for a name.
    """
    text = one_line(text)
    for line in [text] if to_copy else wrapped(text, columns() - _LABEL_WIDTH):
        say(f"{label:<{_LABEL_WIDTH}}{line}")
        label = ""


def say_json(value: object, *, indent: int | None = 2) -> None:
    """Print a value as JSON. What a terminal would act on is escaped, so every reader gets the same value."""
    print(printable_json(json.dumps(value, ensure_ascii=False, indent=indent)))


def ask(question: str) -> str:
    """Return the answer of a person at a terminal, "" without one: a script is never kept waiting."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return ""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def complain(message: str) -> None:
    """Print one line on standard error. A terminal gets it divided between words."""
    from rag_assets.secret_values import without_secrets

    line = f"rag-assets: {one_line(without_secrets(message))}"
    for row in _rows(line, _terminal_columns(), 0) if sys.stderr.isatty() else (line,):
        print(row, file=sys.stderr)


def in_lines(report: Any) -> Any:
    """Return JSON-compatible data with every text in it as one line, keys included."""
    if isinstance(report, str):
        return one_line(report)
    if isinstance(report, dict):
        return {in_lines(key): in_lines(value) for key, value in report.items()}
    return [in_lines(value) for value in report] if isinstance(report, list) else report


def short_path(path: Path) -> str:
    """Return a path as people type it: within the working folder relative, within the home folder from `~`."""
    path = path.absolute()
    if path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home raises if there is none
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def columns() -> int:
    """Return the width for text: that of the terminal, and 80 in a pipe."""
    if not sys.stdout.isatty():
        return COLUMNS_IN_A_PIPE
    return _terminal_columns()


def _terminal_columns() -> int:
    return max(20, min(shutil.get_terminal_size().columns, _MOST_COLUMNS))


def width_of(text: str) -> int:
    """Return the columns of a text on a terminal: two for a wide letter, none for an accent."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in "WF") for one in text
    )


def wrapped(text: str, width: int) -> Iterator[str]:
    """Yield a text in lines of at most `width` columns, divided between words, or within a word that is too long."""
    line, used = "", 0
    for word in text.split():
        needed = width_of(word)
        if line and used + 1 + needed <= width:
            line, used = f"{line} {word}", used + 1 + needed
            continue
        if line:
            yield line
        *full, line = _pieces(word, width) if needed > width else [word]
        yield from full
        used = width_of(line)
    if line:
        yield line


def _rows(line: str, width: int, text_column: int | None) -> Iterator[str]:
    """Yield a line in rows of at most `width` columns. The rows after the first begin below the text."""
    if width_of(line) <= width:
        yield line
        return
    if text_column is None:
        text_column = _LABEL_WIDTH if _LABEL.fullmatch(line[:_LABEL_WIDTH]) else 0
        text_column += len(line[text_column:]) - len(line[text_column:].lstrip())
    head = line[:text_column]
    for row in wrapped(line[text_column:], width - text_column):
        yield f"{head}{row}"
        head = " " * text_column


def _pieces(word: str, width: int) -> list[str]:
    pieces = [""]
    used = 0
    for letter in word:
        needed = width_of(letter)
        if used + needed > width:
            pieces.append("")
            used = 0
        pieces[-1] += letter
        used += needed
    return pieces


class OneLineFormatter(logging.Formatter):
    """Log lines for standard error, without control characters from the names in them."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of logging
        record.message = one_line(record.message)
        return super().formatMessage(record)
