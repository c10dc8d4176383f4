"""HTML by resiliparse: the main content of a page as text, headings marked as in Markdown.

Here belong the corrections to a page before its text is extracted. Nothing is fetched.
"""

import re
from importlib.metadata import version
from typing import TYPE_CHECKING

from rag_assets.parsers.html_metadata import html_metadata
from rag_assets.records import ParsedDocument
from rag_assets.text.decoding import decode_text

if TYPE_CHECKING:
    from resiliparse.parse.html import DocumentNode, ElementNode, HTMLTree

HEADINGS = "h1, h2, h3, h4, h5, h6"
_BLOCKS = f"{HEADINGS}, table, ul, ol, dl, pre, blockquote"
_LOOKS_LIKE_HEADING = re.compile(r"^#{1,6}[ \t]", re.MULTILINE)
_PERMALINKS = frozenset(("#", "¶", "§", "🔗", "\uf0c1"))
_NESTING_TAG = re.compile(r"<(/?)(?:div|article|section|blockquote|[uo]l|table|pre|h[1-6])\b", re.IGNORECASE)
_MAX_NESTING = 2_000
# Atomic groups: there are exponentially many ways to match a row of comments.
_START_OF_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*+(?:(?>(?><\?xml[^>]*>)|(?><!--.*?-->))\s*+)*+(?:<!doctype\s++html\b|<html[\s>])",
    re.IGNORECASE | re.DOTALL,
)
_MOST_BYTES_BEFORE_PAGE = 4_096


class HtmlParser:
    """Main content, or the whole body without one. Title: `<title>`, else the first `<h1>`."""

    name = "resiliparse"
    suffixes: tuple[str, ...] = (".html", ".htm", ".xhtml")

    def __init__(self) -> None:
        self.version = f"2/{version('resiliparse')}"

    def recognizes(self, data: bytes) -> bool:
        """See `RecognizesContent`. Only whole pages: any text may hold a few tags."""
        return looks_like_html(data)

    def parse(self, data: bytes, filename: str) -> ParsedDocument:
        from resiliparse.parse.html import HTMLTree

        del filename
        html = decode_text(data, html=True)
        tree = HTMLTree.parse(html)
        body = tree.body
        if body is None:
            return ParsedDocument(text="")
        metadata = html_metadata(tree)
        first_h1 = body.query_selector("h1")
        title = tree.title or (_one_line(first_h1) if first_h1 else "")
        text = "" if is_too_deep(html) else marked_text(tree, main_content=True)
        return ParsedDocument(text=text if text.strip() else plain_text(tree), title=title, metadata=metadata)


def looks_like_html(data: bytes) -> bool:
    """Return whether these bytes begin like a page, HTML or XHTML."""
    return _START_OF_PAGE.match(data[:_MOST_BYTES_BEFORE_PAGE].replace(b"\0", b"")) is not None


def marked_text(tree: "HTMLTree", *, main_content: bool) -> str:
    """Return the text of a page with its headings marked as in Markdown. Changes the page.

    Args:
        main_content: leave out navigation and other boilerplate.
    """
    document, body = tree.document, tree.body
    if document is None or body is None:
        return ""
    _mark_headings(body)
    _keep_code_apart(body)
    _keep_rows_on_one_line(body)
    if main_content:
        _keep_lists(document, body)
    return plain_text(tree, main_content=main_content)


def html_text(html: str) -> str:
    """Return the whole text of a page or a piece of one, with its headings marked as in Markdown."""
    from resiliparse.parse.html import HTMLTree

    return marked_text(HTMLTree.parse(html), main_content=False)


def plain_text(tree: "HTMLTree", *, main_content: bool = False) -> str:
    """Return the text of a page as it is, in linear time for every page."""
    from resiliparse.extract.html2text import (  # pyright: ignore[reportMissingModuleSource]
        extract_plain_text,
    )

    return extract_plain_text(tree, main_content=main_content)


def _one_line(element: "ElementNode") -> str:
    return " ".join(element.inner_text.split())


def _mark_headings(body: "ElementNode") -> None:
    for heading in body.query_selector_all(HEADINGS).values():
        for link in heading.query_selector_all("a").values():
            if _one_line(link) in _PERMALINKS:
                link.remove()
        title = _one_line(heading)
        # In a list item the mark would follow the bullet, where it is not recognized.
        if title and heading.closest("li") is None:
            heading.text_content = f"{'#' * int((heading.tag or 'h1')[1])} {title}"


def _keep_code_apart(body: "ElementNode") -> None:
    """Fence code with `# comments`, because they look like headings."""
    for pre in body.query_selector_all("pre").values():
        code = pre.text_content or ""
        if _LOOKS_LIKE_HEADING.search(code):
            pre.text_content = f"```\n{code.strip()}\n```"


def _keep_rows_on_one_line(body: "ElementNode") -> None:
    """Turn paragraphs and line breaks in a cell to spaces, unless the table serves as page layout."""
    for cell in body.query_selector_all("td, th").values():
        if cell.first_element_child is not None and cell.query_selector(_BLOCKS) is None:
            cell.text_content = _one_line(cell)


def _keep_lists(document: "DocumentNode", body: "ElementNode") -> None:
    """Wrap lists, because resiliparse (2.0.1) takes every `<ul>` near the body for navigation."""
    for bullets in body.query_selector_all("ul").values():
        parent = bullets.parent_element
        if parent is not None and parent.closest("ul") is None:
            outer, middle, inner = (document.create_element("div") for _ in range(3))
            bullets.replace_with(outer)
            outer.append_child(middle)
            middle.append_child(inner)
            inner.append_child(bullets)


def is_too_deep(html: str) -> bool:
    """Return whether anything beyond plain extraction could take minutes: it is quadratic in the depth."""
    depth = deepest = 0
    for tag in _NESTING_TAG.finditer(html):
        depth = max(depth - 1, 0) if tag[1] else depth + 1
        deepest = max(deepest, depth)
    return deepest > _MAX_NESTING
