"""Headings of a text in Markdown notation, and the headings above a position.

Parsers render the headings of every format as lines of `#` to `######`. A chunk carries the titles above its start, to
show a reader the place of an answer.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

MAX_TITLE_CHARACTERS = 200
"""A longer title is cut, because every chunk below has it in its payload."""

_MARK = re.compile(r"^ {0,3}(?:(?P<level>#{1,6})(?=[ \t\n]|\Z)|(?P<fence>`{3,}|~{3,}))", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Heading:
    """One heading.

    Attributes:
        start: character offset of its line.
        level: 1 to 6.
        path: titles of the enclosing headings, outermost first, and its own.
    """

    start: int
    level: int
    title: str
    path: tuple[str, ...]


def headings(text: str) -> list[Heading]:
    """Return the headings with a title outside fenced code blocks, in order."""
    found: list[Heading] = []
    open_headings: list[Heading] = []
    fence = ""
    for mark in _MARK.finditer(text):
        line_end = text.find("\n", mark.end())
        rest = text[mark.end() : line_end if line_end >= 0 else len(text)]
        run = mark["fence"]
        if run:
            if not fence:
                # An info string with a backtick makes it inline code: ```like this```
                fence = "" if run[0] == "`" and "`" in rest else run
            elif run[0] == fence[0] and len(run) >= len(fence) and not rest.strip():
                fence = ""
            continue
        if fence:
            continue
        title = rest.strip()
        if title.endswith("#"):
            title = _without_closing_mark(title)
        title = title[:MAX_TITLE_CHARACTERS].rstrip()
        if not title:
            continue
        level = len(mark["level"])
        while open_headings and open_headings[-1].level >= level:
            open_headings.pop()
        path = (*(heading.title for heading in open_headings), title)
        open_headings.append(Heading(mark.start(), level, title, path))
        found.append(open_headings[-1])
    return found


def _without_closing_mark(title: str) -> str:
    """`Title ##` is `Title`, but `C#` is `C#`."""
    bare = title.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else title


def heading_path_at(all_headings: Sequence[Heading], offset: int) -> tuple[str, ...]:
    """Return the titles above `offset`, outermost first, including a heading at this position."""
    index = bisect_right(all_headings, offset, key=attrgetter("start"))
    return all_headings[index - 1].path if index else ()
