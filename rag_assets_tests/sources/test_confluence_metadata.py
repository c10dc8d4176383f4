"""Labels and other metadata of Confluence, and what stays while labels or restrictions cannot be read."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_assets.document_metadata.policy import MetadataPolicy
from rag_assets.sources import confluence_metadata
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.confluence_pages import entries_of, source_of
from rag_assets_tests.sources.scenes.confluence import Page, Wiki
from rag_assets_tests.sources.small_refresh import SmallRefresh

require("atlassian")

SEARCH = "/wiki/rest/api/content/search"


@pytest.fixture
def cloud() -> Iterator[Wiki]:
    wiki = Wiki(cloud=True)
    yield wiki
    wiki.close()


@pytest.fixture
def refresh(tmp_path: Path) -> SmallRefresh:
    return SmallRefresh(tmp_path)


def labels(wiki: Wiki, page_id: str = "7", **options: Any) -> Any:
    return entries_of(source_of(wiki, **options))[page_id].metadata.get("labels")


def served(refresh: SmallRefresh) -> dict[str, Any]:
    (state,) = refresh.production.values()
    return dict(state.location.metadata)


def readers(refresh: SmallRefresh) -> tuple[str, ...] | None:
    (state,) = refresh.production.values()
    return state.location.access


def searches(wiki: Wiki) -> list[str]:
    return [question for question in wiki.questions if question.startswith(SEARCH)]


def test_labels_of_users_alone_are_left_out(wiki: Wiki) -> None:
    wiki.add(Page("7", "Page", "", labels=["policy", "hr"]))
    wiki.add(Page("8", "Page", ""))
    assert labels(wiki) == ("hr", "policy")
    assert labels(wiki, "8") is None
    assert entries_of(source_of(wiki))["8"].metadata.left_out == (), "no labels are no unread labels"


def test_labels_of_many_pages_need_few_requests(wiki: Wiki) -> None:
    wiki.page_size = 100
    for number in range(250):
        wiki.add(Page(str(number), "Page", "", labels=[f"l{number}"]))
    found = entries_of(source_of(wiki, page_size=100, read_access=False))
    assert [found[str(number)].metadata["labels"] for number in range(250)] == [
        (f"l{number}",) for number in range(250)
    ]
    assert len(searches(wiki)) == (3 if wiki.cloud else 0)


def test_only_the_named_spaces_are_searched(cloud: Wiki) -> None:
    cloud.add(Page("7", "Page", "", labels=["hr"], space="HR"))
    assert labels(cloud, spaces=("HR",)) == ("hr",)
    (question,) = searches(cloud)
    assert "space+in+%28%22HR%22%29" in question


def test_labels_need_not_be_read(wiki: Wiki) -> None:
    wiki.add(Page("7", "Page", "", labels=["policy"]))
    (entry,) = source_of(wiki, read_labels=False).list_entries()
    assert "labels" not in entry.metadata
    assert entry.metadata.left_out == ()
    assert not [question for question in wiki.questions if "labels" in question]


def test_a_changed_label_changes_the_payload_alone(wiki: Wiki, refresh: SmallRefresh) -> None:
    page = wiki.add(Page("7", "Page", "<p>text</p>", labels=["draft"]))
    refresh(source_of(wiki))
    assert served(refresh)["labels"] == ("draft",)
    before = wiki.num_bodies
    page.labels = ["final"]
    outcome = refresh(source_of(wiki))
    assert served(refresh)["labels"] == ("final",)
    assert (dict(outcome.changes), wiki.num_bodies) == ({"ENG/7": "updated"}, before)
    page.labels = []
    refresh(source_of(wiki))
    assert "labels" not in served(refresh)


def test_the_last_editor_is_personal(wiki: Wiki, refresh: SmallRefresh) -> None:
    wiki.add(Page("7", "Page", "<p>text</p>"))
    outcome = refresh(source_of(wiki))
    assert served(refresh) == {"space": "ENG", "created": "2025-01-05T08:11:12Z"}
    assert outcome.metadata_left_out == {"personal: last_modified_by": 1}
    policy = MetadataPolicy.of((), ["last_modified_by"])
    (entry,) = source_of(wiki).list_entries()
    assert "last_modified_by" in policy.merged(entry.metadata)


# Labels that cannot be read


@pytest.mark.parametrize("status", [400, 403, 404, 410, 500])
def test_while_the_search_fails_labels_stay_and_new_pages_are_read(
    cloud: Wiki, refresh: SmallRefresh, status: int
) -> None:
    cloud.add(Page("7", "Page", "<p>text of the first page</p>", labels=["policy"]))
    refresh(source_of(cloud))
    cloud.unreadable[SEARCH] = status
    cloud.pages["7"].labels = ["not seen"]
    cloud.pages["7"].version = 2
    cloud.add(Page("8", "New", "<p>another text</p>", labels=["not seen"]))
    outcome = refresh(source_of(cloud))
    assert outcome.problem == ""
    assert outcome.metadata_left_out[f"not readable: labels (HTTP {status})"] == 2
    assert {
        state.location.path: state.location.metadata.get("labels") for state in refresh.production.values()
    } == {
        "ENG/7": ("policy",),
        "ENG/8": None,
    }


def test_pages_unknown_to_the_search_keep_their_labels(cloud: Wiki, refresh: SmallRefresh) -> None:
    cloud.add(Page("7", "Page", "<p>text</p>", labels=["policy"]))
    refresh(source_of(cloud))
    cloud.not_found.add("7")
    outcome = refresh(source_of(cloud))
    assert served(refresh)["labels"] == ("policy",)
    assert "not readable: labels (not found by the search)" in outcome.metadata_left_out


def test_a_search_that_hangs_delays_no_listing_for_long(cloud: Wiki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confluence_metadata, "_LONGEST_WAIT_SECONDS", 0.1)
    cloud.add(Page("7", "Page", "", labels=["policy"]))
    over, truth = threading.Event(), cloud._answer

    def answer(path: str, query: dict[str, str]) -> Any:
        if path == SEARCH:
            over.wait(30)
        return truth(path, query)

    monkeypatch.setattr(cloud, "_answer", answer)
    try:
        (entry,) = source_of(cloud).list_entries()
    finally:
        over.set()
    assert entry.metadata.unread == ("labels",)
    assert entry.metadata.left_out == ("not readable: labels (the search takes too long)",)


def test_a_search_in_a_circle_ends(cloud: Wiki, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.add(Page("7", "Page", "", labels=["policy"]))
    truth = cloud._answer

    def answer(path: str, query: dict[str, str]) -> Any:
        found = truth(path, query)
        return {**found, "_links": {"next": f"{SEARCH}?cursor=0"}} if path == SEARCH else found

    monkeypatch.setattr(cloud, "_answer", answer)
    assert labels(cloud) == ("policy",)
    assert len(searches(cloud)) == 2


@pytest.mark.parametrize(
    "answer", ["text", {}, {"results": None}, {"results": [{"prefix": "global"}]}, {"results": "x"}]
)
def test_labels_of_an_unknown_form_are_unread(wiki: Wiki, refresh: SmallRefresh, answer: Any) -> None:
    wiki.add(Page("7", "Page", "<p>text</p>", labels=["policy"]))
    refresh(source_of(wiki))
    wiki.labels_answer = answer
    outcome = refresh(source_of(wiki))
    assert outcome.problem == ""
    assert served(refresh)["labels"] == ("policy",)
    assert any(entry.startswith("not readable: labels") for entry in outcome.metadata_left_out)


def test_hostile_labels_harm_nothing(wiki: Wiki) -> None:
    wiki.add(
        Page("7", "Page", "", labels=["x" * 1_000_000, *(f"label {number}" for number in range(10_000))])
    )
    found = labels(wiki)
    assert len(found) == 50
    assert all(len(label) <= 500 for label in found)


# Restrictions that cannot be read


def test_changed_restrictions_are_seen_by_the_next_refresh(wiki: Wiki, refresh: SmallRefresh) -> None:
    page = wiki.add(Page("7", "Page", "<p>text</p>", users=["ann"]))
    refresh(source_of(wiki))
    assert readers(refresh) == ("user:ann",)
    before = wiki.num_bodies
    page.users, page.groups = [], ["board"]
    outcome = refresh(source_of(wiki))
    assert readers(refresh) == ("group:board",)
    assert (list(outcome.changes.values()), wiki.num_bodies) == (["updated"], before)


@pytest.mark.parametrize(
    ("status", "expected"), [(403, ()), (404, ()), (401, ("user:ann",)), (500, ("user:ann",))]
)
def test_unreadable_restrictions_make_nothing_more_visible(
    cloud: Wiki, refresh: SmallRefresh, status: int, expected: tuple[str, ...]
) -> None:
    cloud.add(Page("7", "Page", "<p>text</p>", users=["ann"]))
    source = source_of(cloud, access=("everyone",))
    refresh(source)
    cloud.pages["7"].users = []
    cloud.unreadable["/wiki/rest/api/content/7/restriction/byOperation/read"] = status
    outcome = refresh(source)
    assert readers(refresh) == expected
    assert bool(outcome.problem) == bool(expected), "an outage is reported, and leaves production as it was"
    cloud.unreadable.clear()
    refresh(source)
    assert readers(refresh) == ("space:ENG",)


def test_restrictions_of_an_unknown_form_make_nothing_more_visible(wiki: Wiki, refresh: SmallRefresh) -> None:
    wiki.add(Page("7", "Page", "<p>text</p>", users=["ann"]))
    source = source_of(wiki, access=("everyone",))
    refresh(source)
    wiki.restrictions_answer = {"user": "everybody"}
    refresh(source)
    assert readers(refresh) == ()
