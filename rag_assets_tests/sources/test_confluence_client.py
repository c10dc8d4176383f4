from collections.abc import Callable
from typing import Any

import pytest

from rag_assets.errors import SourceUnavailable
from rag_assets.sources import confluence_client
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.confluence_pages import body_path, entries_of, source_of
from rag_assets_tests.sources.scenes.confluence import Page, Wiki

require("atlassian")


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
        pytest.param(lambda answer: answer | {"start": 100}, id="another part of the listing"),
        pytest.param(lambda answer: answer | {"totalSize": 100, "_links": {}}, id="a larger total"),
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
def test_a_malformed_listing_is_an_error(wiki: Wiki, monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    for number in range(5):
        wiki.add(Page(str(number), f"page {number}", ""))
    truth = wiki._answer

    def changed(path: str, query: dict[str, str]) -> Any:
        answer = truth(path, query)
        return change(answer) if path.endswith(("/content", "/v2/pages")) else answer

    monkeypatch.setattr(wiki, "_answer", changed)
    with pytest.raises(SourceUnavailable):
        entries_of(source_of(wiki))


def test_a_next_link_only_in_the_header_is_a_contradiction(
    wiki: Wiki, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiki.add(Page("1", "page", ""))
    wiki.headers["Link"] = '</api/v2/pages?cursor=2>; rel="next"'
    with pytest.raises(SourceUnavailable, match="incomplete"):
        entries_of(source_of(wiki))


def test_a_full_answer_without_a_next_link_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_rate_limit_is_obeyed_with_a_maximum_pause(wiki: Wiki, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_an_endlessly_slow_answer_is_given_up(wiki: Wiki, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each byte comes well within the timeout of one read.
    monkeypatch.setattr(confluence_client, "_LONGEST_RETRY_AFTER_SECONDS", 0)
    source = source_of(wiki, timeout_seconds=0.3)
    wiki.failure = "drip"
    with pytest.raises(SourceUnavailable, match="in time"):
        list(source.list_entries())
