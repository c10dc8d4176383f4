"""State of one listing of web pages: found URLs, equal pages, and bodies on their way to the reader."""

import threading
from dataclasses import dataclass, field

from rag_assets.sources.base import Reading
from rag_assets.sources.web.canonical import document_path
from rag_assets.sources.web.sitemaps import FailedSitemap

_MOST_KEPT_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Run:
    """Knowledge since the listing began. Any number of threads may use it at once.

    Attributes:
        listed: document path -> URL of a document, as long as it is not the same as another one.
        addresses: document path -> URL to request, with its secrets.
        met: identities of all URLs, listed or not.
        followed: URLs known only from a link or a sitemap -> the site to stay on.
        same_as: document path -> document path of the same page.
        owners: document path of a canonical URL outside of the listing -> document path of its page.
        bodies: URL -> body fetched for its links, not read yet.
        crawled: document paths found by following links.
        problems: reasons why the listing is not complete, one clause each.
        closed_sites: origin -> reason, for hosts whose robots.txt cannot be read.
        failed_sitemaps: those whose pages are known from before.
    """

    listed: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)
    followed: dict[str, str] = field(default_factory=dict)
    same_as: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    bodies: dict[str, Reading] = field(default_factory=dict)
    kept_bytes: int = 0
    crawled: set[str] = field(default_factory=set)
    num_disallowed: int = 0
    problems: list[str] = field(default_factory=list)
    closed_sites: dict[str, str] = field(default_factory=dict)
    failed_sitemaps: list[FailedSitemap] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, url: str, reading: Reading) -> None:
        """Keep a body until it is read, if there is room."""
        with self.lock:
            if self.kept_bytes + len(reading.data) <= _MOST_KEPT_BYTES:
                self.kept_bytes += len(reading.data)
                self.bodies[url] = reading

    def take(self, url: str) -> Reading | None:
        """Return a kept body, and keep it no longer."""
        with self.lock:
            kept = self.bodies.pop(url, None)
            self.kept_bytes -= len(kept.data) if kept else 0
            return kept

    def is_another_document(self, path: str, own_url: str) -> bool:
        """Return whether a page is a document under another URL already. If not, claim its own URL for it.

        Two pages that name each other as canonical remain one document.

        Args:
            path: document path of the page.
            own_url: its canonical URL.
        """
        own = document_path(own_url)
        with self.lock:
            own = self._end_of(own)
            owner = own if own in self.listed else self._end_of(self.owners.setdefault(own, path))
            if path in (own, owner):
                return False
            self.same_as[path] = owner
            self.listed.pop(path, None)
            return True

    def documents_of_same_pages(self) -> dict[str, str]:
        """Return document path -> document path of the same page, which is a document."""
        with self.lock:
            return {path: self._end_of(path) for path in self.same_as}

    def _end_of(self, path: str) -> str:
        """Return the last document in a chain of equal pages."""
        while path in self.same_as:
            path = self.same_as[path]
        return path
