"""A web site with a sitemap index, sitemaps of two pages, and ETags."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rag_assets_tests.sources.scenes.base import Failure
from rag_assets_tests.web_site import Reply, WebSite

_PAGES_A_SITEMAP = 2


class UrlsScene:
    """Counts the transferred pages."""

    kind = "urls"
    keys = ("language", "")
    failures: tuple[Failure, ...] = ("refused", "forbidden", "error", "hang", "torn listing")

    def __init__(self, folder: Path) -> None:
        self.site = WebSite()
        self._names: list[str] = []
        self.site.text("/robots.txt", "User-agent: *\nDisallow: /private/\n")
        self._write_sitemaps()

    @property
    def num_bodies(self) -> int:
        return self.site.num_bodies

    def declaration(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "sitemaps": [f"{self.site.url}/sitemap.xml"],
            "allow_networks": [f"{self.site.address}/32"],
            "delay_seconds": 0,
            "timeout_seconds": 1,
        }

    def put(self, name: str, text: str) -> None:
        self.site.page(
            f"/{name}", f"<html><head><title>{name}</title></head><body><p>{text}</p></body></html>"
        )
        if name not in self._names:
            self._names.append(name)
        self._write_sitemaps()

    def describe(self, name: str, word: str, number: int) -> None:
        """Set the language, with a new ETag: the answer 304 has no new headers."""
        reply = self.site.replies[f"/{name}"]
        assert isinstance(reply, Reply)
        body = f"{reply.body.decode()}<!-- {number} -->"
        self.site.page(f"/{name}", body, **{"Content-Language": word})

    def remove(self, name: str) -> None:
        del self.site.replies[f"/{name}"]
        self._names.remove(name)
        self._write_sitemaps()

    @contextmanager
    def failing(self, how: Failure) -> Generator[None]:
        if how != "torn listing":
            with self.site.fails(how):
                yield
            return
        reply = self.site.replies["/sitemap-2.xml"]
        assert isinstance(reply, Reply)
        reply.torn = True
        try:
            yield
        finally:
            reply.torn = False

    def close(self) -> None:
        self.site.close()

    def _write_sitemaps(self) -> None:
        starts = range(0, len(self._names), _PAGES_A_SITEMAP)
        urls = [f"{self.site.url}/sitemap-{number}.xml" for number, _ in enumerate(starts, start=1)]
        self._xml("/sitemap.xml", "sitemapindex", "sitemap", urls)
        for number, start in enumerate(starts, start=1):
            names = self._names[start : start + _PAGES_A_SITEMAP]
            pages = [f"{self.site.url}/{name}" for name in names]
            self._xml(f"/sitemap-{number}.xml", "urlset", "url", pages)

    def _xml(self, path: str, root: str, item: str, urls: list[str]) -> None:
        items = "".join(f"<{item}><loc>{url}</loc></{item}>" for url in urls)
        xml = f'<?xml version="1.0"?><{root} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{items}</{root}>'
        self.site.text(path, xml, "application/xml")
