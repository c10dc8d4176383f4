from rag_assets_tests.sources.web.pages import html, read_all, source_of
from rag_assets_tests.web_site import Reply, WebSite


def test_pages_without_validators_are_compared_by_their_bytes(site: WebSite) -> None:
    site.page("/a", html("a"), etag=False)
    options = {"urls": [f"{site.url}/a"]}
    texts, tokens = read_all(source_of(**options))
    assert texts == {"/a": "a"}
    assert read_all(source_of(**options), tokens) == ({}, tokens)
    assert site.num_bodies == 2
    site.page("/a", html("b"), etag=False)
    assert read_all(source_of(**options), tokens)[0] == {"/a": "b"}


def test_last_modified_is_used_without_an_etag(site: WebSite) -> None:
    when = "Wed, 01 Jul 2026 10:00:00 GMT"

    def reply(headers: dict[str, str]) -> Reply:
        if headers.get("if-modified-since") == when:
            return Reply(status=304)
        return Reply(html("a").encode(), headers={"Last-Modified": when})

    site.replies["/a"] = reply
    _, tokens = read_all(source_of(urls=[f"{site.url}/a"]))
    assert read_all(source_of(urls=[f"{site.url}/a"]), tokens) == ({}, tokens)
    assert site.num_bodies == 1


def test_an_invalid_token_is_ignored(site: WebSite) -> None:
    site.page("/a", html("a"))
    for token in ("12-34-56", "[1]", "{}", '["a", "b", "c", "d", "e"]', "null"):
        assert read_all(source_of(urls=[f"{site.url}/a"]), {"/a": token})[0] == {"/a": "a"}, token
