"""A space of Confluence, or a data source of Notion, that may not be read keeps its pages. The others are refreshed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_assets.sources.confluence import ConfluenceSource
from rag_assets.sources.notion import NotionSource
from rag_assets_tests.sources.confluence_pages import source_of as wiki_source
from rag_assets_tests.sources.scenes import confluence
from rag_assets_tests.sources.scenes.confluence import Page, Wiki
from rag_assets_tests.sources.scenes.notion import TOKEN, Workspace, block, id_of
from rag_assets_tests.sources.small_refresh import SmallRefresh


@pytest.fixture
def refresh(tmp_path: Path) -> SmallRefresh:
    return SmallRefresh(tmp_path)


def source_of(wiki: Wiki, *spaces: str) -> ConfluenceSource:
    return wiki_source(wiki, spaces=spaces or ("ENG", "HR"), page_size=2)


@pytest.fixture
def filled(wiki: Wiki, refresh: SmallRefresh) -> Wiki:
    for number in range(1, 6):
        wiki.add(Page(str(number), f"page {number}", f"<p>number {number}</p>", space="ENG"))
        wiki.add(Page(f"1{number}", f"page 1{number}", f"<p>number 1{number}</p>", space="HR"))
    assert len(refresh(source_of(wiki)).changes) == 10
    return wiki


def edit(wiki: Wiki) -> None:
    """Edit and delete a page in each space."""
    for number in ("1", "11"):
        wiki.pages[number].body, wiki.pages[number].version = "<p>edited</p>", 2
        del wiki.pages[f"{number[:-1]}2"]


def test_a_space_that_may_not_be_read_keeps_its_pages(
    filled: Wiki, refresh: SmallRefresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(filled)
    with monkeypatch.context() as patch:
        patch.delitem(confluence.SPACE_IDS, "ENG")
        outcome = refresh(source_of(filled))
        assert outcome.changes == {"HR/11": "updated", "HR/12": "deleted"}
        assert "space ENG: " in outcome.problem
        assert "5 documents kept" in outcome.problem
        assert len(outcome.tokens) == 1
    assert refresh(source_of(filled)).changes == {"ENG/1": "updated", "ENG/2": "deleted"}


def test_without_any_readable_space_the_listing_is_incomplete(
    filled: Wiki, refresh: SmallRefresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confluence, "SPACE_IDS", {})
    outcome = refresh(source_of(filled))
    assert (outcome.changes, outcome.tokens) == ({}, frozenset())
    assert outcome.problem.startswith("source wiki: Confluence at")


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    workspace = Workspace()
    for name in ("a", "b"):
        for table in ("one", "two"):
            workspace.add(
                f"{table} {name}", block("paragraph", f"row {name} of {table}"), data_source=id_of(table)
            )
    yield workspace
    workspace.close()


def notion_of(workspace: Workspace) -> NotionSource:
    options: dict[str, Any] = {
        "token": TOKEN,
        "base_url": workspace.url,
        "data_sources": (id_of("one"), id_of("two")),
    }
    return NotionSource("notion", NotionSource.Options(**options))


def test_a_data_source_that_may_not_be_read_does_not_keep_the_others_from_being_refreshed(
    workspace: Workspace, refresh: SmallRefresh
) -> None:
    """Nothing tells the pages of one data source from those of another, so none is deleted."""
    assert len(refresh(notion_of(workspace)).changes) == 4
    workspace.refused = {id_of("one"): (403, "restricted_resource")}
    workspace.add("two c", block("paragraph", "row c of two"), data_source=id_of("two"))
    workspace.pages[id_of("two b")].in_trash = True
    outcome = refresh(notion_of(workspace))
    assert outcome.changes == {id_of("two c"): "added"}
    assert id_of("one") in outcome.problem
    workspace.refused = {}
    again = refresh(notion_of(workspace))
    assert (again.changes, again.problem) == ({id_of("two b"): "deleted"}, "")
