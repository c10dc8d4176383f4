"""Requests to Confluence, Cloud or Data Center: single answers, and listings page by page."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from rag_assets.errors import SourceUnavailable
from rag_assets.sources.wiki_client import Json, Refused, WikiClient

if TYPE_CHECKING:
    from atlassian.rest_client import AtlassianRestAPI

# The client logs whole answers at DEBUG, and answers are documents.
logging.getLogger("atlassian").setLevel(logging.CRITICAL + 1)

_LONGEST_RETRY_AFTER_SECONDS = 30
_MOST_ANSWERS = 100_000
_ABOUT_A_SPACE = frozenset((403, 404))
_REASONS = {401: "refused username and token"}


class ConfluenceClient:
    """Asks one Confluence as one user.

    Args:
        source: name of the source, for messages.
        username: "" for a personal access token.
        page_size: number of results per request in a listing.
    """

    def __init__(
        self,
        source: str,
        url: str,
        *,
        username: str,
        token: str,
        cloud: bool,
        timeout_seconds: float,
        page_size: int,
    ) -> None:
        self._url = url
        self._username = username
        self._token = token
        self._cloud = cloud
        self._timeout_seconds = timeout_seconds
        self._page_size = page_size
        advice = "Check that it is up, that `token` is valid, and which pages its user may read."
        self._wiki = WikiClient(source, f"Confluence at {url}", advice)

    def get(self, path: str, query: Mapping[str, str]) -> Json:
        """Return the JSON object in an answer.

        Raises:
            Refused: a status other than 200.
            SourceUnavailable: no answer in time, or not a JSON object.
        """
        import requests

        def request() -> Any:
            # The raw answer: for some statuses the client returns None or text, without an error.
            response = self._client.get(path, params=dict(query), advanced_mode=True)
            if response.status_code != 200:
                raise Refused(response.status_code, _REASONS)
            # Guests see only part of a wiki: an expired login must not look like deletions.
            if self._token and response.headers.get("X-AUSERNAME") == "anonymous":
                raise self.unavailable("treats this user as anonymous: check username and token")
            answer = response.json()
            if "next" in response.links and not value_at(answer, "_links", "next"):
                raise self.unavailable("answered with an incomplete listing")
            return answer

        patience_seconds = 2 * self._timeout_seconds + _LONGEST_RETRY_AFTER_SECONDS
        return self._wiki.ask(request, patience_seconds, (requests.RequestException,))

    def results(self, path: str, query: Mapping[str, str], *, of_a_space: bool = False) -> Iterator[Json]:
        """Yield all results of a listing. A malformed or interrupted answer is not taken for its end.

        Args:
            of_a_space: whether a refusal concerns one space only.

        Raises:
            Refused: the listing of this space is forbidden or not found.
            SourceUnavailable: the listing is not complete.
        """
        query = {**query, "limit": str(self._page_size)}
        asked: set[tuple[tuple[str, str], ...]] = set()
        num_listed = 0
        try:
            while True:
                asked.add(tuple(sorted(query.items())))
                answer = self.get(path, query)
                results, links = answer["results"], answer.get("_links") or {}
                if (
                    not isinstance(results, list)
                    or answer.get("size", len(results)) != len(results)
                    or int(answer.get("start", query.get("start", 0))) != int(query.get("start", 0))
                ):
                    raise self.unavailable("answered with an incomplete listing")
                yield from results
                num_listed += len(results)
                link = links.get("next")
                if link:
                    query = {**query, **dict(parse_qsl(urlsplit(link).query))}
                elif "start" in answer and len(results) >= int(answer.get("limit") or 1):
                    # A full answer without a next link: one more request makes sure that it was the last.
                    query = {**query, "start": str(int(answer["start"]) + len(results))}
                elif num_listed < int(answer.get("totalSize", 0)):
                    raise self.unavailable("answered with an incomplete listing")
                else:
                    return
                if tuple(sorted(query.items())) in asked or len(asked) >= _MOST_ANSWERS:
                    raise self.unavailable("lists in a circle")
        except Refused as error:
            if of_a_space and error.status in _ABOUT_A_SPACE:
                raise
            raise self.unavailable(error.problem, lasting=error.lasting) from None

    def unavailable(self, problem: str, *, lasting: bool = False) -> SourceUnavailable:
        """See `WikiClient.unavailable`."""
        return self._wiki.unavailable(problem, lasting=lasting)

    @cached_property
    def _client(self) -> "AtlassianRestAPI":
        from atlassian.rest_client import AtlassianRestAPI

        username, token = self._username or None, self._token or None
        client = AtlassianRestAPI(
            self._url,
            username=username,
            password=token if username else None,
            token=None if username else token,
            cloud=self._cloud,
            retry_with_header=True,  # once, after a 429 with a Retry-After header
            max_backoff_seconds=_LONGEST_RETRY_AFTER_SECONDS,
        )
        # The constructor would round it to whole seconds, and half a second to none.
        client.timeout = self._timeout_seconds  # pyright: ignore[reportAttributeAccessIssue]
        return client


def content_id(value: Any) -> str:
    """Return an id, which becomes part of document and request paths.

    Raises:
        ValueError: it is not a number.
    """
    text = str(value)
    if not text.isascii() or not text.isdigit():
        raise ValueError("not an id")
    return text


def content_ids(contents: Sequence[Any]) -> tuple[str, ...] | None:
    """Return the ids of pages in an answer, or None if its form is unknown."""
    try:
        return tuple(content_id(content["id"]) for content in contents)
    except (KeyError, TypeError, ValueError):
        return None


def value_at(answer: Any, *keys: str) -> Any:
    """Return the value under nested keys, or None if a key is missing."""
    value: Any = answer
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
