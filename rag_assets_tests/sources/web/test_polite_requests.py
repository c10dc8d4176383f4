"""robots.txt, pauses, and busy servers."""

from email.utils import format_datetime

import pytest

from rag_assets.errors import DocumentUnreadable, SourceUnavailable
from rag_assets_tests.sources.web.pages import html, paths, read_all, source_of
from rag_assets_tests.web_site import Reply, WebSite


def test_disallowed_pages_are_not_listed(site: WebSite) -> None:
    site.text("/robots.txt", "User-agent: *\nDisallow: /\n\nUser-agent: rag-assets\nDisallow: /private\n")
    urls = [f"{site.url}/a", f"{site.url}/private/b"]
    assert paths(source_of(urls=urls)) == ["/a"]
    assert paths(source_of(urls=urls, user_agent="other/1")) == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418])
def test_without_robots_txt_all_pages_are_allowed(status: int, site: WebSite) -> None:
    site.replies["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /", status)
    assert paths(source_of(urls=[f"{site.url}/a"])) == ["/a"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_unavailable_robots_txt_is_an_outage_of_its_site(
    status: int, site: WebSite, other: WebSite
) -> None:
    site.replies["/robots.txt"] = Reply(b"", status)
    source = source_of(urls=[f"{site.url}/a", f"{other.url}/b"])
    assert [entry.uri for entry in source.list_entries()] == [f"{other.url}/b"]
    [outage] = source.outages()
    assert (outage.place, outage.below) == (f"the site {site.url}", f"{site.url.removeprefix('http://')}/")
    assert "/a" not in site.paths


@pytest.mark.parametrize("status", [429, 500])
def test_an_unavailable_robots_txt_of_the_only_site_makes_the_listing_incomplete(
    status: int, site: WebSite
) -> None:
    site.replies["/robots.txt"] = Reply(b"", status)
    source = source_of(urls=[f"{site.url}/a"])
    with pytest.raises(SourceUnavailable, match=r"robots\.txt"):
        list(source.list_entries())
    assert source.outages() == []


def test_robots_txt_is_fetched_once_per_run_and_its_redirects_are_followed(
    site: WebSite, other: WebSite
) -> None:
    site.replies["/robots.txt"] = Reply(status=301, headers={"Location": f"{other.url}/rules"})
    other.text("/rules", "User-agent: *\nDisallow: /b\n")
    for page in "abc":
        site.page(f"/{page}", html(page))
    source = source_of(urls=[f"{site.url}/{page}" for page in "abc"])
    texts, _ = read_all(source)
    assert set(texts) == {"/a", "/c"}
    assert site.paths.count("/robots.txt") == 1
    read_all(source)
    assert site.paths.count("/robots.txt") == 2


def test_robots_txt_is_read_up_to_500_kib(site: WebSite) -> None:
    rules = "User-agent: *\n" + "# filled\n" * 60_000 + "Disallow: /\n"
    site.text("/robots.txt", rules)
    assert paths(source_of(urls=[f"{site.url}/a"])) == ["/a"]


def test_a_redirect_to_a_disallowed_page_is_not_followed(site: WebSite) -> None:
    site.text("/robots.txt", "User-agent: *\nDisallow: /private\n")
    site.replies["/a"] = Reply(status=302, headers={"Location": "/private"})
    source = source_of(urls=[f"{site.url}/a"])
    (entry,) = source.list_entries()
    with pytest.raises(DocumentUnreadable, match="robots"):
        source.read(entry)
    assert "/private" not in site.paths


@pytest.mark.parametrize(("wanted", "delay"), [("7", 7.0), ("0.5", 2.0), ("3600", 30.0)])
def test_pauses_follow_the_crawl_delay_of_robots_txt_within_limits(
    wanted: str, delay: float, site: WebSite, waits: list[float]
) -> None:
    site.text("/robots.txt", f"User-agent: *\nCrawl-delay: {wanted}\n")
    for page in "ab":
        site.page(f"/{page}", html(page))
    read_all(source_of(urls=[f"{site.url}/{page}" for page in "ab"], delay_seconds=2))
    assert len(waits) == 1
    assert delay - 1 < waits[0] <= delay


def busy(site: WebSite, times: int, status: int, retry_after: str) -> None:
    left = [times]

    def reply(headers: dict[str, str]) -> Reply:
        left[0] -= 1
        if left[0] >= 0:
            return Reply(b"busy", status, headers={"Retry-After": retry_after})
        return Reply(html("a").encode())

    site.replies["/a"] = reply


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_after_its_delay(status: int, site: WebSite, waits: list[float]) -> None:
    busy(site, 2, status, "7")
    assert read_all(source_of(urls=[f"{site.url}/a"]))[0] == {"/a": "a"}
    assert waits == [7.0, 7.0]


def test_a_server_that_stays_busy_is_not_asked_for_ever(site: WebSite, waits: list[float]) -> None:
    busy(site, 100, 429, "3")
    source = source_of(urls=[f"{site.url}/a"])
    (entry,) = source.list_entries()
    with pytest.raises(DocumentUnreadable, match="429"):
        source.read(entry)
    assert waits == [3.0, 3.0]


@pytest.mark.parametrize("retry_after", ["3600", "date"])
def test_a_server_with_a_long_delay_is_not_asked_again_in_this_run(
    retry_after: str, site: WebSite, waits: list[float]
) -> None:
    from datetime import UTC, datetime, timedelta

    if retry_after == "date":
        retry_after = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    busy(site, 1, 503, retry_after)
    source = source_of(urls=[f"{site.url}/a", f"{site.url}/b"])
    first, second = source.list_entries()
    with pytest.raises(DocumentUnreadable):
        source.read(first)
    with pytest.raises(SourceUnavailable, match="asks for a pause of"):
        source.read(second)
    assert waits == []
    assert "/b" not in site.paths
