"""Blocks and properties of Notion -> Markdown.

The text of a block is its words, with Markdown for structure. Colors, bold and italics are left out. So are addresses
of files stored by Notion: their signature is new in each answer, so no page would ever be unchanged, and anyone with
the address may open the file.

The shapes of blocks, rich text and properties: https://developers.notion.com/reference/block, `/rich-text` and
`/page-property-values`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rag_assets.sources.wiki_client import Json, one_line

CHILDREN = "children"
"""Key for the children of a block, beside its `type`."""

_HEADING = re.compile(r"heading_([1-4])")
_LOOKS_LIKE_HEADING = re.compile(r"^( {0,3})(#{1,6}\s)", re.MULTILINE)
_FENCE = re.compile(r"^\s*(`{3,})", re.MULTILINE)
_LIST_ITEMS = ("bulleted_list_item", "numbered_list_item", "to_do")
_FILES = ("image", "video", "audio", "file", "pdf")
_LINKS = ("bookmark", "embed", "link_preview")
# Properties without information about the page's subject: author and time of a change, buttons.
_IDLE_PROPERTIES = ("title", "button", "created_by", "last_edited_by", "last_edited_time", "relation")


def markdown_of_page(title: str, properties: Json, blocks: Sequence[Json]) -> str:
    """Return a page as Markdown: its title, its properties as `name: value` lines, its blocks."""
    lines = [f"{name}: {value}" for name, value in _properties(properties)]
    parts = (f"# {title}" if title else "", "\n".join(lines), markdown_of_blocks(blocks))
    return "\n\n".join(filter(None, parts)) + "\n"


def title_of(properties: Json) -> str:
    """Return the title of a page, on one line, or "" if it has none."""
    for value in properties.values():
        if value.get("type") == "title":
            return one_line(plain_text(value.get("title")))
    return ""


def plain_text(rich_text: Any) -> str:
    """Return a rich text without Markdown."""
    return "".join(part.get("plain_text") or "" for part in rich_text or ())


# Blocks


def markdown_of_blocks(blocks: Iterable[Json]) -> str:
    """Return blocks with an empty line between them, but not between the items of a list."""
    text = ""
    before, number = "", 0
    for block in blocks:
        kind = str(block.get("type"))
        number = number + 1 if kind == before == "numbered_list_item" else 1
        part = _block(block, kind, number).rstrip()
        if part.strip():
            gap = "\n" if kind == before and kind in _LIST_ITEMS else "\n\n"
            text += gap + part if text else part
        before = kind
    return text


def _block(block: Json, kind: str, number: int) -> str:
    content: Json = block.get(kind) or {}
    children: Sequence[Json] = block.get(CHILDREN) or ()
    text = _rich(content.get("rich_text"))
    if heading := _HEADING.fullmatch(kind):
        # One level deeper than in Notion, because the title is a heading here.
        title = " ".join(text.split())
        return _joined(
            f"{'#' * (int(heading[1]) + 1)} {title}" if title else "", markdown_of_blocks(children)
        )
    if kind in _LIST_ITEMS:
        mark = "- " if kind != "numbered_list_item" else f"{number}. "
        if kind == "to_do":
            mark += "[x] " if content.get("checked") else "[ ] "
        return mark + _hanging(
            _joined(text, markdown_of_blocks(children), "\n"), len(mark.partition(" ")[0]) + 1
        )
    if kind in ("quote", "callout"):
        icon: Json = content.get("icon") or {}
        emoji = f"{icon['emoji']} " if kind == "callout" and icon.get("emoji") else ""
        return _quoted(_joined(emoji + _escaped(text), markdown_of_blocks(children)))
    if kind == "code":
        return _joined(
            _fenced(plain_text(content.get("rich_text")), str(content.get("language") or "")),
            _caption(content),
        )
    if kind == "equation":
        return f"$$\n{content.get('expression') or ''}\n$$"
    if kind == "table":
        return _table(children, has_header=bool(content.get("has_column_header")))
    if kind in _LINKS:
        return _link(_caption(content) or str(content.get("url") or ""), content.get("url"))
    if kind in _FILES:
        return _file(content)
    if kind in ("child_page", "child_database"):
        return str(content.get("title") or "")  # a document of its own
    # Paragraphs, toggles, columns, synced blocks, and types of the future.
    return _joined(_escaped(text), markdown_of_blocks(children))


def _joined(text: str, children: str, gap: str = "\n\n") -> str:
    return gap.join(filter(None, (text, children)))


def _hanging(text: str, width: int) -> str:
    return text.replace("\n", "\n" + " " * width)


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _fenced(code: str, language: str) -> str:
    longest = max((len(fence[1]) for fence in _FENCE.finditer(code)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{'' if language == 'plain text' else language}\n{code}\n{fence}"


def _escaped(text: str) -> str:
    """Escape `#` at the beginning of a paragraph's line: it is not a heading."""
    return _LOOKS_LIKE_HEADING.sub(r"\1\\\2", text)


def _caption(content: Json) -> str:
    return _rich(content.get("caption"))


def _link(text: str, url: Any) -> str:
    if not isinstance(url, str) or not url.startswith(("http://", "https://")) or text == url:
        return text
    return f"[{text}]({url})"


def _file(content: Json) -> str:
    external: Json = content.get("external") or {}
    url = external.get("url")
    return _link(_caption(content) or str(content.get("name") or url or ""), url)


def _table(rows: Sequence[Json], *, has_header: bool) -> str:
    lines: list[str] = []
    for row in rows:
        cells = (row.get("table_row") or {}).get("cells") or ()
        texts = [" ".join(_rich(cell).split()).replace("|", "\\|") for cell in cells]
        lines.append(f"| {' | '.join(texts)} |")
        if has_header and len(lines) == 1:
            lines.append(f"|{' --- |' * len(texts)}")
    return "\n".join(lines)


# Rich text


def _rich(parts: Any) -> str:
    return "".join(_rich_part(part) for part in parts or ())


def _rich_part(part: Json) -> str:
    text = part.get("plain_text") or ""
    if part.get("type") == "equation":
        return f"${text}$"
    if (part.get("annotations") or {}).get("code") and "`" not in text:
        text = f"`{text}`"
    # Mentions link to Notion itself, by an address without information.
    return _link(text, part.get("href")) if part.get("type") == "text" else text


# Properties


def _properties(properties: Json) -> Iterable[tuple[str, str]]:
    # Sorted: the order in an answer may vary, and must not change the text.
    for name, value in sorted(properties.items()):
        if value.get("type") not in _IDLE_PROPERTIES and (text := " ".join(_property(value).split())):
            yield name, text


def _property(value: Json) -> str:
    kind = str(value.get("type"))
    content = value.get(kind)
    if content is None:
        return ""
    render = _PROPERTIES.get(kind)
    return render(content) if render else _scalar(content)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, str | int | float) else ""


def _names(values: Any) -> str:
    return ", ".join(str(value["name"]) for value in values if value.get("name"))


def _date(value: Json) -> str:
    return " to ".join(filter(None, (value.get("start"), value.get("end"))))


def unique_id_text(value: Json) -> str:
    """Return an id of Notion's own counter, such as `ENG-7`."""
    return "-".join(str(part) for part in (value.get("prefix"), value.get("number")) if part is not None)


def _rollup(value: Json) -> str:
    if value.get("type") != "array":
        return _property(value)
    return ", ".join(filter(None, map(_rolled_up, value.get("array") or ())))


def _rolled_up(value: Json) -> str:
    return plain_text(value.get("title")) if value.get("type") == "title" else _property(value)


_PROPERTIES: Mapping[str, Callable[[Any], str]] = {
    "rich_text": _rich,
    "select": lambda value: str(value.get("name") or ""),
    "status": lambda value: str(value.get("name") or ""),
    "multi_select": _names,
    "people": _names,
    "files": _names,
    "date": _date,
    "formula": _property,
    "rollup": _rollup,
    "unique_id": unique_id_text,
    "verification": lambda value: str(value.get("state") or ""),
}
