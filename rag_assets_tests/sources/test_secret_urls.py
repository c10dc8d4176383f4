"""A secret in a URL is sent, and never becomes part of a document's id, or of the state."""

import json
from pathlib import Path

import pytest

from rag_assets.sources.langchain_loader import LangchainOptions, LangchainSource
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.small_refresh import SmallRefresh
from rag_assets_tests.sources.web.pages import html, sitemap, source_of
from rag_assets_tests.web_site import Reply, WebSite

SECRET = "hunter2hunter2"
SIGNED = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=hunter2hunter2&X-Amz-Signature=hunter2hunter2"
SAS = "sv=2026-01-01&se=2026-12-31T00:00:00Z&sr=b&sp=r&sig=hunter2hunter2"


@pytest.fixture
def refresh(tmp_path: Path) -> SmallRefresh:
    return SmallRefresh(tmp_path)


def assert_nothing_stored(folder: Path) -> None:
    for path in folder.rglob("*"):
        assert SECRET not in str(path)
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    "query", [f"token={SECRET}", SIGNED, SAS, f"code={SECRET}", "jwt=eyJhbGciOi.eyJzdWIi.c2ln"]
)
@pytest.mark.parametrize("crawl_depth", [0, 1])
def test_a_secret_is_sent_and_neither_shown_nor_stored(
    query: str, crawl_depth: int, site: WebSite, refresh: SmallRefresh, tmp_path: Path
) -> None:
    site.page(f"/page?v=1&{query}", html("the page", [f"/next?{query}"]))
    site.page(f"/next?{query}", html("the next page"))
    options = {"urls": [f"{site.url}/page?v=1&{query}"], "crawl_depth": crawl_depth}
    if "code=" in query:
        options["signature_parameters"] = ["code"]
    for _ in range(2):
        outcome = refresh(source_of(tmp_path / "notes", **options))
        assert outcome.problem == ""
        assert len(refresh.production) == 1 + crawl_depth
        assert not any(query.partition("=")[2] in str(state) for state in refresh.production.values())
        assert not any("eyJ" in str(state) for state in refresh.production.values())
    assert outcome.changes == {}
    assert f"/page?v=1&{query}" in site.paths
    assert_nothing_stored(tmp_path)


def test_a_page_that_shows_its_own_address_keeps_no_secret(
    site: WebSite, refresh: SmallRefresh, tmp_path: Path
) -> None:
    secret, encoded = "hunter2/hunter2", "hunter2%2Fhunter2"
    url = f"{site.url}/page?v=1&token={encoded}"
    text = f"<title>GET /page?v=1&amp;token={encoded}</title><p>Link to {url}. {json.dumps(secret)}, hunter2, hunter3.</p>"
    site.page(f"/page?v=1&token={encoded}", text)
    assert refresh(source_of(tmp_path / "notes", urls=[url])).problem == ""
    [state] = refresh.production.values()
    assert state.content_hash is not None
    assert 'token=~. "~", hunter2, hunter3' in refresh.texts.get(state.content_hash)
    for path in filter(Path.is_file, tmp_path.rglob("*")):
        assert b"hunter2/" not in path.read_bytes()
        assert b"hunter2%2" not in path.read_bytes()


def test_a_sitemap_with_secrets_is_not_stored(site: WebSite, refresh: SmallRefresh, tmp_path: Path) -> None:
    site.text(f"/sitemap.xml?token={SECRET}", sitemap(f"{site.url}/a?token={SECRET}"), "application/xml")
    site.page(f"/a?token={SECRET}", html("page"))
    refresh(source_of(tmp_path / "notes", sitemaps=[f"{site.url}/sitemap.xml?token={SECRET}"]))
    assert len(refresh.production) == 1
    assert_nothing_stored(tmp_path)


def test_a_redirect_to_a_signed_url_is_not_stored(
    site: WebSite, refresh: SmallRefresh, tmp_path: Path
) -> None:
    site.replies["/file"] = Reply(status=302, headers={"Location": f"/stored?{SIGNED}"})
    site.page(f"/stored?{SIGNED}", html("the file"))
    refresh(source_of(tmp_path / "notes", urls=[f"{site.url}/file"]))
    assert len(refresh.production) == 1
    assert_nothing_stored(tmp_path)


def test_a_renewed_signature_is_the_same_page(site: WebSite, refresh: SmallRefresh) -> None:
    for number in (1, 2):
        query = f"part=2&X-Amz-Date={number}&X-Amz-Signature={number}"
        site.page(f"/page?{query}", html("page"))
        outcome = refresh(source_of(urls=[f"{site.url}/page?{query}"]))
    assert outcome.changes == {}
    assert refresh.served == {f"{site.url.removeprefix('http://')}/page?part=2"}


def test_a_value_that_selects_the_page_still_does(site: WebSite, refresh: SmallRefresh) -> None:
    urls = [f"{site.url}/page?key=HR-{number}" for number in (12, 13)]
    for url in urls:
        site.page(url.removeprefix(site.url), html(f"all about {url[-2:]}"))
    refresh(source_of(urls=urls))
    assert len(refresh.production) == 2
    assert "HR-1" not in str(refresh.production)


def test_existing_ids_move(site: WebSite, refresh: SmallRefresh, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = [f"{site.url}/{name}?token={SECRET}" for name in ("same", "edited", "broken")]
    for url in urls:
        site.page(url.removeprefix(site.url), html(f"all about {url.partition('?')[0]}"))
    with monkeypatch.context() as earlier:
        earlier.setattr("rag_assets.sources.url_identity.UrlIdentity.of", lambda _, url: url)
        refresh(source_of(urls=urls))
    assert SECRET in str(refresh.production)
    site.page(f"/edited?token={SECRET}", html("edited"))
    site.replies[f"/broken?token={SECRET}"] = Reply(status=500)
    outcome = refresh(source_of(urls=urls))
    assert sorted(outcome.changes.values()) == ["moved", "quarantined", "updated"]
    assert len(refresh.production) == 3
    assert SECRET not in str(refresh.production)
    assert set(refresh(source_of(urls=urls)).changes.values()) == {"quarantined"}


def test_the_sources_of_a_loader_are_identified_without_secrets(
    refresh: SmallRefresh, tmp_path: Path
) -> None:
    require("langchain_core")
    documents = [
        ("one", {"source": f"https://host/a?id=7&token={SECRET}", "page": 1}),
        ("two", {"source": f"https://host/b?{SAS}"}),
    ]
    options = LangchainOptions(
        loader="rag_assets_tests.sources.loaders.ListLoader", arguments={"documents": documents}
    )
    refresh(LangchainSource("loader", options))
    first, second = sorted(refresh.served)
    assert first.startswith("https://host/a?id=7&token=~")
    assert first.endswith("#page=1")
    assert second == "https://host/b"
    assert_nothing_stored(tmp_path)
