import contextlib
import gzip
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_assets.errors import DocumentGone, DocumentUnreadable, SourceUnavailable
from rag_assets.ingestion.ingestion import Ingestion
from rag_assets.ledgers.sqlite import SqliteLedger
from rag_assets.sources.urls import UrlsOptions
from rag_assets.text.store import TextStore
from rag_assets_tests.kept_workers import kept_workers
from rag_assets_tests.safe_http.test_safe_http import CANARY, HOSTS
from rag_assets_tests.sources.web.pages import html, paths, problem_of, read_all, sitemap, source_of
from rag_assets_tests.web_site import Reply, WebSite


def test_too_many_pages_make_the_listing_incomplete(site: WebSite) -> None:
    assert "max_pages" in problem_of(source_of(urls=[f"{site.url}/{n}" for n in range(4)], max_pages=3))


@pytest.mark.parametrize("network", ["10.1.0.1/16", "10.1", "localhost", ""])
def test_an_invalid_network_cannot_be_allowed(network: str) -> None:
    with pytest.raises(ValueError, match="allow_networks"):
        UrlsOptions(allow_networks=[network])  # pyright: ignore[reportArgumentType]


# Links


def test_links_are_followed_to_the_configured_depth_and_number(site: WebSite) -> None:
    site.page("/", html("home", ["/a", "b#x", "/picture.PNG", "mailto:a@example.com", "/style.css", "/a"]))
    site.page("/a", html("a", ["/a/deeper", "/"]))
    site.page("/b", html("b"))
    site.page("/a/deeper", html("deeper"))
    start = [f"{site.url}/"]
    assert paths(source_of(urls=start)) == ["/"]
    assert paths(source_of(urls=start, crawl_depth=1)) == ["/", "/a", "/b"]
    assert paths(source_of(urls=start, crawl_depth=2)) == ["/", "/a", "/a/deeper", "/b"]
    assert paths(source_of(urls=start, crawl_depth=2, crawl_pages=1)) == ["/", "/a"]
    assert paths(source_of(urls=start, crawl_depth=2, exclude=[f"{site.url}/a"])) == ["/", "/b"]


def test_links_and_their_redirects_stay_on_the_site(site: WebSite, other: WebSite) -> None:
    site.page("/", html("home", [f"{other.url}/far", "/away"]))
    site.replies["/away"] = Reply(status=302, headers={"Location": f"{other.url}/login"})
    other.page("/far", html("far"))
    other.page("/login", html("login"))
    source = source_of(urls=[f"{site.url}/"], crawl_depth=1)
    entries = {entry.uri: entry for entry in source.list_entries()}
    assert set(entries) == {f"{site.url}/", f"{site.url}/away"}
    with pytest.raises(DocumentUnreadable, match="another site"):
        source.read(entries[f"{site.url}/away"])
    assert other.paths == []
    # A page that is listed may move to another site.
    source = source_of(urls=[f"{site.url}/away"])
    assert read_all(source)[0] == {"/away": "login"}
    assert paths(source_of(urls=[f"{site.url}/"], crawl_depth=1, same_site=False)) == ["/", "/away", "/far"]


def test_a_crawled_page_is_fetched_only_once(site: WebSite) -> None:
    site.page("/", html("home", ["/a"]))
    site.page("/a", html("a"))
    texts, _ = read_all(source_of(urls=[f"{site.url}/"], crawl_depth=1))
    assert set(texts) == {"/", "/a"}
    assert site.num_bodies == 2


def test_links_of_an_unchanged_page_are_remembered(site: WebSite, tmp_path: Path) -> None:
    site.page("/", html("home", ["/a"]))
    site.page("/a", html("a", ["/b"]))
    site.page("/b", html("b"))
    options = {"urls": [f"{site.url}/"], "crawl_depth": 2}
    _, tokens = read_all(source_of(tmp_path / "notes", **options))
    transferred = site.num_bodies
    texts, again = read_all(source_of(tmp_path / "notes", **options), tokens)
    assert texts == {}
    assert again == tokens
    assert site.num_bodies == transferred
    # A link that is new is found, one that is gone is not remembered.
    site.page("/a", html("a", ["/c"]))
    site.page("/c", html("c"))
    texts, tokens = read_all(source_of(tmp_path / "notes", **options), tokens)
    assert set(texts) == {"/a", "/c"}
    assert set(tokens) == {"/", "/a", "/c"}


def test_a_broken_page_keeps_its_known_links(site: WebSite, tmp_path: Path) -> None:
    site.page("/", html("home", ["/a"]))
    site.page("/a", html("a"))
    options = {"urls": [f"{site.url}/"], "crawl_depth": 1}
    assert paths(source_of(tmp_path / "notes", **options)) == ["/", "/a"]
    site.replies["/"] = Reply(b"", 500)
    assert paths(source_of(tmp_path / "notes", **options)) == ["/", "/a"]
    # Nobody knows what it links to: then nothing may be deleted.
    assert "the links of" in problem_of(source_of(**options))
    site.replies["/"] = Reply(b"", 404)
    assert paths(source_of(tmp_path / "notes", **options)) == []


def test_forbidden_pages_are_still_listed(site: WebSite) -> None:
    site.page("/", html("home", ["/login"]))
    site.replies["/login"] = Reply(b"", 403)
    assert paths(source_of(urls=[f"{site.url}/"], crawl_depth=2)) == ["/", "/login"]


def test_http_and_https_are_one_document(site: WebSite) -> None:
    source = source_of(urls=[f"{site.url}/a", f"{site.url.replace('http:', 'https:')}/a"])
    assert paths(source) == ["/a"]


def canonical_link(url: str) -> str:
    return f'<link rel="canonical" href="{url}">'


@pytest.mark.parametrize("crawl_depth", [0, 1])
def test_pages_with_the_same_canonical_url_are_one_document(
    crawl_depth: int, site: WebSite, tmp_path: Path
) -> None:
    site.page("/a", html("the page"))
    site.page("/a?print", html("the page to print", head=canonical_link("/a")))
    site.replies["/old"] = Reply(status=301, headers={"Location": "/a"})
    for view in (1, 2):
        site.page(f"/b?view={view}", html(f"view {view}", head=canonical_link("/b")))
    names = ["/a?print", "/old", "/a", "/b?view=1", "/b?view=2"]
    options = {"urls": [site.url + name for name in names], "crawl_depth": crawl_depth}
    source = source_of(tmp_path / "notes", **options)
    texts, tokens = read_all(source)
    assert texts == {"/a": "the page", "/b?view=1": "view 1"}
    assert "the same page" in str(source.why_not_listed(f"{site.url}/b?view=2"))
    assert source.why_not_listed(f"{site.url}/a") is None
    # The same ones the next time, in any order, without a transfer.
    transferred = site.num_bodies
    options["urls"] = (
        [site.url + name for name in ("/b?view=2", *names)] if not crawl_depth else options["urls"]
    )
    texts, again = read_all(source_of(tmp_path / "notes", **options), tokens)
    assert (texts, again) == ({}, tokens)
    assert site.num_bodies == transferred
    # What was the same becomes a document of its own when the other is not listed any more.
    options["urls"] = [f"{site.url}/a?print"]
    assert read_all(source_of(tmp_path / "notes", **options))[0] == {"/a?print": "the page to print"}


def test_a_canonical_link_to_another_site_is_ignored(site: WebSite, other: WebSite) -> None:
    site.page("/a", html("a", head=canonical_link(f"{other.url}/b")))
    other.page("/b", html("b"))
    texts, _ = read_all(source_of(urls=[f"{site.url}/a", f"{other.url}/b"]))
    assert texts == {"/a": "a", "/b": "b"}


def test_pages_with_mutual_canonical_links_remain_one_document(site: WebSite) -> None:
    site.page("/a", html("a", head=canonical_link("/b")))
    site.page("/b", html("b", head=canonical_link("/a")))
    assert len(read_all(source_of(urls=[f"{site.url}/a", f"{site.url}/b"]))[0]) == 1
    assert len(read_all(source_of(urls=[f"{site.url}/a", f"{site.url}/b"], use_canonical=False))[0]) == 2


def test_a_chain_of_redirects_is_one_document(site: WebSite) -> None:
    site.page("/a", html("a", head=canonical_link("/b")))
    site.page("/b", html("b", head=canonical_link("/c")))
    site.page("/c", html("c"))
    for order in ("bac", "abc", "cab"):
        assert read_all(source_of(urls=[f"{site.url}/{page}" for page in order]))[0] == {"/c": "c"}


# Answers


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (404, DocumentGone, "unreadable"),
        (410, DocumentGone, "unreadable"),
        (401, DocumentUnreadable, "unreadable"),
        (403, DocumentUnreadable, "unreadable"),
        (451, DocumentUnreadable, "unreadable"),
        (500, DocumentUnreadable, "unreadable"),
        (302, DocumentUnreadable, "unreadable"),
        (304, DocumentUnreadable, "unreadable"),
    ],
)
def test_each_status_of_a_page_has_its_error(
    status: int, error: type[DocumentUnreadable], reason: str, site: WebSite
) -> None:
    site.replies["/a"] = Reply(b"no", status)
    source = source_of(urls=[f"{site.url}/a"])
    (entry,) = source.list_entries()
    with pytest.raises(DocumentUnreadable) as raised:
        source.read(entry)
    assert type(raised.value) is error
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(b"a" * 2_000), "too_large"),
        (Reply(gzip.compress(b"\0" * 20_000_000), headers={"Content-Encoding": "gzip"}), "too_large"),
        (Reply(drip=True), "unreadable"),
        (Reply(b"a", torn=True), "unreadable"),
        (Reply(status=301, headers={"Location": "/a"}), "unreadable"),
        (Reply(status=301, headers={"Location": "file:///etc/passwd"}), "unreadable"),
    ],
    ids=["long", "bomb", "drip", "torn", "circle", "file"],
)
def test_an_unreadable_page_affects_only_itself(reply: Reply, reason: str, site: WebSite) -> None:
    site.replies["/a"] = reply
    site.page("/b", html("b"))
    source = source_of(
        urls=[f"{site.url}/a", f"{site.url}/b"],
        max_bytes=1_500,
        timeout_seconds=0.5,
        page_timeout_seconds=0.5,
    )
    broken, whole = source.list_entries()
    with pytest.raises(DocumentUnreadable) as raised:
        source.read(broken)
    assert raised.value.reason == reason
    assert source.read(whole) is not None


def test_broken_pages_do_not_close_their_host(site: WebSite) -> None:
    for number in range(7):
        site.replies[f"/{number}"] = Reply(b"", 500)
    site.page("/a", html("a"))
    source = source_of(urls=[f"{site.url}/{name}" for name in [*range(7), "a"]])
    *broken, whole = source.list_entries()
    for entry in broken:
        with pytest.raises(DocumentUnreadable):
            source.read(entry)
    assert source.read(whole) is not None


def test_a_host_is_closed_after_three_failures_and_the_source_is_down_without_other_hosts(
    site: WebSite,
) -> None:
    source = source_of(urls=[f"{site.url}/{number}" for number in range(6)])
    entries = list(source.list_entries())
    with site.fails("error"):
        asked = len(site.requests)
        for entry in entries[:3]:
            with pytest.raises(DocumentUnreadable):
                source.read(entry)
        for entry in entries[3:]:
            with pytest.raises(SourceUnavailable):
                source.read(entry)
        assert site.paths[asked:] == ["/0", "/1", "/2", "/robots.txt"]


def test_a_host_that_is_down_does_not_affect_the_others(site: WebSite, other: WebSite) -> None:
    other.page("/a", html("a"))
    source = source_of(urls=[f"{site.url}/{number}" for number in range(6)] + [f"{other.url}/a"])
    entries = {entry.uri: entry for entry in source.list_entries()}
    with site.fails("refused"):
        for number in range(6):
            with pytest.raises(DocumentUnreadable):
                source.read(entries[f"{site.url}/{number}"])
    assert source.read(entries[f"{other.url}/a"]) is not None


def test_hosts_are_asked_in_parallel_with_one_request_each(
    site: WebSite, other: WebSite, tmp_path: Path
) -> None:
    both = threading.Barrier(2, timeout=20)
    inside = {site.url: 0, other.url: 0}
    met: list[int] = []

    def page_of(where: WebSite, number: int) -> None:
        def reply(headers: dict[str, str]) -> Reply:
            inside[where.url] += 1
            met.append(inside[where.url])
            both.wait()  # only goes on when the other host is asked as well
            time.sleep(0.1)  # long enough to meet another request to this host, if there were one
            inside[where.url] -= 1
            return Reply(html(f"page {number}").encode())

        where.replies[f"/{number}"] = reply

    for number in range(3):
        page_of(site, number)
        page_of(other, number)
    source = source_of(
        urls=[f"{where.url}/{number}" for where in (site, other) for number in range(3)], timeout_seconds=30
    )
    ledger = SqliteLedger(tmp_path / "ledger.sqlite", "one")
    documents = list(Ingestion([source], ledger, TextStore(tmp_path / "texts"), kept_workers).documents())
    ledger.close()
    assert len([document for document in documents if document.content_hash]) == 6
    assert set(met) == {1}


# What others write leads nowhere else


@pytest.fixture(scope="module")
def canary() -> Iterator[WebSite]:
    site = WebSite(CANARY)
    site.page("/", html("secret"))
    yield site
    site.close()


# The site itself is at 127.0.0.1, which is allowed here.
@pytest.mark.slow
@pytest.mark.parametrize("host", [host for host in HOSTS if host.lower() != "localhost"])
def test_no_sitemap_robots_txt_or_link_leads_to_a_private_address(
    host: str, canary: WebSite, site: WebSite
) -> None:
    from xml.sax.saxutils import escape

    before = canary.num_connections
    url = f"http://{host}:{canary.port}/"
    site.text("/robots.txt", f"Sitemap: {url}\nSitemap: {site.url}/sitemap.xml\n")
    site.text(
        "/sitemap.xml",
        f"<sitemapindex><sitemap><loc>{escape(url)}</loc></sitemap>"
        f"<sitemap><loc>{site.url}/sitemap-1.xml</loc></sitemap></sitemapindex>",
    )
    site.text("/sitemap-1.xml", sitemap(escape(url), f"{site.url}/a"))
    site.page("/a", html("a", [url], head=canonical_link(url)))
    source = source_of(sitemaps=[f"{site.url}/robots.txt"], urls=[url], crawl_depth=2, same_site=False)
    readable, refused = 0, []
    listed = []
    with contextlib.suppress(SourceUnavailable):
        listed.extend(source.list_entries())
    for entry in listed:
        try:
            readable += source.read(entry) is not None
        except DocumentUnreadable as error:
            refused.append(str(error))
    assert all("allow_networks" in message for message in refused)
    assert readable == 1
    assert canary.num_connections == before


def test_a_robots_txt_redirecting_to_a_private_address_is_ignored(canary: WebSite, site: WebSite) -> None:
    before = canary.num_connections
    site.replies["/robots.txt"] = Reply(status=302, headers={"Location": f"{canary.url}/"})
    assert paths(source_of(urls=[f"{site.url}/a"])) == ["/a"]
    assert canary.num_connections == before
