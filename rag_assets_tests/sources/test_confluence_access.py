from typing import Any

import pytest

from rag_assets.errors import SourceUnavailable
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.confluence_pages import access_of, entries_of, source_of
from rag_assets_tests.sources.scenes.confluence import Page, Wiki

require("atlassian")


def test_a_restricted_page_is_for_its_users_and_groups_only(wiki: Wiki) -> None:
    wiki.add(Page("7", "Secret", "", users=["ann", "bob"], groups=["board"]))
    wiki.add(Page("8", "Open", ""))
    assert access_of(wiki, "7") == ("group:board", "user:ann", "user:bob")
    assert access_of(wiki, "8") == ("space:ENG",)


def test_restrictions_are_inherited_from_every_level(wiki: Wiki) -> None:
    # Children come first: a level is listed after what it restricts as often as not.
    wiki.add(Page("4", "Grandchild", "", parent="3", users=["ann", "cid"]))
    wiki.add(Page("3", "Child", "", parent="2"))
    wiki.add(Page("2", "Parent", "", parent="1", users=["ann", "bob"], groups=["board"]))
    wiki.add(Page("1", "Home", ""))
    found = entries_of(source_of(wiki))
    assert found["1"].access == ("space:ENG",)
    assert found["2"].access == found["3"].access == ("group:board", "user:ann", "user:bob")
    assert found["4"].access == ("user:ann",)


def test_levels_without_common_readers_leave_no_readers(wiki: Wiki) -> None:
    wiki.add(Page("1", "Parent", "", users=["ann"]))
    wiki.add(Page("2", "Child", "", parent="1", groups=["board"]))
    assert access_of(wiki, "2") == ()


def test_restrictions_are_inherited_through_a_folder() -> None:
    wiki = Wiki(cloud=True)
    try:
        wiki.add(Page("1", "Home", "", users=["ann"]))
        wiki.folders["50"] = "1"
        wiki.add(Page("2", "In the folder", "", parent="50"))
        assert access_of(wiki, "2") == ("user:ann",)
        wiki.unreadable["/wiki/rest/api/content/50/restriction/byOperation/read"] = 404
        assert access_of(wiki, "2") == ()
    finally:
        wiki.close()


def subjects(size: int = 0, **changes: Any) -> dict[str, Any]:
    return {"results": [], "start": 0, "limit": 200, "size": size, **changes}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"user": subjects(), "group": subjects(_links={"next": "/more"})}, id="more to come"),
        pytest.param({"user": subjects(size=3), "group": subjects()}, id="fewer than it says"),
        pytest.param(
            {
                "user": subjects(1, limit=1, results=[{"username": "a", "accountId": "a"}]),
                "group": subjects(),
            },
            id="as many as fit",
        ),
        pytest.param(
            {"user": subjects(1, results=[{"displayName": "A"}]), "group": subjects()}, id="nameless"
        ),
        pytest.param({"user": subjects()}, id="no groups"),
        pytest.param({"user": [], "group": []}, id="lists"),
        pytest.param({}, id="empty"),
        pytest.param("everybody", id="text"),
    ],
)
def test_malformed_restrictions_leave_no_readers(wiki: Wiki, answer: Any) -> None:
    wiki.add(Page("7", "Page", ""))
    wiki.restrictions_answer = answer
    assert access_of(wiki, "7") == ()


@pytest.mark.parametrize("status", [403, 404])
def test_forbidden_restrictions_leave_no_readers(status: int) -> None:
    wiki = Wiki(cloud=True)
    try:
        wiki.add(Page("1", "Parent", ""))
        wiki.add(Page("2", "Child", "", parent="1"))
        wiki.unreadable["/wiki/rest/api/content/1/restriction/byOperation/read"] = status
        assert access_of(wiki, "1") == access_of(wiki, "2") == ()
    finally:
        wiki.close()


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_failure_at_restrictions_is_an_outage(status: int) -> None:
    wiki = Wiki(cloud=True)
    try:
        wiki.add(Page("1", "Page", ""))
        wiki.unreadable["/wiki/rest/api/content/1/restriction/byOperation/read"] = status
        with pytest.raises(SourceUnavailable):
            access_of(wiki, "1")
    finally:
        wiki.close()


def test_access_lists_need_not_be_read(wiki: Wiki) -> None:
    wiki.add(Page("7", "Page", "", users=["ann"]))
    (entry,) = source_of(wiki, read_access=False).list_entries()
    assert entry.access is None
    assert not [question for question in wiki.questions if "restriction" in question]
