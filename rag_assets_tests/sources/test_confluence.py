import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rag_assets.errors import ConfigurationError, DocumentGone, DocumentUnreadable, SourceUnavailable
from rag_assets.parsers import parse_document
from rag_assets.records import SourceEntry
from rag_assets.sources import confluence, confluence_client
from rag_assets.sources.confluence import ConfluenceOptions, ConfluenceSource
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.scenes.confluence import TOKEN, Page, Wiki

require("atlassian")


@pytest.fixture(params=["data center", "cloud"])
def wiki(request: pytest.FixtureRequest) -> Iterator[Wiki]:
    wiki = Wiki(cloud=request.param == "cloud")
    yield wiki
    wiki.close()


def source_of(wiki: Wiki, **options: Any) -> ConfluenceSource:
    settings = {"url": wiki.url, "token": TOKEN, "cloud": wiki.cloud, "timeout_seconds": 5, **options}
    return ConfluenceSource("wiki", ConfluenceOptions(**settings))


def entries_of(source: ConfluenceSource) -> dict[str, SourceEntry]:
    return {entry.path.rpartition("/")[2]: entry for entry in source.list_entries()}


def access_of(wiki: Wiki, page_id: str) -> tuple[str, ...] | None:
    return entries_of(source_of(wiki))[page_id].access


def test_a_page_is_described_completely(wiki: Wiki) -> None:
    wiki.add(Page("7", "In/Out & more", "<p>text</p>", version=3))
    (entry,) = source_of(wiki).list_entries()
    assert entry == SourceEntry(
        document_id="wiki:ENG/7",
        source="wiki",
        uri=f"{wiki.url}/pages/viewpage.action?pageId=7",
        path="ENG/7",
        filename="In-Out & more.html",
        version_token="3 In/Out & more",
        size_bytes=0,
        modified_at="2026-01-05T08:11:12Z",
        access=("space:ENG",),
    )


def test_listing_transfers_no_body(wiki: Wiki) -> None:
    for number in range(5):
        wiki.add(Page(str(number), f"page {number}", "<p>text</p>"))
    assert len(entries_of(source_of(wiki))) == 5
    assert wiki.num_bodies == 0
    assert not [question for question in wiki.questions if "body" in question]


def test_a_new_title_is_the_same_document_and_another_token(wiki: Wiki) -> None:
    page = wiki.add(Page("7", "Before", "<p>text</p>"))
    (before,) = source_of(wiki).list_entries()
    page.title = "After"
    (after,) = source_of(wiki).list_entries()
    assert (after.document_id, after.uri) == (before.document_id, before.uri)
    assert after.version_token != before.version_token


def test_only_the_named_spaces_are_listed(wiki: Wiki) -> None:
    for number in range(3):
        wiki.add(Page(f"1{number}", f"engineering {number}", ""))
        wiki.add(Page(f"2{number}", f"people {number}", "", space="HR"))
    assert {entry.path for entry in source_of(wiki, spaces=("HR",)).list_entries()} == {
        "HR/20",
        "HR/21",
        "HR/22",
    }
    assert len(entries_of(source_of(wiki, spaces=("HR", "ENG")))) == len(entries_of(source_of(wiki))) == 6


def test_a_space_that_is_not_there_does_not_look_empty(wiki: Wiki) -> None:
    wiki.add(Page("7", "Page", ""))
    with pytest.raises(SourceUnavailable):
        list(source_of(wiki, spaces=("NOPE",)).list_entries())


@pytest.mark.parametrize("status", ["archived", "trashed", "draft"])
def test_only_current_pages_are_listed(wiki: Wiki, status: str) -> None:
    wiki.add(Page("7", "Here", ""))
    wiki.add(Page("8", "Not here", "", status=status))
    assert list(entries_of(source_of(wiki))) == ["7"]


def test_pages_that_are_not_current_are_left_out_though_they_are_sent(
    wiki: Wiki, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiki.add(Page("7", "Old", "", status="archived"))
    truth = wiki._answer
    monkeypatch.setattr(wiki, "_answer", lambda path, query: truth(path, {**query, "status": "archived"}))
    assert entries_of(source_of(wiki)) == {}


# Reading


BODY = """
<p>A paragraph with <span class="status-macro aui-lozenge">STATUS</span>.</p>
<div class="confluence-information-macro confluence-information-macro-tip">
  <p class="title">Tip title</p><div class="confluence-information-macro-body"><p>Tip body</p></div></div>
<div class="code panel pdl"><div class="codeHeader panelHeader pdl"><b>Code title</b></div>
  <div class="codeContent panelContent pdl"><pre class="syntaxhighlighter-pre">def f():
    return "&lt;b class=&quot;x&quot;&gt;"</pre></div></div>
<div class="table-wrap"><table class="confluenceTable"><tbody>
  <tr><th class="confluenceTh"><p>Name</p></th><th>Port</th></tr>
  <tr><td><p>qdrant</p></td><td>6333</td></tr></tbody></table></div>
<ul><li><p>outer</p><ul><li>inner</li></ul></li></ul>
<div class="expand-container"><div class="expand-content" style="display:none"><p>Expanded</p></div></div>
<div class="columnLayout two-right-sidebar"><div class="cell aside sidebar"><p>Beside</p></div></div>
<div class="footnotes footer"><p>A footnote</p></div>
"""


def test_nothing_that_a_page_shows_is_lost(wiki: Wiki) -> None:
    wiki.add(Page("7", "Ports & <hosts>", BODY))
    source = source_of(wiki)
    (entry,) = source.list_entries()
    reading = source.read(entry)
    parsed = parse_document(reading.data, reading.filename)
    text = " ".join(parsed.text.split())
    assert parsed.title == reading.title == "Ports & <hosts>"
    assert text.startswith("# Ports & <hosts>")
    for part in (
        "A paragraph with STATUS.",
        "Tip title Tip body",
        "Code title",
        'def f(): return "<b class="x">"',
        "Name Port qdrant 6333",
        "outer",
        "inner",
        "Expanded",
        "Beside",
        "A footnote",
    ):
        assert part in text


def test_what_is_read_has_the_token_of_the_version_read(wiki: Wiki) -> None:
    page = wiki.add(Page("7", "Page", "<p>one</p>"))
    source = source_of(wiki)
    (entry,) = source.list_entries()
    page.body, page.version = "<p>two</p>", 2
    reading = source.read(entry)
    assert b"two" in reading.data
    (listed,) = source.list_entries()
    assert reading.version_token == listed.version_token != entry.version_token


def body_path(wiki: Wiki, page_id: str) -> str:
    return f"/wiki/api/v2/pages/{page_id}" if wiki.cloud else f"/wiki/rest/api/content/{page_id}"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, DocumentGone),
        (403, DocumentUnreadable),
        (401, SourceUnavailable),
        (429, SourceUnavailable),
        (502, SourceUnavailable),
    ],
)
def test_a_refused_page_harms_as_much_as_it_must(wiki: Wiki, status: int, error: type[Exception]) -> None:
    wiki.add(Page("7", "Page", "<p>text</p>"))
    source = source_of(wiki)
    (entry,) = source.list_entries()
    wiki.unreadable[body_path(wiki, "7")] = status
    with pytest.raises(error) as raised:
        source.read(entry)
    assert type(raised.value) is error


def test_a_page_put_into_the_trash_meanwhile_is_gone(wiki: Wiki) -> None:
    page = wiki.add(Page("7", "Page", "<p>text</p>"))
    source = source_of(wiki)
    (entry,) = source.list_entries()
    page.status = "trashed"
    with pytest.raises(DocumentGone):
        source.read(entry)


def test_a_page_that_is_too_large_is_quarantined(wiki: Wiki) -> None:
    wiki.add(Page("7", "Page", "x" * 1001))
    source = source_of(wiki, max_bytes=1000)
    (entry,) = source.list_entries()
    with pytest.raises(DocumentUnreadable, match="too_large"):
        source.read(entry)


@pytest.mark.parametrize("body", [None, {}, {"export_view": None}, {"export_view": {"value": None}}])
def test_a_page_of_an_unknown_form_harms_itself_alone(
    wiki: Wiki, monkeypatch: pytest.MonkeyPatch, body: Any
) -> None:
    wiki.add(Page("7", "Page", "<p>text</p>"))
    source = source_of(wiki)
    (entry,) = source.list_entries()
    truth = wiki._answer
    monkeypatch.setattr(wiki, "_answer", lambda path, query: {**truth(path, query), "body": body})
    with pytest.raises(DocumentUnreadable, match="unknown form"):
        source.read(entry)


# Who may read


def test_a_restricted_page_is_for_its_users_and_groups_alone(wiki: Wiki) -> None:
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


def test_levels_that_have_nobody_in_common_leave_nobody(wiki: Wiki) -> None:
    wiki.add(Page("1", "Parent", "", users=["ann"]))
    wiki.add(Page("2", "Child", "", parent="1", groups=["board"]))
    assert access_of(wiki, "2") == ()


def test_a_folder_hands_down_restrictions_too() -> None:
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


def test_parents_in_a_circle_are_not_followed_for_ever() -> None:
    assert confluence._ancestors("1", {"1": "2", "2": "3", "3": "2"}) is None


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
def test_restrictions_that_cannot_be_understood_leave_nobody(wiki: Wiki, answer: Any) -> None:
    wiki.add(Page("7", "Page", ""))
    wiki.restrictions_answer = answer
    assert access_of(wiki, "7") == ()


@pytest.mark.parametrize("status", [403, 404])
def test_restrictions_that_may_not_be_read_leave_nobody(status: int) -> None:
    wiki = Wiki(cloud=True)
    try:
        wiki.add(Page("1", "Parent", ""))
        wiki.add(Page("2", "Child", "", parent="1"))
        wiki.unreadable["/wiki/rest/api/content/1/restriction/byOperation/read"] = status
        assert access_of(wiki, "1") == access_of(wiki, "2") == ()
    finally:
        wiki.close()


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_wiki_that_fails_at_restrictions_is_down(status: int) -> None:
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


# Faults of the other side


def test_a_user_and_a_token_make_basic_authentication() -> None:
    wiki = Wiki(username="ann")
    try:
        wiki.add(Page("7", "Page", ""))
        assert len(entries_of(source_of(wiki, username="ann"))) == 1
        with pytest.raises(SourceUnavailable, match="refused username and token"):
            entries_of(source_of(wiki))
    finally:
        wiki.close()


def test_an_expired_login_does_not_look_like_a_smaller_wiki(wiki: Wiki) -> None:
    wiki.add(Page("7", "Public page", ""))
    wiki.headers["X-AUSERNAME"] = "anonymous"
    with pytest.raises(SourceUnavailable, match="anonymous"):
        entries_of(source_of(wiki))


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda answer: answer | {"results": answer["results"][:1], "size": 2}, id="shortened"),
        pytest.param(lambda answer: answer | {"results": None}, id="no results"),
        pytest.param(lambda answer: {"message": "hello"}, id="something else"),
        pytest.param(lambda answer: [], id="a list"),
        pytest.param(lambda answer: answer | {"results": [{"id": "7"}]}, id="pages without title"),
        pytest.param(
            lambda answer: answer | {"results": [page | {"id": "../../7"} for page in answer["results"]]},
            id="an id that is none",
        ),
    ],
)
def test_a_listing_of_another_form_is_not_an_end(
    wiki: Wiki, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    for number in range(5):
        wiki.add(Page(str(number), f"page {number}", ""))
    truth = wiki._answer

    def changed(path: str, query: dict[str, str]) -> Any:
        answer = truth(path, query)
        return change(answer) if path.endswith(("/content", "/v2/pages")) else answer

    monkeypatch.setattr(wiki, "_answer", changed)
    with pytest.raises(SourceUnavailable):
        entries_of(source_of(wiki))


def test_a_full_answer_without_a_next_one_is_not_taken_for_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    wiki = Wiki()
    try:
        for number in range(5):
            wiki.add(Page(str(number), f"page {number}", ""))
        truth = wiki._answer

        def without_next(path: str, query: dict[str, str]) -> Any:
            answer = truth(path, query)
            answer.get("_links", {}).pop("next", None)
            return answer

        monkeypatch.setattr(wiki, "_answer", without_next)
        assert len(entries_of(source_of(wiki))) == 5
    finally:
        wiki.close()


def test_a_listing_in_a_circle_ends(wiki: Wiki, monkeypatch: pytest.MonkeyPatch) -> None:
    wiki.add(Page("7", "Page", ""))
    truth = wiki._answer

    def circular(path: str, query: dict[str, str]) -> Any:
        answer = truth(path, query)
        answer["_links"] = {"next": f"{path}?limit=2&start=0&cursor=0"}
        return answer

    monkeypatch.setattr(wiki, "_answer", circular)
    with pytest.raises(SourceUnavailable, match="circle"):
        entries_of(source_of(wiki))


def test_a_wiki_that_is_asked_too_often_is_asked_again_when_it_says(
    wiki: Wiki, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    wiki.add(Page("7", "Page", "<p>text</p>"))
    source = source_of(wiki)
    (entry,) = source.list_entries()
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        wiki.unreadable.clear()

    monkeypatch.setattr(time, "sleep", sleep)
    wiki.unreadable[body_path(wiki, "7")] = 429
    wiki.headers["Retry-After"] = "86400"
    assert b"text" in source.read(entry).data
    assert confluence_client._LONGEST_RETRY_AFTER_SECONDS in pauses
    assert max(pauses) <= confluence_client._LONGEST_RETRY_AFTER_SECONDS


def test_an_answer_that_drips_for_ever_is_given_up(wiki: Wiki, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each byte comes well within the timeout of one read.
    monkeypatch.setattr(confluence_client, "_LONGEST_RETRY_AFTER_SECONDS", 0)
    source = source_of(wiki, timeout_seconds=0.3)
    wiki.failure = "drip"
    with pytest.raises(SourceUnavailable, match="in time"):
        list(source.list_entries())


def test_halves_of_characters_do_no_harm(wiki: Wiki) -> None:
    wiki.add(Page("7", "b " + chr(0xD83D), "a " + chr(0xD83D)))
    source = source_of(wiki)
    (entry,) = source.list_entries()
    assert source.read(entry).title == "b ?"
    assert repr(entry).encode()


def test_neither_secrets_nor_text_reach_logs_and_errors(wiki: Wiki, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wiki.add(Page("7", "Page", "<p>the whole text</p>"))
    source = source_of(wiki)
    (entry,) = source.list_entries()
    source.read(entry)
    with wiki.failing("error"), pytest.raises(SourceUnavailable) as raised:
        source.read(entry)
    for shown in (caplog.text, str(raised.value), repr(source.options)):
        assert TOKEN not in shown
        assert "whole text" not in shown
        assert "hunter2" not in shown


@pytest.mark.parametrize(
    "url", ["wiki.example.com", "ftp://wiki", "https://ann:secret@wiki.example.com", "https://wiki?a=b"]
)
def test_a_url_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as raised:
        ConfluenceOptions(url=url)
    assert "secret" not in str(raised.value)


def test_cloud_is_below_wiki() -> None:
    for url in ("https://example.atlassian.net", "https://example.atlassian.net/wiki/"):
        options = ConfluenceOptions(url=url, cloud=True)
        assert ConfluenceSource("wiki", options).url == "https://example.atlassian.net/wiki"


def test_importing_the_source_imports_no_client(tmp_path: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys, rag_assets.sources; sys.exit('atlassian' in sys.modules or 'requests' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_its_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confluence, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"atlassian-python-api.*-e '.\[confluence\]'"):
        ConfluenceSource("wiki", ConfluenceOptions(url="https://wiki.example.com"))
