import json
import stat
from pathlib import Path

import pytest

from rag_assets.inspection.dry_run import dry_run
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import load_settings
from rag_assets.sources.web.page_notes import PageNote, PageNotes
from rag_assets_tests.safe_http.test_safe_http import SITE
from rag_assets_tests.sources.web.pages import html, read_all, source_of
from rag_assets_tests.web_site import WebSite


@pytest.mark.parametrize("damage", ["absent", "empty", "torn", "other"])
def test_lost_or_corrupt_notes_cost_only_transfers(damage: str, site: WebSite, tmp_path: Path) -> None:
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


def test_notes_are_private_and_created_on_demand(site: WebSite, tmp_path: Path) -> None:
    site.page("/", html("home", ["/a"]))
    folder = tmp_path / "state" / "sources" / "web"
    read_all(source_of(folder, urls=[f"{site.url}/"]))
    assert not folder.exists()
    read_all(source_of(folder, urls=[f"{site.url}/"], crawl_depth=1))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]
    (file,) = folder.iterdir()
    assert json.loads(file.read_text())["links"] == [f"{site.url}/a"]


def test_notes_of_unlisted_pages_are_deleted(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "notes"):
        notes = PageNotes(folder)
        for name in "ab":
            notes.put(PageNote(f"http://example.com/{name}", "token", ("http://example.com/",)))
        notes.keep_only(["http://example.com/b"])
        assert notes.get("http://example.com/a") is None
        assert notes.get("http://example.com/b") == PageNote(
            "http://example.com/b", "token", ("http://example.com/",)
        )


def test_a_dry_run_reads_notes_without_changing_them(
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
