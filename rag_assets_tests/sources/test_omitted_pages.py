"""A page missing from a listing that may omit pages is asked for, before it counts as deleted."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_assets.sources.confluence import ConfluenceSource
from rag_assets.sources.notion import NotionSource
from rag_assets_tests.sources.confluence_pages import source_of as wiki_source
from rag_assets_tests.sources.scenes.confluence import Page, Wiki
from rag_assets_tests.sources.scenes.notion import NotionScene, Workspace, block, id_of
from rag_assets_tests.sources.small_refresh import SmallRefresh

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[NotionScene]:
    scene = NotionScene(tmp_path)
    for name in NAMES:
        scene.put(name, f"all about page {name * 5}")
    yield scene
    scene.close()


@pytest.fixture
def workspace(scene: NotionScene) -> Workspace:
    return scene.workspace


@pytest.fixture
def refresh(scene: NotionScene, tmp_path: Path) -> SmallRefresh:
    refresh = SmallRefresh(tmp_path)
    assert set(refresh(source_of(scene)).changes.values()) == {"added"}
    return refresh


def source_of(scene: NotionScene, **options: Any) -> NotionSource:
    declared = {**scene.declaration(), **options}
    del declared["kind"]
    return NotionSource("notion", NotionSource.Options(**declared))


def test_a_page_omitted_by_the_search_stays_and_is_refreshed(
    scene: NotionScene, workspace: Workspace, refresh: SmallRefresh
) -> None:
    workspace.omitted = {id_of("b"), id_of("c")}
    scene.put("c", "all about page c, edited")
    outcome = refresh(source_of(scene))
    assert (outcome.changes, outcome.problem) == ({id_of("c"): "updated"}, "")
    assert (refresh(source_of(scene)).changes, len(refresh.served)) == ({}, 5)


@pytest.mark.parametrize("how", ["in the trash", "deleted or not shared any more"])
def test_a_page_that_is_gone_is_deleted(
    scene: NotionScene, workspace: Workspace, refresh: SmallRefresh, how: str
) -> None:
    if how == "in the trash":
        scene.remove("b")
    else:
        del workspace.pages[id_of("b")]
    outcome = refresh(source_of(scene))
    assert (outcome.changes, outcome.problem) == ({id_of("b"): "deleted"}, "")


def test_a_page_of_which_notion_says_nothing_stays_with_a_token(
    scene: NotionScene, workspace: Workspace, refresh: SmallRefresh
) -> None:
    workspace.omitted = {id_of("b")}
    workspace.refused = {id_of("b"): (403, "restricted_resource")}
    outcome = refresh(source_of(scene))
    assert outcome.changes == {}
    assert "1 document is missing from it" in outcome.problem
    admitted = refresh(source_of(scene), approved=outcome.tokens)
    assert (admitted.changes, admitted.problem) == ({id_of("b"): "deleted"}, "")


def test_the_number_of_questions_is_limited_and_the_other_pages_stay(
    scene: NotionScene, workspace: Workspace, refresh: SmallRefresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_assets.ingestion.omitted_documents._MOST_ASKED", 1)
    del workspace.pages[id_of("a")], workspace.pages[id_of("b")], workspace.pages[id_of("c")]
    questions = len(workspace.questions)
    outcome = refresh(source_of(scene))
    assert sum("/pages/" in question for question in workspace.questions[questions:]) == 1
    assert list(outcome.changes.values()) == ["deleted"]
    assert "2 documents are missing from it" in outcome.problem
    assert list(refresh(source_of(scene)).changes.values()) == ["deleted"]
    assert (list(refresh(source_of(scene)).changes.values()), len(refresh.served)) == (["deleted"], 2)


def test_an_outage_during_the_questions_deletes_nothing(
    scene: NotionScene, workspace: Workspace, refresh: SmallRefresh
) -> None:
    workspace.omitted = {id_of("b")}
    workspace.refused = {id_of("b"): (500, "internal_server_error")}
    outcome = refresh(source_of(scene))
    assert outcome.changes == {}
    assert "HTTP 500" in outcome.problem


def test_rows_of_a_data_source_are_not_asked_for(
    workspace: Workspace, scene: NotionScene, tmp_path: Path
) -> None:
    """Its listing is complete, or says that it is not."""
    refresh = SmallRefresh(tmp_path / "rows")
    for name in ("x", "y"):
        workspace.add(name, block("paragraph", f"row {name}"), data_source="ds")
    refresh(source_of(scene, data_sources=["ds"]))
    workspace.pages[id_of("x")].data_source = "another"
    assert refresh(source_of(scene, data_sources=["ds"])).changes == {id_of("x"): "deleted"}


# Confluence Data Center lists by offset


@pytest.fixture
def data_center(tmp_path: Path) -> Iterator[Wiki]:
    wiki = Wiki()
    for number in range(1, 6):
        wiki.add(Page(str(number), f"page {number}", f"<p>all about number {number}</p>"))
    yield wiki
    wiki.close()


def wiki_of(wiki: Wiki) -> ConfluenceSource:
    return wiki_source(wiki, page_size=2)


def test_a_page_skipped_because_another_one_was_deleted_during_the_listing_stays(
    data_center: Wiki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh = SmallRefresh(tmp_path)
    refresh(wiki_of(data_center))
    listed = data_center._listed

    def deletes_the_first_page(query: dict[str, str]) -> Any:
        answer = listed(query)
        data_center.pages.pop("1", None)
        return answer

    data_center.pages["3"].version = 2
    data_center.pages["3"].body = "<p>all about number 3, edited</p>"
    monkeypatch.setattr(data_center, "_listed", deletes_the_first_page)
    outcome = refresh(wiki_of(data_center))
    assert outcome.problem == ""
    assert outcome.changes == {"ENG/3": "updated"}
    again = refresh(wiki_of(data_center))
    assert again.changes == {"ENG/1": "deleted"}


@pytest.mark.parametrize("how", ["deleted", "archived", "in another space"])
def test_a_page_of_confluence_that_is_gone_is_deleted(data_center: Wiki, tmp_path: Path, how: str) -> None:
    refresh = SmallRefresh(tmp_path)
    refresh(wiki_of(data_center))
    if how == "deleted":
        del data_center.pages["3"]
    elif how == "archived":
        data_center.pages["3"].status = "archived"
    else:
        data_center.pages["3"].space = "HR"
    outcome = refresh(wiki_of(data_center))
    expected = {"HR/3": "moved"} if how == "in another space" else {"ENG/3": "deleted"}
    assert (outcome.changes, outcome.problem) == (expected, "")


def test_the_readers_of_a_page_asked_for_are_those_of_a_listed_one(
    data_center: Wiki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_center.pages["3"].users = ["ann"]
    (before,) = [entry for entry in wiki_of(data_center).list_entries() if entry.path == "ENG/3"]
    assert wiki_of(data_center).look_for("ENG/3") == before
    assert re.fullmatch(r"user:\w+", str(before.access and before.access[0]))
