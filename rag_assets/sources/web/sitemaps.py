"""Sitemaps, sitemap indexes, and robots.txt as a list of sitemaps.

XML is parsed without entities and without a document type. Size and depth are limited.
"""

import io
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from rag_assets.errors import FetchFailed, FetchRefused, ResponseTooLarge
from rag_assets.sources.url_identity import UrlIdentity
from rag_assets.sources.web.canonical import canonical_url
from rag_assets.sources.web.fetched_page import canonical_or_none
from rag_assets.sources.web.page_notes import PageNote, PageNotes

MAX_SITEMAP_BYTES = 50 * 1024 * 1024
"""Uncompressed, the limit of the protocol."""

_MOST_SITEMAPS = 1_000
_MOST_URLS_EACH = 50_000
_DEEPEST = 3
_OF_A_SITEMAP = "sitemap"
"""Token of a note with the entries of a sitemap in place of the links of a page."""


@dataclass(slots=True)
class Sitemap:
    """Entries of one sitemap: pages and other sitemaps."""

    pages: list[str] = field(default_factory=list)
    sitemaps: list[str] = field(default_factory=list)


@dataclass(slots=True)
class FailedSitemap:
    """A sitemap that could not be read, or is suddenly empty, with its pages known from before.

    Attributes:
        shown: its URL without secrets.
        problem: a clause.
        pages: canonical URLs of its pages, of the sitemaps below it, and of pages that may have moved into it.
    """

    shown: str
    problem: str
    pages: set[str]
    is_empty: bool


class SitemapWalk:
    """A sitemap and all sitemaps below it.

    Args:
        fetch: returns the body of a sitemap.
        notes: the entries of each sitemap as they were before. The walk writes those of now.
        identity: removes secrets from the URLs in notes.

    Attributes:
        problems: a clause for each unreadable sitemap without a note.
        failed: unreadable or suddenly empty sitemaps with a note.
        met: canonical URLs of all sitemaps, also of those below a failed one.
    """

    def __init__(
        self,
        fetch: Callable[[str], bytes],
        notes: PageNotes | None = None,
        identity: UrlIdentity | None = None,
    ) -> None:
        self._fetch = fetch
        self._identity = identity or UrlIdentity()
        self._notes = notes or PageNotes(None)
        self.problems: list[str] = []
        self.failed: list[FailedSitemap] = []
        self.met: set[str] = set()

    def pages(self, url: str) -> Iterator[list[str]]:
        """Yield the pages of each sitemap, as written there."""
        seen: set[str] = set()
        entries_now: dict[str, tuple[str, ...]] = {}
        waiting = deque([(url, 0)])
        while waiting:
            text, depth = waiting.popleft()
            identity = ""
            try:
                address = canonical_url(text, url)
                if address in seen:
                    continue
                seen.add(address)
                identity = self._identity.of(address)
                self.met.add(identity)
                if len(seen) > _MOST_SITEMAPS or depth > _DEEPEST:
                    self.problems.append(f"the sitemap {_shown(url)} leads to too many other sitemaps")
                    return
                sitemap = parse_sitemap(self._fetch(address), address)
            except (FetchFailed, FetchRefused, ResponseTooLarge, ValueError) as error:
                if self._notes.get(identity) is None:
                    self.problems.append(f"the sitemap {_shown(text)} cannot be read: {error}")
                else:
                    self._keep_known(identity, f"it cannot be read: {error}", is_empty=False)
                continue
            urls = filter(None, map(canonical_or_none, (*sitemap.pages, *sitemap.sitemaps)))
            entries = tuple(map(self._identity.of, urls))
            known = self._notes.get(identity)
            if not entries and known is not None and known.links:
                self._keep_known(identity, "it is empty, and was not before", is_empty=True)
                continue
            entries_now[identity] = entries
            yield sitemap.pages
            waiting.extend((inner, depth + 1) for inner in sitemap.sitemaps)
        yield from self._moved_and_remembered(entries_now)

    def _moved_and_remembered(self, entries_now: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
        """Remember the entries, and yield pages that an unreadable sitemap may have now.

        Sitemaps of a fixed size pass pages on: after the removal of one page, all following pages move. So the earlier
        pages are requested all the same, and a status 404 shows that they are gone.
        """
        unreadable = [failed for failed in self.failed if not failed.is_empty]
        found = set(chain.from_iterable(entries_now.values())).union(
            *(failed.pages for failed in self.failed)
        )
        for identity, entries in entries_now.items():
            known = self._notes.get(identity) if unreadable else None
            left = [url for url in (known.links if known else ()) if url not in found]
            self._notes.put(PageNote(identity, _OF_A_SITEMAP, (*entries, *left)))
            sitemaps, pages = self._known_below(left)
            self.met |= sitemaps
            asked = {url for url in pages - found if self._identity.can_be_requested(url)}
            yield sorted(asked)
            for failed in unreadable[:1]:
                failed.pages |= pages - found - asked

    def _known_below(self, urls: Iterable[str]) -> tuple[set[str], set[str]]:
        """Return the sitemaps among these URLs and below them, and the pages, as they were before."""
        sitemaps, pages = set[str](), set[str]()
        waiting = list(urls)
        while waiting:
            url = waiting.pop()
            note = self._notes.get(url)
            if note is None or note.token != _OF_A_SITEMAP:
                pages.add(url)
            elif url not in sitemaps:
                sitemaps.add(url)
                waiting.extend(note.links)
        return sitemaps, pages

    def _keep_known(self, identity: str, problem: str, *, is_empty: bool) -> None:
        """Note a failed sitemap with its known pages."""
        sitemaps, pages = self._known_below([identity])
        self.met |= sitemaps
        self.failed.append(FailedSitemap(_shown(identity), problem, pages | sitemaps, is_empty))


def parse_sitemap(data: bytes, url: str) -> Sitemap:
    """Return the entries of a sitemap.

    Raises:
        ValueError: not a sitemap. The message is a clause.
    """
    data = _inflated(data) if data.startswith(b"\x1f\x8b") else data
    if url.partition("?")[0].endswith("/robots.txt"):
        return _of_robots(data)
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _of_xml(data)
    lines = [line.strip() for line in data.decode("utf-8-sig", "replace").splitlines()]
    return Sitemap(pages=_limited([line for line in lines if line.startswith(("http://", "https://"))]))


def _shown(url: str) -> str:
    """Remove possible secrets: the query, and user name and password."""
    return url.partition("?")[0].rpartition("@")[2]


def _of_robots(data: bytes) -> Sitemap:
    from protego import Protego

    sitemaps = list(Protego.parse(data.decode("utf-8-sig", "replace")).sitemaps)
    if not sitemaps:
        raise ValueError("robots.txt names no sitemap")
    return Sitemap(sitemaps=_limited(sitemaps))


def _of_xml(data: bytes) -> Sitemap:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    sitemap = Sitemap()
    path: list[str] = []
    try:
        for event, element in iterparse(io.BytesIO(data), ("start", "end"), forbid_dtd=True):
            if event == "start":
                path.append(element.tag.rpartition("}")[2].lower())
                if len(path) > 100:
                    raise ValueError("its elements are nested too deeply")
                continue
            text = (element.text or "").strip()
            # Images and videos have a `loc` of their own at a deeper level.
            if path[1:] == ["url", "loc"] and text:
                sitemap.pages.append(text)
            elif path[1:] == ["sitemap", "loc"] and text:
                sitemap.sitemaps.append(text)
            path.pop()
            if len(path) == 1:
                element.clear()
            if not path and element.tag.rpartition("}")[2].lower() not in ("urlset", "sitemapindex"):
                raise ValueError("its XML is not a sitemap")
    except ParseError:
        raise ValueError("it is not well-formed XML") from None
    except DefusedXmlException:
        raise ValueError("it declares a document type") from None
    _limited(sitemap.pages)
    _limited(sitemap.sitemaps)
    return sitemap


def _limited(urls: list[str]) -> list[str]:
    if len(urls) > _MOST_URLS_EACH:
        raise ValueError(f"it has more than {_MOST_URLS_EACH:,} URLs")
    return urls


def _inflated(data: bytes) -> bytes:
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        text = inflate.decompress(data, MAX_SITEMAP_BYTES + 1)
    except zlib.error:
        raise ValueError("it is not gzip") from None
    if len(text) > MAX_SITEMAP_BYTES:
        raise ValueError(f"it has more than {MAX_SITEMAP_BYTES:,} bytes")
    if not inflate.eof:
        raise ValueError("it is cut off")
    return text
