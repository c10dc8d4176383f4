"""Markdown: the source is the text, because readers and models know its marks.

Two things change: YAML front matter is removed (its title and metadata are kept), and underlined headings become `#` headings, the
only mark of a heading in this package.
"""

import re

from rag_assets.parsers.front_matter import front_matter_metadata
from rag_assets.records import ParsedDocument
from rag_assets.text.decoding import decode_text

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
# A horizontal rule at the top looks like front matter, so every line must look like YAML.
_YAML_LINE = re.compile(r"""[\w"'.-][\w"' .-]*:(?:\s|$)|\s|-(?:\s|$)|\#|[\]}]|$""")
_YAML_TITLE = re.compile(
    r"""^title:[ \t]*(?:"(?P<d>[^"\n]*)"|'(?P<s>[^'\n]*)'|(?P<p>[^\n]*?))[ \t]*(?:[ \t]\#.*)?$""", re.M
)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(={2,}|-{3,})[ \t]*$")
_PARAGRAPH = re.compile(r" {0,3}(?![#>|*+\-\s]|\d+[.)]\s|<)\S")


class MarkdownParser:
    """The source without front matter. Title: `title:` in the front matter, else the first heading."""

    name = "markdown"
    version = "2"
    suffixes: tuple[str, ...] = (".md", ".markdown")

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        del filename
        source = decode_text(data).replace("\r\n", "\n").replace("\r", "\n")
        front_matter, body = _split_front_matter(source)
        text, first_heading = _with_plain_headings(body)
        title = _front_matter_title(front_matter) or first_heading
        return ParsedDocument(text=text, title=title, metadata=front_matter_metadata(front_matter))


def _split_front_matter(source: str) -> tuple[str, str]:
    match = _FRONT_MATTER.match(source)
    if match is None or not all(_YAML_LINE.match(line) for line in match[1].split("\n")):
        return "", source
    return match[1], source[match.end() :]


def _front_matter_title(front_matter: str) -> str:
    match = _YAML_TITLE.search(front_matter)
    if match is None:
        return ""
    title = (match["d"] or match["s"] or match["p"] or "").strip()
    return "" if title.startswith((">", "|")) else title


def _with_plain_headings(body: str) -> tuple[str, str]:
    """Return the body with `#` headings only, and the title of the first heading."""
    lines: list[str] = []
    fence = first_heading = ""
    for line in body.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip(" \t`~"):
                fence = ""
        elif mark:
            fence = mark[1]
        elif _is_underline(line, lines):
            lines[-1] = f"{'#' if '=' in line else '##'} {lines[-1].strip()}"
            first_heading = first_heading or lines[-1].lstrip("# ")
            continue
        elif heading := _HEADING.match(line):
            first_heading = first_heading or heading[1]
        lines.append(line)
    return "\n".join(lines), first_heading


def _is_underline(line: str, above: list[str]) -> bool:
    """Return whether a line underlines the line above, and the line above is a paragraph of its own."""
    if not _UNDERLINE.match(line) or not above or not _PARAGRAPH.match(above[-1]):
        return False
    return len(above) == 1 or not above[-2].strip() or bool(_HEADING.match(above[-2]))
