"""Links and canonical URL of an HTML page.

The standard library's parser gets start tags only, each with a length limit. Otherwise a malicious page, for example
with a hundred thousand attributes, would block the refresh: links are parsed in its own process.
"""

import re
from dataclasses import dataclass
from html.parser import HTMLParser

from rag_assets.errors import DocumentUnreadable, FetchRefused
from rag_assets.sources.web.canonical import canonical_url
from rag_assets.text.decoding import decode_text

_MOST_BYTES = 4 * 1024 * 1024
_MOST_LINKS = 2_000
_TAG = re.compile(r"<(?:a|area|base|link)\s[^<>]{1,4000}>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PageLinks:
    """Canonical URLs.

    Attributes:
        canonical: URL in `<link rel="canonical">`, or "" without one.
        links: in the order of the page, without duplicates and without forbidden URLs.
    """

    canonical: str = ""
    links: tuple[str, ...] = ()


def page_links(html: bytes, url: str) -> PageLinks:
    """Return the links of a page.

    Args:
        url: URL of the page, base of relative links.
    """
    try:
        text = decode_text(html[:_MOST_BYTES], html=True)
    except DocumentUnreadable:
        return PageLinks()
    reader = _TagReader()
    reader.feed("".join(_TAG.findall(_without_comments(text))))
    base = _canonical(reader.base, url) or url
    links = (_canonical(link, base) for link in reader.links)
    return PageLinks(
        _canonical(reader.canonical, base), tuple(dict.fromkeys(filter(None, links)))[:_MOST_LINKS]
    )


class _TagReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.canonical = ""
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {
            name: value or "" for name, value in reversed(attrs)
        }  # the first of two equal attributes counts
        href = values.get("href", "").strip()
        if not href:
            return
        if tag == "base":
            self.base = self.base or href
        elif tag != "link":
            self.links.append(href)
        elif "canonical" in values.get("rel", "").lower().split():
            self.canonical = self.canonical or href


def _canonical(reference: str, base: str) -> str:
    if not reference or reference.startswith("#"):
        return ""
    try:
        return canonical_url(reference, base)
    except FetchRefused:
        return ""


def _without_comments(text: str) -> str:
    """Remove comments. A regular expression would take quadratic time."""
    kept: list[str] = []
    start = 0
    while (begin := text.find("<!--", start)) >= 0:
        end = text.find("-->", begin + 2)
        if end < 0:
            break
        kept.append(text[start:begin])
        start = end + 3
    return "".join([*kept, text[start:]])
