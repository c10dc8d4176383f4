import contextlib
import gzip
import json
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_assets.errors import DocumentGone, DocumentUnreadable, FetchRefused, SourceUnavailable
from rag_assets.ingestion.ingestion import Ingestion
from rag_assets.inspection.dry_run import dry_run
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.sqlite import SqliteLedger
from rag_assets.parsers import parse_document
from rag_assets.settings import load_settings
from rag_assets.sources.urls import UrlsOptions, UrlsSource
from rag_assets.sources.web import polite
from rag_assets.sources.web.canonical import canonical_url, filename_of, may_be_page
from rag_assets.sources.web.page_links import page_links
from rag_assets.sources.web.page_notes import PageNote, PageNotes
from rag_assets.sources.web.sitemaps import parse_sitemap
from rag_assets.text.store import TextStore
from rag_assets_tests.safe_http.test_safe_http import CANARY, HOSTS, SITE
from rag_assets_tests.web_site import Reply, WebSite


@pytest.fixture
def site() -> Iterator[WebSite]:
    site = WebSite(SITE)
    yield site
    site.close()


@pytest.fixture
def other() -> Iterator[WebSite]:
    site = WebSite(SITE)
    yield site
    site.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were slept, which nobody has to wait for."""
    seconds: list[float] = []
    monkeypatch.setattr(polite, "sleep", seconds.append)
    return seconds


def source_of(folder: Path | None = None, **options: object) -> UrlsSource:
    source = UrlsSource(
        "web",
        UrlsOptions(
            **{
                "allow_networks": [f"{SITE}/32"],
                "delay_seconds": 0,
                "timeout_seconds": 2,
                "page_timeout_seconds": 5,
                **options,
            }  # pyright: ignore[reportArgumentType]
        ),
    )
    if folder is not None:
        source.use_folder(folder)
    return source


def html(text: str, links: Sequence[str] = (), head: str = "") -> str:
    anchors = "".join(f'<a href="{link}">a link</a> ' for link in links)
    return f"<html><head><title>T</title>{head}</head><body><p>{text}</p>{anchors}</body></html>"


def sitemap(*urls: str) -> str:
    return f"<urlset>{''.join(f'<url><loc>{url}</loc></url>' for url in urls)}</urlset>"


def paths(source: UrlsSource) -> list[str]:
    """Document paths without the host, as listed."""
    return sorted("/" + entry.path.partition("/")[2] for entry in source.list_entries())


def read_all(
    source: UrlsSource, known: dict[str, str] | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """Return path -> text of what was read, and path -> token of everything, as a refresh does it."""
    texts, tokens = {}, {}
    for entry in list(source.list_entries()):
        path = "/" + entry.path.partition("/")[2]
        before = (known or {}).get(path, "")
        if before and entry.version_token == before:
            tokens[path] = before
            continue
        try:
            reading = source.read(entry, before)
        except DocumentGone:
            continue
        tokens[path] = reading.version_token if reading else before
        if reading:
            texts[path] = parse_document(reading.data, reading.filename).text
    return texts, tokens


def problem_of(source: UrlsSource) -> str:
    with pytest.raises(SourceUnavailable) as error:
        list(source.list_entries())
    return str(error.value)


# The list


def test_the_file_and_the_option_name_pages(site: WebSite, tmp_path: Path) -> None:
    file = tmp_path / "urls.txt"
    file.write_text(f"\ufeff# pages\n\n{site.url}/a # the first\n  {site.url}/b?x=1#part\n{site.url}/a#x\n")
    source = source_of(file=file, urls=[f"{site.url}/c"])
    entries = list(source.list_entries())
    assert [entry.uri for entry in entries] == [f"{site.url}/a", f"{site.url}/b?x=1", f"{site.url}/c"]
    assert entries[1].document_id == f"web:{SITE}:{site.port}/b?x=1"
    assert {entry.version_token for entry in entries} == {""}
    assert [entry.filename for entry in entries] == ["a.html", "b.html", "c.html"]


def test_without_anything_to_read_the_source_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "data/urls_to_scrape.txt" in problem_of(source_of())
    assert "absent.txt" in problem_of(source_of(file=tmp_path / "absent.txt", urls=["http://127.0.0.1/"]))


def test_a_default_file_that_is_absent_is_no_error_if_there_are_other_pages(
    site: WebSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paths(source_of(urls=[f"{site.url}/a"])) == ["/a"]


def test_a_line_that_is_no_url_costs_only_the_deletions(site: WebSite, tmp_path: Path) -> None:
    file = tmp_path / "urls.txt"
    file.write_text(f"{site.url}/a\nhttp://user:secret@example.com/\n{site.url}/b\n")
    source = source_of(file=file)
    listed = []
    with pytest.raises(SourceUnavailable, match="line 2") as error:
        listed.extend(source.list_entries())
    assert "secret" not in str(error.value)


def test_too_many_pages_are_an_incomplete_listing(site: WebSite) -> None:
    assert "max_pages" in problem_of(source_of(urls=[f"{site.url}/{n}" for n in range(4)], max_pages=3))


@pytest.mark.parametrize("network", ["10.1.0.1/16", "10.1", "localhost", ""])
def test_what_is_no_network_cannot_be_allowed(network: str) -> None:
    with pytest.raises(ValueError, match="allow_networks"):
        UrlsOptions(allow_networks=[network])  # pyright: ignore[reportArgumentType]


# robots.txt


def test_what_robots_may_not_read_is_not_listed(site: WebSite) -> None:
    site.text("/robots.txt", "User-agent: *\nDisallow: /\n\nUser-agent: rag-assets\nDisallow: /private\n")
    urls = [f"{site.url}/a", f"{site.url}/private/b"]
    assert paths(source_of(urls=urls)) == ["/a"]
    assert paths(source_of(urls=urls, user_agent="other/1")) == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418])
def test_without_robots_everything_may_be_read(status: int, site: WebSite) -> None:
    site.replies["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /", status)
    assert paths(source_of(urls=[f"{site.url}/a"])) == ["/a"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_as_long_as_robots_cannot_be_had_the_source_is_incomplete(
    status: int, site: WebSite, other: WebSite
) -> None:
    site.replies["/robots.txt"] = Reply(b"", status)
    source = source_of(urls=[f"{site.url}/a", f"{other.url}/b"])
    listed = []
    with pytest.raises(SourceUnavailable, match=r"robots\.txt"):
        listed.extend(entry.uri for entry in source.list_entries())
    assert "/a" not in site.paths


def test_robots_is_asked_for_once_a_run_and_follows_redirects(site: WebSite, other: WebSite) -> None:
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


def test_more_than_500_kib_of_robots_are_not_read(site: WebSite) -> None:
    rules = "User-agent: *\n" + "# filled\n" * 60_000 + "Disallow: /\n"
    site.text("/robots.txt", rules)
    assert paths(source_of(urls=[f"{site.url}/a"])) == ["/a"]


def test_a_redirect_to_what_robots_may_not_read_is_not_followed(site: WebSite) -> None:
    site.text("/robots.txt", "User-agent: *\nDisallow: /private\n")
    site.replies["/a"] = Reply(status=302, headers={"Location": "/private"})
    source = source_of(urls=[f"{site.url}/a"])
    (entry,) = source.list_entries()
    with pytest.raises(DocumentUnreadable, match="robots"):
        source.read(entry)
    assert "/private" not in site.paths


@pytest.mark.parametrize(("wanted", "delay"), [("7", 7.0), ("0.5", 2.0), ("3600", 30.0)])
def test_pauses_are_as_long_as_robots_wants_within_bounds(
    wanted: str, delay: float, site: WebSite, waits: list[float]
) -> None:
    site.text("/robots.txt", f"User-agent: *\nCrawl-delay: {wanted}\n")
    for page in "ab":
        site.page(f"/{page}", html(page))
    read_all(source_of(urls=[f"{site.url}/{page}" for page in "ab"], delay_seconds=2))
    assert len(waits) == 1
    assert delay - 1 < waits[0] <= delay


# Sitemaps


def test_an_index_leads_to_sitemaps_compressed_ones_too(site: WebSite) -> None:
    site.text(
        "/sitemap.xml",
        f"<sitemapindex xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>"
        f"<sitemap><loc>{site.url}/sitemap-1.xml.gz</loc></sitemap>"
        f"<sitemap><loc>{site.url}/sitemap-2.txt</loc></sitemap></sitemapindex>",
    )
    site.replies["/sitemap-1.xml.gz"] = Reply(
        gzip.compress(sitemap(f"{site.url}/a", f"{site.url}/b?x=1&amp;y=2").encode()),
        content_type="application/gzip",
    )
    site.text("/sitemap-2.txt", f"{site.url}/c\n\n{site.url}/a\n")
    assert paths(source_of(sitemaps=[f"{site.url}/sitemap.xml"])) == ["/a", "/b?x=1&y=2", "/c"]


def test_robots_leads_to_sitemaps(site: WebSite) -> None:
    site.text("/robots.txt", f"Sitemap: {site.url}/sitemap.xml\n")
    site.text("/sitemap.xml", sitemap(f"{site.url}/a"))
    assert paths(source_of(sitemaps=[f"{site.url}/robots.txt"])) == ["/a"]
    site.text("/robots.txt", "User-agent: *\n")
    assert "names no sitemap" in problem_of(source_of(sitemaps=[f"{site.url}/robots.txt"]))


def test_a_sitemap_that_cannot_be_read_leaves_the_others(site: WebSite) -> None:
    site.text("/sitemap-a.xml", sitemap(f"{site.url}/a"))
    site.text("/sitemap-b.xml", "<urlset><url><loc>http")
    source = source_of(sitemaps=[f"{site.url}/sitemap-{name}.xml" for name in ("b", "absent", "a")])
    listed = []

    with pytest.raises(SourceUnavailable, match="and 1 more"):
        listed.extend(entry.uri for entry in source.list_entries())
    assert listed == [f"{site.url}/a"]


def test_pages_on_other_sites_are_left_out_of_a_sitemap(site: WebSite, other: WebSite) -> None:
    site.text("/sitemap.xml", sitemap(f"{site.url}/a", f"{other.url}/b"))
    assert paths(source_of(sitemaps=[f"{site.url}/sitemap.xml"])) == ["/a"]
    assert paths(source_of(sitemaps=[f"{site.url}/sitemap.xml"], same_site=False)) == ["/a", "/b"]
    site.text("/sitemap.xml", sitemap(f"{other.url}/b"))
    assert "same_site" in problem_of(source_of(sitemaps=[f"{site.url}/sitemap.xml"]))


def test_sitemaps_that_lead_in_a_circle_or_ever_deeper_come_to_an_end(site: WebSite) -> None:
    def index(to: str) -> str:
        return f"<sitemapindex><sitemap><loc>{site.url}{to}</loc></sitemap></sitemapindex>"

    site.text("/sitemap.xml", index("/sitemap.xml"))
    assert paths(source_of(sitemaps=[f"{site.url}/sitemap.xml"])) == []
    for number in range(10):
        site.text(f"/sitemap-{number}.xml", index(f"/sitemap-{number + 1}.xml"))
    assert "too many" in problem_of(source_of(sitemaps=[f"{site.url}/sitemap-0.xml"]))
    assert "/sitemap-5.xml" not in site.paths


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE u [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>',
        b'<!DOCTYPE u [<!ENTITY a SYSTEM "file:///etc/passwd">]><urlset><url><loc>&a;</loc></url></urlset>',
        b'<!DOCTYPE u SYSTEM "http://127.0.0.2/x.dtd"><urlset></urlset>',
        b"<urlset>" + b"<a>" * 200_000,
        b"<html><body>Not found</body></html>",
        gzip.compress(b"<urlset></urlset>")[:-4],
        gzip.compress(b" " * 60_000_000),
        b"<urlset>" + b"<url><loc>http://example.com/</loc></url>" * 50_001 + b"</urlset>",
    ],
    ids=["entities", "external", "dtd", "deep", "html", "torn gzip", "bomb", "long"],
)
def test_what_is_no_sitemap_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_sitemap(data, "http://example.com/sitemap.xml")


# Links


def test_links_are_followed_as_deep_and_as_far_as_is_said(site: WebSite) -> None:
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


def test_what_was_fetched_for_its_links_is_not_fetched_again_to_be_read(site: WebSite) -> None:
    site.page("/", html("home", ["/a"]))
    site.page("/a", html("a"))
    texts, _ = read_all(source_of(urls=[f"{site.url}/"], crawl_depth=1))
    assert set(texts) == {"/", "/a"}
    assert site.num_bodies == 2


def test_links_survive_that_a_page_is_not_sent_again(site: WebSite, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("damage", ["absent", "empty", "torn", "other"])
def test_notes_that_are_lost_or_damaged_cost_only_transfers(
    damage: str, site: WebSite, tmp_path: Path
) -> None:
    site.page("/", html("home", ["/a"]))
    site.page("/a", html("a"))
    options = {"urls": [f"{site.url}/"], "crawl_depth": 1}
    folder = tmp_path / "state" / "sources" / "web"
    _, tokens = read_all(source_of(folder, **options))
    notes = list(folder.iterdir())
    assert notes
    for note in notes:
        if damage == "absent":
            note.unlink()
        else:
            note.write_bytes({"empty": b"", "torn": note.read_bytes()[:20], "other": b'{"url": 1}'}[damage])
    texts, again = read_all(source_of(folder, **options), tokens)
    assert texts == {}
    assert again == tokens


def test_a_broken_page_keeps_what_it_linked_to(site: WebSite, tmp_path: Path) -> None:
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


def test_pages_without_links_that_are_forbidden_are_listed_still(site: WebSite) -> None:
    site.page("/", html("home", ["/login"]))
    site.replies["/login"] = Reply(b"", 403)
    assert paths(source_of(urls=[f"{site.url}/"], crawl_depth=2)) == ["/", "/login"]


def test_a_page_that_is_made_to_be_slow_is_not() -> None:
    attributes = " ".join(f"a{number}=1" for number in range(200_000))
    for page in (f"<a {attributes} href=/x>", "<!--" * 500_000, "<a " * 500_000, "<" * 1_000_000):
        assert page_links(page.encode(), "http://example.com/").links == ()


def test_links_are_read_as_browsers_read_them() -> None:
    page = """<base href="/docs/"><a href="a">1</a><A CLASS=x HREF='b?x=1&amp;y=2#z'>2</A><area href=/c>
        <a href="#top">3</a><!-- <a href="hidden"> --><a name=x>4</a><a href="http://[::1/">5</a>
        <a href="//other.example/d">6</a><a href="javascript:void(0)">7</a><a href="  e  ">8</a>
        <link rel="stylesheet canonical" href="/canonical"><link rel="canonical" href="/second">"""
    found = page_links(page.encode(), "http://example.com/start/")
    assert found.canonical == "http://example.com/canonical"
    assert found.links == (
        "http://example.com/docs/a",
        "http://example.com/docs/b?x=1&y=2",
        "http://example.com/c",
        "http://other.example/d",
        "http://example.com/docs/e",
    )


# One document a page


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("HTTP://Example.COM", "http://example.com/"),
        ("http://example.com:80/a/../b/./c#d", "http://example.com/b/c"),
        ("https://example.com:443/", "https://example.com/"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("http://example.com/%7euser/%c3%a4%2f", "http://example.com/~user/%C3%A4%2F"),
        ("http://example.com/ä b", "http://example.com/%C3%A4%20b"),
        ("http://example.com/?utm_source=x&a=1&UTM_Campaign=y&fbclid=z&b", "http://example.com/?a=1&b"),
        ("http://example.com/?", "http://example.com/"),
        ("http://example.com/?b=2&a=1", "http://example.com/?b=2&a=1"),
        ("http://example.com/A", "http://example.com/A"),
        ("http://example.com/?q=utm_source=1", "http://example.com/?q=utm_source=1"),
    ],
)
def test_each_url_is_written_in_one_way(text: str, canonical: str) -> None:
    assert canonical_url(text) == canonical
    assert canonical_url(canonical) == canonical


@given(st.text(alphabet="abAB09/%.?&=#~-_ äutmf:;,", max_size=40))
def test_what_is_canonical_stays_as_it_is(rest: str) -> None:
    try:
        once = canonical_url(f"http://example.com/{rest}")
    except FetchRefused:
        return
    assert canonical_url(once) == once


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
    # And the same ones the next time, in whatever order, with nothing transferred.
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


def test_a_canonical_link_to_another_site_is_not_believed(site: WebSite, other: WebSite) -> None:
    site.page("/a", html("a", head=canonical_link(f"{other.url}/b")))
    other.page("/b", html("b"))
    texts, _ = read_all(source_of(urls=[f"{site.url}/a", f"{other.url}/b"]))
    assert texts == {"/a": "a", "/b": "b"}


def test_pages_that_call_each_other_canonical_remain_one_document(site: WebSite) -> None:
    site.page("/a", html("a", head=canonical_link("/b")))
    site.page("/b", html("b", head=canonical_link("/a")))
    assert len(read_all(source_of(urls=[f"{site.url}/a", f"{site.url}/b"]))[0]) == 1
    assert len(read_all(source_of(urls=[f"{site.url}/a", f"{site.url}/b"], use_canonical=False))[0]) == 2


def test_pages_that_lead_from_one_to_the_next_are_one_document(site: WebSite) -> None:
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
def test_what_an_answer_means_for_a_page(
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
def test_a_page_that_cannot_be_read_harms_only_itself(reply: Reply, reason: str, site: WebSite) -> None:
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


def test_one_broken_page_after_another_is_not_a_host_that_is_down(site: WebSite) -> None:
    for number in range(7):
        site.replies[f"/{number}"] = Reply(b"", 500)
    site.page("/a", html("a"))
    source = source_of(urls=[f"{site.url}/{name}" for name in [*range(7), "a"]])
    *broken, whole = source.list_entries()
    for entry in broken:
        with pytest.raises(DocumentUnreadable):
            source.read(entry)
    assert source.read(whole) is not None


def test_a_host_that_is_down_is_not_asked_again_and_is_the_end_when_it_is_the_only_one(site: WebSite) -> None:
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


def test_a_host_that_is_down_leaves_the_others(site: WebSite, other: WebSite) -> None:
    other.page("/a", html("a"))
    source = source_of(urls=[f"{site.url}/{number}" for number in range(6)] + [f"{other.url}/a"])
    entries = {entry.uri: entry for entry in source.list_entries()}
    with site.fails("refused"):
        for number in range(6):
            with pytest.raises(DocumentUnreadable):
                source.read(entries[f"{site.url}/{number}"])
    assert source.read(entries[f"{other.url}/a"]) is not None


def busy(site: WebSite, times: int, status: int, retry_after: str) -> None:
    left = [times]

    def reply(headers: dict[str, str]) -> Reply:
        left[0] -= 1
        if left[0] >= 0:
            return Reply(b"busy", status, headers={"Retry-After": retry_after})
        return Reply(html("a").encode())

    site.replies["/a"] = reply


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_is_busy_is_asked_again_when_it_says(
    status: int, site: WebSite, waits: list[float]
) -> None:
    busy(site, 2, status, "7")
    assert read_all(source_of(urls=[f"{site.url}/a"]))[0] == {"/a": "a"}
    assert waits == [7.0, 7.0]


def test_a_server_that_remains_busy_is_left_alone(site: WebSite, waits: list[float]) -> None:
    busy(site, 100, 429, "3")
    source = source_of(urls=[f"{site.url}/a"])
    (entry,) = source.list_entries()
    with pytest.raises(DocumentUnreadable, match="429"):
        source.read(entry)
    assert waits == [3.0, 3.0]


@pytest.mark.parametrize("retry_after", ["3600", "date"])
def test_a_server_that_wants_to_be_left_alone_for_long_is_not_asked_again_in_this_run(
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
    with pytest.raises(SourceUnavailable, match="asked again"):
        source.read(second)
    assert waits == []
    assert "/b" not in site.paths


# Bytes and names


def test_the_charset_that_a_server_declares_counts(site: WebSite) -> None:
    text = "<p>Größe: 5 €</p>"
    site.replies["/header"] = Reply(
        f'<meta charset="utf-8">{text}'.encode("iso8859-15"), content_type="text/html; charset=ISO-8859-15"
    )
    site.replies["/meta"] = Reply(
        f'<meta charset="windows-1252">{text}'.encode("cp1252"), content_type="text/html"
    )
    site.replies["/koi"] = Reply(
        "<p>Привет, мир</p>".encode("koi8-r"), content_type='text/html; charset="koi8-r"'
    )
    site.replies["/wrong"] = Reply(text.encode(), content_type="text/html; charset=klingon")
    texts, _ = read_all(source_of(urls=[site.url + path for path in site.replies]))
    assert texts == {
        "/header": "Größe: 5 €",
        "/meta": "Größe: 5 €",
        "/koi": "Привет, мир",
        "/wrong": "Größe: 5 €",
    }


@pytest.mark.parametrize(
    ("path", "content_type", "filename"),
    [
        ("/", "text/html; charset=utf-8", "index.html"),
        ("/guide/", "text/html", "index.html"),
        ("/guide", "text/html", "guide.html"),
        ("/guide.php?x=1", "text/html", "guide.php.html"),
        ("/v1.2", "text/html", "v1.2.html"),
        ("/README.md", "text/plain", "README.md"),
        ("/README.md", None, "README.md"),
        ("/README.md", "text/html", "README.md.html"),
        ("/report", "application/pdf", "report.pdf"),
        ("/report.pdf", "application/octet-stream", "report.pdf"),
        ("/data", "application/json", "data.json"),
        ("/notes", "text/plain", "notes.txt"),
        ("/page.htm", "text/html", "page.htm.html"),
        (
            "/letter",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "letter.docx",
        ),
        ("/odd", "x/y", "odd"),
        # Before it is asked it may be a page about a picture.
        ("/wiki/File:Plan.png", None, "File:Plan.png.html"),
        ("/wiki/File:Plan.png", "text/html; charset=utf-8", "File:Plan.png.html"),
        ("/plan.png", "image/png", "plan.png"),
    ],
)
def test_the_filename_tells_the_parser(path: str, content_type: str | None, filename: str) -> None:
    assert filename_of(f"http://example.com{path}", content_type) == filename


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a", True),
        ("/a.php", True),
        ("/v1.2", True),
        ("/a.pdf?x", True),
        ("/a.docx", True),
        ("/a.json", True),
    ]
    + [(f"/a.{name}", False) for name in ("png", "JPG", "svg", "mp4", "css", "js", "zip", "tar.gz", "woff2")],
)
def test_only_what_may_be_a_document_is_followed(path: str, expected: bool) -> None:
    assert may_be_page(f"http://example.com{path}") is expected


def test_pages_without_validators_are_compared_by_their_bytes(site: WebSite) -> None:
    site.page("/a", html("a"), etag=False)
    options = {"urls": [f"{site.url}/a"]}
    texts, tokens = read_all(source_of(**options))
    assert texts == {"/a": "a"}
    assert read_all(source_of(**options), tokens) == ({}, tokens)
    assert site.num_bodies == 2
    site.page("/a", html("b"), etag=False)
    assert read_all(source_of(**options), tokens)[0] == {"/a": "b"}


def test_the_last_modification_is_asked_for_too(site: WebSite) -> None:
    when = "Wed, 01 Jul 2026 10:00:00 GMT"

    def reply(headers: dict[str, str]) -> Reply:
        if headers.get("if-modified-since") == when:
            return Reply(status=304)
        return Reply(html("a").encode(), headers={"Last-Modified": when})

    site.replies["/a"] = reply
    _, tokens = read_all(source_of(urls=[f"{site.url}/a"]))
    assert read_all(source_of(urls=[f"{site.url}/a"]), tokens) == ({}, tokens)
    assert site.num_bodies == 1


def test_a_token_of_another_kind_is_no_reason_to_fail(site: WebSite) -> None:
    site.page("/a", html("a"))
    for token in ("12-34-56", "[1]", "{}", '["a", "b", "c", "d", "e"]', "null"):
        assert read_all(source_of(urls=[f"{site.url}/a"]), {"/a": token})[0] == {"/a": "a"}, token


def test_different_hosts_are_asked_at_the_same_time_and_one_host_is_not(
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
    documents = list(Ingestion([source], ledger, TextStore(tmp_path / "texts")).documents())
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
@pytest.mark.parametrize("host", [host for host in HOSTS if host.lower() != "localhost"])
def test_no_sitemap_robots_or_link_leads_to_an_address_that_is_not_public(
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


def test_robots_that_lead_to_an_address_that_is_not_public_are_none(canary: WebSite, site: WebSite) -> None:
    before = canary.num_connections
    site.replies["/robots.txt"] = Reply(status=302, headers={"Location": f"{canary.url}/"})
    assert paths(source_of(urls=[f"{site.url}/a"])) == ["/a"]
    assert canary.num_connections == before


# Notes


def test_notes_are_private_and_made_when_they_are_needed(site: WebSite, tmp_path: Path) -> None:
    site.page("/", html("home", ["/a"]))
    folder = tmp_path / "state" / "sources" / "web"
    read_all(source_of(folder, urls=[f"{site.url}/"]))
    assert not folder.exists()
    read_all(source_of(folder, urls=[f"{site.url}/"], crawl_depth=1))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]
    (file,) = folder.iterdir()
    assert json.loads(file.read_text())["links"] == [f"{site.url}/a"]


def test_pages_that_are_listed_no_more_are_forgotten(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "notes"):
        notes = PageNotes(folder)
        for name in "ab":
            notes.put(PageNote(f"http://example.com/{name}", "token", ("http://example.com/",)))
        notes.keep_only(["http://example.com/b"])
        assert notes.get("http://example.com/a") is None
        assert notes.get("http://example.com/b") == PageNote(
            "http://example.com/b", "token", ("http://example.com/",)
        )


def test_a_dry_run_reads_the_notes_and_leaves_them_alone(
    site: WebSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.page("/", html("home", ["/a"]))
    site.page("/a", html("a", ["/b"]))
    site.page("/b", html("b"))
    declared = tmp_path / "sources.yaml"

    def declare(depth: int) -> None:
        declared.write_text(
            json.dumps(
                {
                    "sources": {
                        "web": {
                            "kind": "urls",
                            "urls": [f"{site.url}/"],
                            "allow_networks": [f"{SITE}/32"],
                            "delay_seconds": 0,
                            "crawl_depth": depth,
                        }
                    }
                }
            )
        )

    declare(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAG_SOURCES_FILE", str(declared))
    monkeypatch.setenv("RAG_STATE_DIR", str(tmp_path / "state"))
    folder = tmp_path / "state" / "sources" / "web"

    def list_with(knowledge_base: KnowledgeBase) -> int:
        (source,) = knowledge_base.sources()
        return len(list(source.list_entries()))

    assert list_with(KnowledgeBase(load_settings())) == 2
    before = {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.iterdir()}
    assert len(before) == 1
    transferred = site.num_bodies
    declare(2)
    with dry_run(load_settings()) as knowledge_base:
        assert list_with(knowledge_base) == 3
    assert site.num_bodies == transferred + 1
    assert {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.iterdir()} == before
