"""Lines for a person: plain ones in a pipe, and on a terminal colors, wrapped text and one live line at the bottom."""

import shutil
from typing import TextIO

from rag_assets.cli.terminal import width_of, wrapped
from rag_assets.text.control_characters import one_line

_COLORS = {"green": "32", "yellow": "33", "red": "31", "bold": "1", "dim": "2"}
_MOST_COLUMNS = 100
_FEWEST_COLUMNS = 20
_CLEAR_LINE = "\r\x1b[2K"


class Screen:
    """Writes lines to a stream. A closed output ends the lines, not the work.

    Args:
        plain: neither colors nor a live line, as in a pipe.
        colored: whether a terminal gets colors.
    """

    def __init__(self, stream: TextIO, *, plain: bool = False, colored: bool = True) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty() and not plain
        self._colored = colored and self.is_terminal
        self._is_live = False
        self._is_closed = False
        self._writes_unicode = _can_write("✓✗…·", stream)

    @property
    def columns(self) -> int:
        return min(shutil.get_terminal_size((_MOST_COLUMNS, 24)).columns, _MOST_COLUMNS)

    def paint(self, text: str, color: str) -> str:
        return f"\x1b[{_COLORS[color]}m{text}\x1b[0m" if self._colored and text else text

    def sign(self, sign: str, otherwise: str) -> str:
        """Return a sign, or letters for a stream that cannot write it."""
        return sign if self._writes_unicode else otherwise

    def line(self, text: str = "", head: str = "", width: int = 0) -> None:
        """Write one line. On a terminal a long one continues in the column of its text.

        Args:
            head: stands before the text, painted and padded.
            width: columns of the head.
        """
        room = max(_FEWEST_COLUMNS, self.columns - width)
        text = one_line(text)
        parts = list(wrapped(text, room)) if self.is_terminal and width_of(text) > room else [text]
        rows = [f"{head}{parts[0]}".rstrip(), *(" " * width + part for part in parts[1:])]
        self._write("".join(f"{row}\n" for row in rows), stays=True)

    def live(self, text: str) -> None:
        """Show a line at the bottom until the next line. Nothing in a pipe."""
        if self.is_terminal:
            text, most = one_line(text), self.columns - 1
            short = text if width_of(text) <= most else text[: most - 1] + self.sign("…", "~")
            self._write(_CLEAR_LINE + self.paint(short, "dim"), stays=False)

    def end(self) -> None:
        """Remove the live line."""
        self._write("", stays=True)

    def _write(self, text: str, *, stays: bool) -> None:
        if self._is_closed:
            return
        before = _CLEAR_LINE if stays and self._is_live else ""
        self._is_live = not stays
        if not self._writes_unicode:
            text = text.encode(self._stream.encoding or "ascii", "replace").decode(
                self._stream.encoding or "ascii"
            )
        try:
            self._stream.write(before + text)
            self._stream.flush()
        except BrokenPipeError:
            self._is_closed = True


def _can_write(characters: str, stream: TextIO) -> bool:
    try:
        characters.encode(stream.encoding or "utf-8")  # a stream in memory has none
    except (UnicodeEncodeError, LookupError):
        return False
    return True
