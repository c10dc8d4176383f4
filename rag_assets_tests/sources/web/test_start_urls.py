from pathlib import Path

import pytest

from rag_assets.errors import SourceUnavailable
from rag_assets_tests.safe_http.test_safe_http import SITE
from rag_assets_tests.sources.web.pages import paths, problem_of, source_of
from rag_assets_tests.web_site import WebSite


def test_pages_come_from_the_file_and_the_option(site: WebSite, tmp_path: Path) -> None:
    file = tmp_path / "urls.txt"
    file.write_text(f"\ufeff# pages\n\n{site.url}/a # the first\n  {site.url}/b?x=1#part\n{site.url}/a#x\n")
    source = source_of(file=file, urls=[f"{site.url}/c"])
    entries = list(source.list_entries())
    assert [entry.uri for entry in entries] == [f"{site.url}/a", f"{site.url}/b?x=1", f"{site.url}/c"]
    assert entries[1].document_id == f"web:{SITE}:{site.port}/b?x=1"
    assert {entry.version_token for entry in entries} == {""}
    assert [entry.filename for entry in entries] == ["a.html", "b.html", "c.html"]


def test_without_any_urls_the_listing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "data/urls_to_scrape.txt" in problem_of(source_of())
    assert "absent.txt" in problem_of(source_of(file=tmp_path / "absent.txt", urls=["http://127.0.0.1/"]))


def test_the_default_file_may_be_absent_if_there_are_other_pages(
    site: WebSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paths(source_of(urls=[f"{site.url}/a"])) == ["/a"]


def test_an_invalid_line_makes_the_listing_incomplete(site: WebSite, tmp_path: Path) -> None:
    file = tmp_path / "urls.txt"
    file.write_text(f"{site.url}/a\nhttp://user:secret@example.com/\n{site.url}/b\n")
    source = source_of(file=file)
    listed = []
    with pytest.raises(SourceUnavailable, match="line 2") as error:
        listed.extend(source.list_entries())
    assert "secret" not in str(error.value)
