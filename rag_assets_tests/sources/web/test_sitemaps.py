"""Sitemaps, sitemap indexes, and robots.txt as a list of sitemaps."""

import gzip

import pytest

from rag_assets.errors import SourceUnavailable
from rag_assets.sources.web.sitemaps import parse_sitemap
from rag_assets_tests.sources.web.pages import paths, problem_of, sitemap, source_of
from rag_assets_tests.web_site import Reply, WebSite


def test_a_sitemap_index_leads_to_sitemaps_including_compressed_ones(site: WebSite) -> None:
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


def test_robots_txt_leads_to_sitemaps(site: WebSite) -> None:
    site.text("/robots.txt", f"Sitemap: {site.url}/sitemap.xml\n")
    site.text("/sitemap.xml", sitemap(f"{site.url}/a"))
    assert paths(source_of(sitemaps=[f"{site.url}/robots.txt"])) == ["/a"]
    site.text("/robots.txt", "User-agent: *\n")
    assert "names no sitemap" in problem_of(source_of(sitemaps=[f"{site.url}/robots.txt"]))


def test_an_unreadable_sitemap_does_not_affect_the_others(site: WebSite) -> None:
    site.text("/sitemap-a.xml", sitemap(f"{site.url}/a"))
    site.text("/sitemap-b.xml", "<urlset><url><loc>http")
    source = source_of(sitemaps=[f"{site.url}/sitemap-{name}.xml" for name in ("b", "absent", "a")])
    listed = []

    with pytest.raises(SourceUnavailable, match="and 1 more"):
        listed.extend(entry.uri for entry in source.list_entries())
    assert listed == [f"{site.url}/a"]


def test_sitemap_entries_on_other_sites_are_skipped(site: WebSite, other: WebSite) -> None:
    site.text("/sitemap.xml", sitemap(f"{site.url}/a", f"{other.url}/b"))
    assert paths(source_of(sitemaps=[f"{site.url}/sitemap.xml"])) == ["/a"]
    assert paths(source_of(sitemaps=[f"{site.url}/sitemap.xml"], same_site=False)) == ["/a", "/b"]
    site.text("/sitemap.xml", sitemap(f"{other.url}/b"))
    assert "same_site" in problem_of(source_of(sitemaps=[f"{site.url}/sitemap.xml"]))


def test_circular_and_endlessly_nested_sitemaps_end(site: WebSite) -> None:
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
def test_an_invalid_sitemap_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_sitemap(data, "http://example.com/sitemap.xml")
