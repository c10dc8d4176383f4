"""A sitemap that is suddenly empty or unreadable keeps its own pages. Those of the other sitemaps are refreshed."""

from pathlib import Path

import pytest

from rag_assets.sources.urls import UrlsSource
from rag_assets_tests.sources.small_refresh import SmallRefresh
from rag_assets_tests.sources.web.pages import html, sitemap, source_of
from rag_assets_tests.web_site import Reply, WebSite


class Site:
    """A site with an index of two sitemaps, of the pages /a1 to /a3 and /b1 to /b2."""

    def __init__(self, site: WebSite, folder: Path) -> None:
        self.web = site
        self.refresh = SmallRefresh(folder)
        self._folder = folder / "notes"
        self.publish("a", "a1", "a2", "a3")
        self.publish("b", "b1", "b2")
        index = "".join(f"<sitemap><loc>{site.url}/sitemap-{name}.xml</loc></sitemap>" for name in "ab")
        self.web.text("/sitemap.xml", f"<sitemapindex>{index}</sitemapindex>", "application/xml")

    def publish(self, name: str, *pages: str) -> None:
        for page in pages:
            self.web.page(f"/{page}", html(f"all about {page}"))
        text = sitemap(*(f"{self.web.url}/{page}" for page in pages))
        self.web.text(f"/sitemap-{name}.xml", text, "application/xml")

    def source(self) -> UrlsSource:
        return source_of(self._folder, sitemaps=[f"{self.web.url}/sitemap.xml"])

    def changed(self, *pages: str, to: str) -> dict[str, str]:
        return {f"{self.web.url.removeprefix('http://')}/{page}": to for page in pages}


@pytest.fixture
def published(site: WebSite, tmp_path: Path) -> Site:
    published = Site(site, tmp_path)
    assert published.refresh(published.source()).problem == ""
    return published


def fail(published: Site, name: str, how: str) -> None:
    path = f"/sitemap-{name}.xml"
    match how:
        case "empty":
            published.publish(name)
        case "plain text":
            published.web.text(path, "Service unavailable")
        case "missing":
            published.web.replies[path] = Reply(status=404)
        case _:
            published.web.text(path, "<html><body>Please log in.</body></html>", "text/html")


@pytest.mark.parametrize("how", ["empty", "plain text", "missing", "a login page"])
def test_pages_of_a_failed_sitemap_stay_and_the_others_are_refreshed(published: Site, how: str) -> None:
    fail(published, "b", how)
    published.publish("a", "a1", "a2")
    del published.web.replies["/a3"]
    published.web.page("/a1", html("all about a1, edited"))
    outcome = published.refresh(published.source())
    assert outcome.changes == {
        **published.changed("a1", to="updated"),
        **published.changed("a3", to="deleted"),
    }
    assert "/sitemap-b.xml" in outcome.problem
    assert "2 documents kept" in outcome.problem
    assert published.refresh(published.source()).changes == {}
    published.publish("b", "b1", "b2")
    again = published.refresh(published.source())
    assert (again.changes, again.problem) == ({}, "")


def test_an_unreadable_index_keeps_the_pages_below_it(published: Site) -> None:
    published.web.replies["/sitemap.xml"] = Reply(status=403)
    outcome = published.refresh(published.source())
    assert outcome.changes == {}
    assert "5 documents kept" in outcome.problem


def test_the_token_admits_the_loss_once_and_for_all(published: Site) -> None:
    fail(published, "b", "empty")
    tokens = published.refresh(published.source()).tokens
    outcome = published.refresh(published.source(), approved=tokens)
    assert outcome.changes == published.changed("b1", "b2", to="deleted")
    again = published.refresh(published.source())
    assert (again.changes, again.problem) == ({}, "")


def test_a_sitemap_that_was_always_empty_is_no_outage(published: Site) -> None:
    published.publish("b")
    tokens = published.refresh(published.source()).tokens
    published.refresh(published.source(), approved=tokens)
    published.publish("a", "a1")
    outcome = published.refresh(published.source())
    assert outcome.changes == published.changed("a2", "a3", to="deleted")
    assert outcome.problem == ""


def test_pages_that_moved_to_another_sitemap_are_not_withheld(published: Site) -> None:
    published.publish("b")
    published.publish("a", "a1", "a2", "a3", "b1", "b2")
    published.web.page("/b1", html("all about b1, edited"))
    outcome = published.refresh(published.source())
    assert (outcome.changes, outcome.problem) == (published.changed("b1", to="updated"), "")


@pytest.mark.parametrize("how", ["a login page", "missing"])
def test_a_page_that_moved_into_a_failed_sitemap_is_not_deleted(published: Site, how: str) -> None:
    """Sitemaps of a fixed size: after the removal of a page, all following pages move."""
    fail(published, "b", how)
    published.publish("a", "a1", "a2")
    published.web.page("/a3", html("all about a3, edited"))
    assert published.refresh(published.source()).changes == published.changed("a3", to="updated")
    published.web.page("/a3", html("all about a3, edited again"))
    assert published.refresh(published.source()).changes == published.changed("a3", to="updated")
    published.publish("b", "b1", "b2", "a3")
    again = published.refresh(published.source())
    assert (again.changes, again.problem) == (published.changed("a3", to="updated"), "")


def test_a_page_removed_during_the_outage_of_another_sitemap_is_deleted_after_it(published: Site) -> None:
    fail(published, "b", "missing")
    published.publish("a", "a1", "a2")
    assert published.refresh(published.source()).changes == {}
    published.publish("b", "b1", "b2")
    assert published.refresh(published.source()).changes == published.changed("a3", to="deleted")


def test_the_pages_of_a_sitemap_left_out_of_the_index_are_asked_for_during_an_outage(published: Site) -> None:
    """There may be fewer sitemaps of a fixed size: their pages have moved into the unreadable one."""
    fail(published, "a", "missing")
    index = f"<sitemapindex><sitemap><loc>{published.web.url}/sitemap-a.xml</loc></sitemap></sitemapindex>"
    published.web.text("/sitemap.xml", index, "application/xml")
    del published.web.replies["/b2"]
    assert published.refresh(published.source()).changes == published.changed("b2", to="deleted")
    assert published.refresh(published.source()).changes == {}
    published.publish("a", "a1", "a2", "a3", "b1")
    again = published.refresh(published.source())
    assert (again.changes, again.problem) == ({}, "")


def test_a_page_with_a_secret_in_its_url_stays_if_it_may_have_moved(published: Site) -> None:
    """Its secret is not stored, so it cannot be asked for."""
    published.web.page("/s?token=abcdefgh", html("all about a secret page"))
    published.publish("a", "a1", "a2", "a3", "s?token=abcdefgh")
    assert list(published.refresh(published.source()).changes.values()) == ["added"]
    fail(published, "b", "missing")
    published.publish("a", "a1", "a2", "a3")
    assert published.refresh(published.source()).changes == {}
    published.publish("b", "b1", "b2", "s?token=abcdefgh")
    assert published.refresh(published.source()).changes == {}


def test_an_unreadable_sitemap_without_memory_makes_the_source_incomplete(
    site: WebSite, tmp_path: Path
) -> None:
    published = Site(site, tmp_path)
    fail(published, "b", "missing")
    outcome = published.refresh(published.source())
    assert set(outcome.changes.values()) == {"added"}
    assert "/sitemap-b.xml cannot be read" in outcome.problem
