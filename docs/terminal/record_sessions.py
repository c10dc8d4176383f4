"""Record the terminal sessions in README.md and docs, from real commands in a real terminal.

    python -m docs.terminal.record_sessions

Each block follows a comment with the name of its session, `<!-- recorded: quick_start -->`. Nothing in these blocks is
typed. A test records them again, and compares them without times, ids and dates.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from docs.terminal.sessions import REPOSITORY, SESSIONS, recorded

_BLOCK = re.compile(r"(<!-- recorded: (\w+) -->\n\n?```\w*\n)(.*?)(```)", re.DOTALL)
_UNSTABLE = (
    (re.compile(r" +\d+(\.\d+)? s\b"), " # s"),
    (re.compile(r"\d+\.\d ms"), "# ms"),
    (re.compile(r"\d{8}T\d{12}-[0-9a-f]{8}"), "GENERATION"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "TOKEN"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:]+(\+00:00|Z)?"), "DATE"),
)


def main() -> None:
    texts = dict(recorded())
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = _BLOCK.sub(lambda found: f"{found[1]}{texts[found[2]]}{found[4]}", before)
        page.write_text(after, encoding="utf-8")
        print(f"{page.relative_to(REPOSITORY)}: {', '.join(found[2] for found in _BLOCK.finditer(after))}")


def pages() -> list[Path]:
    """Return the pages with recorded blocks."""
    found = (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")))
    return [page for page in found if _BLOCK.search(page.read_text(encoding="utf-8"))]


def blocks() -> Mapping[str, list[str]]:
    """Return session -> its blocks in the pages."""
    found: dict[str, list[str]] = {session.name: [] for session in SESSIONS}
    for page in pages():
        for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
            found[block[2]].append(block[3])
    return found


def stable(text: str) -> str:
    """Return a text without times, ids and dates."""
    for pattern, name in _UNSTABLE:
        text = pattern.sub(name, text)
    return " ".join(text.split())


if __name__ == "__main__":
    main()
