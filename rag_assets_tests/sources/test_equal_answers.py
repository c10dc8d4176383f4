"""A login or maintenance page in place of a site changes and deletes nothing."""

from pathlib import Path

import pytest

from rag_assets_tests.pipeline import words
from rag_assets_tests.sources.small_refresh import SmallRefresh
from rag_assets_tests.sources.web.pages import html, source_of
from rag_assets_tests.web_site import Reply, WebSite

NAMES = ("one", "two", "three", "four", "five")


@pytest.fixture
def refresh(tmp_path: Path) -> SmallRefresh:
    return SmallRefresh(tmp_path)


def publish(site: WebSite, *names: str) -> None:
    for name in names:
        site.page(f"/{name}", html(f"all about {name}"))


def urls(*sites: WebSite) -> list[str]:
    return [f"{site.url}/{name}" for site in sites for name in NAMES]


def wall(site: WebSite, how: str, *names: str) -> None:
    """Put a login page in place of some pages."""
    for name in names:
        if how == "one text":
            site.page(f"/{name}", html("please log in"))
        else:
            site.replies[f"/{name}"] = Reply(status=302, headers={"Location": "/login"})
    empty = how == "redirects to a page without text"
    site.page("/login", html("") if empty else html("please log in"))


@pytest.mark.parametrize("crawl_depth", [0, 1])
@pytest.mark.parametrize("num_replaced", [5, 4])
@pytest.mark.parametrize("how", ["one text", "redirects", "redirects to a page without text"])
def test_a_login_page_in_place_of_a_site_is_an_outage(
    how: str, num_replaced: int, crawl_depth: int, site: WebSite, refresh: SmallRefresh
) -> None:
    publish(site, *NAMES)
    assert refresh(source_of(urls=urls(site), crawl_depth=crawl_depth)).problem == ""
    before = dict(refresh.production)
    wall(site, how, *NAMES[:num_replaced])
    for _ in range(2):
        outcome = refresh(source_of(urls=urls(site), crawl_depth=crawl_depth))
        assert set(outcome.changes.values()) <= {"quarantined"}
        assert "login or maintenance page" in outcome.problem
        assert refresh.production == before
    publish(site, *NAMES)
    assert refresh(source_of(urls=urls(site), crawl_depth=crawl_depth)).changes == {}


def test_the_other_pages_are_refreshed_during_such_an_outage(
    site: WebSite, other: WebSite, refresh: SmallRefresh
) -> None:
    publish(site, *NAMES)
    publish(other, *NAMES)
    refresh(source_of(urls=urls(site, other)))
    wall(site, "one text", *NAMES)
    other.page("/one", html("all about one, edited"))
    del other.replies["/two"]
    outcome = refresh(source_of(urls=urls(site, other)))
    host = other.url.removeprefix("http://")
    assert outcome.changes == {f"{host}/one": "updated", f"{host}/two": "deleted"}
    assert site.url.removeprefix("http://") in outcome.problem


def test_a_site_that_became_one_page_is_admitted_with_the_token(site: WebSite, refresh: SmallRefresh) -> None:
    publish(site, *NAMES)
    refresh(source_of(urls=urls(site)))
    wall(site, "redirects", *NAMES)
    outcome = refresh(source_of(urls=urls(site)))
    admitted = refresh(source_of(urls=urls(site)), approved=outcome.tokens)
    assert admitted.problem == ""
    assert sorted(admitted.changes.values()) == ["deleted"] * 4 + ["updated"]


def test_pages_merged_with_another_one_are_no_outage(site: WebSite, refresh: SmallRefresh) -> None:
    publish(site, *NAMES)
    refresh(source_of(urls=urls(site)))
    site.replies["/two"] = Reply(status=301, headers={"Location": "/one"})
    site.replies["/three"] = Reply(status=301, headers={"Location": "/one"})
    outcome = refresh(source_of(urls=urls(site)))
    assert outcome.problem == ""
    assert list(outcome.changes.values()) == ["deleted", "deleted"]


def maintenance(site: WebSite) -> None:
    """Put a maintenance page in place of each page, with a number of its request."""

    def reply(headers: dict[str, str]) -> Reply:
        number = len(site.requests)
        text = f"The service is not available at the moment. Request {number}abc{number}, please try again later."
        return Reply(html(text).encode())

    for name in NAMES:
        site.replies[f"/{name}"] = reply


def test_a_maintenance_page_with_a_request_id_is_an_outage_until_its_token_admits_it(
    site: WebSite, refresh: SmallRefresh
) -> None:
    for name in NAMES:
        site.page(f"/{name}", html(" ".join(words(name, 12))))
    refresh(source_of(urls=urls(site)))
    before = dict(refresh.production)
    maintenance(site)
    outcomes = [refresh(source_of(urls=urls(site))) for _ in range(2)]
    assert refresh.production == before
    assert "almost the same page" in outcomes[0].problem
    assert len({outcome.tokens for outcome in outcomes}) == 1
    admitted = refresh(source_of(urls=urls(site)), approved=outcomes[0].tokens)
    assert (admitted.problem, set(admitted.changes.values())) == ("", {"updated"})
    again = refresh(source_of(urls=urls(site)))
    assert (again.problem, set(again.changes.values())) == ("", {"updated"})
