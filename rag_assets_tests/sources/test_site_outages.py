"""One listed page with status 404 or 410 is gone. Most pages of a site at once are an outage, and so is a site that is down."""

from pathlib import Path

import pytest

from rag_assets_tests.sources.small_refresh import SmallRefresh
from rag_assets_tests.sources.web.pages import html, source_of
from rag_assets_tests.web_site import Reply, WebSite

NAMES = ("one", "two", "three", "four", "five", "six")


@pytest.fixture
def refresh(tmp_path: Path) -> SmallRefresh:
    return SmallRefresh(tmp_path)


def publish(*sites: WebSite) -> None:
    for site in sites:
        for name in NAMES:
            site.page(f"/{name}", html(f"all about {name} at {site.port}"))


def urls(*sites: WebSite) -> list[str]:
    return [f"{site.url}/{name}" for site in sites for name in NAMES]


def take_away(site: WebSite, *names: str, status: int = 404) -> None:
    for name in names:
        site.replies[f"/{name}"] = Reply(b"not here", status)


def changed(site: WebSite, *names: str, to: str) -> dict[str, str]:
    return {f"{site.url.removeprefix('http://')}/{name}": to for name in names}


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("num_gone", [1, 4])
def test_some_pages_are_gone_and_are_counted_as_long_as_they_are_listed(
    site: WebSite, refresh: SmallRefresh, num_gone: int, status: int
) -> None:
    publish(site)
    refresh(source_of(urls=urls(site)))
    take_away(site, *NAMES[:num_gone], status=status)
    outcome = refresh(source_of(urls=urls(site)))
    assert (outcome.changes, outcome.problem) == (changed(site, *NAMES[:num_gone], to="deleted"), "")
    assert outcome.left_out == {"(gone)": num_gone}
    again = refresh(source_of(urls=urls(site)))
    assert (again.changes, again.left_out) == ({}, {"(gone)": num_gone})
    publish(site)
    assert refresh(source_of(urls=urls(site))).left_out == {}


@pytest.mark.parametrize("num_gone", [5, 6])
def test_most_pages_gone_at_once_stay_and_the_rest_is_refreshed(
    site: WebSite, other: WebSite, refresh: SmallRefresh, num_gone: int
) -> None:
    publish(site, other)
    refresh(source_of(urls=urls(site, other)))
    take_away(site, *NAMES[:num_gone])
    take_away(other, "one")
    other.page("/two", html("all about two, edited"))
    outcome = refresh(source_of(urls=urls(site, other)))
    assert outcome.changes == changed(other, "one", to="deleted") | changed(other, "two", to="updated")
    assert f"{num_gone} of 6 listed documents were not found" in outcome.problem
    assert outcome.left_out == {"(gone)": 1}
    again = refresh(source_of(urls=urls(site, other)))
    assert (again.changes, again.tokens) == ({}, outcome.tokens)
    admitted = refresh(source_of(urls=urls(site, other)), approved=outcome.tokens)
    assert admitted.changes == changed(site, *NAMES[:num_gone], to="deleted")
    assert admitted.problem == ""
    quiet = refresh(source_of(urls=urls(site, other)))
    assert (quiet.changes, quiet.problem) == ({}, "")


def test_pages_that_became_the_same_page_are_not_gone(site: WebSite, refresh: SmallRefresh) -> None:
    publish(site)
    refresh(source_of(urls=urls(site)))
    site.replies["/two"] = Reply(status=301, headers={"Location": "/one"})
    outcome = refresh(source_of(urls=urls(site)))
    assert (outcome.changes, outcome.left_out) == (changed(site, "two", to="deleted"), {})


def test_a_site_that_is_down_is_an_outage_of_its_own_pages(
    site: WebSite, other: WebSite, refresh: SmallRefresh
) -> None:
    publish(site, other)
    refresh(source_of(urls=urls(site, other)))
    take_away(other, "one")
    other.page("/two", html("all about two, edited"))
    with site.fails("error"):
        outcome = refresh(source_of(urls=urls(site, other)))
        assert outcome.changes == changed(other, "one", to="deleted") | changed(other, "two", to="updated")
        assert f"the site {site.url}: its robots.txt has status 500. 6 documents kept." in outcome.problem
        assert len(outcome.tokens) == 1
    again = refresh(source_of(urls=urls(site, other)))
    assert (again.changes, again.problem) == ({}, "")


def test_the_only_site_that_is_down_is_an_outage_of_the_source(site: WebSite, refresh: SmallRefresh) -> None:
    publish(site)
    refresh(source_of(urls=urls(site)))
    with site.fails("error"):
        outcome = refresh(source_of(urls=urls(site)))
    assert (outcome.changes, outcome.tokens) == ({}, frozenset())
    assert "its robots.txt has status 500" in outcome.problem
