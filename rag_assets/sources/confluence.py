"""Pages of Confluence, Data Center or Cloud, with who may read them.

Here belongs how pages are listed, read and addressed, and what a page's restrictions come to. The two kinds of
Confluence list differently: Data Center by `/rest/api/content`, Cloud by `/api/v2/pages`, for Cloud has begun to
answer the former with 410. Restrictions are still asked by `/rest/api` on both.

A page is `<space key>/<id>`: that survives a new title and a new parent. Only a move to another space makes
another document of it, with the same content.
"""

import html
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, SecretStr, field_validator

from rag_assets.errors import DocumentGone, DocumentUnreadable, SourceUnavailable
from rag_assets.records import SourceEntry
from rag_assets.sources.base import (
    DEFAULT_MAX_BYTES,
    Reading,
    RemoteSourceOptions,
    SourceOptions,
    missing_package_error,
)
from rag_assets.time_limits import NothingCame, within

if TYPE_CHECKING:
    from atlassian.rest_client import AtlassianRestAPI

Json = Mapping[str, Any]

# At DEBUG the client logs whole answers, which are documents.
logging.getLogger("atlassian").setLevel(logging.CRITICAL + 1)

_LONGEST_RETRY_AFTER_SECONDS = 30
_MOST_ANSWERS = 100_000
_SUBJECTS_AT_ONCE = 200
_RESTRICTIONS = "restrictions.read.restrictions.user,restrictions.read.restrictions.group"
# By these the HTML parser tells navigation and hidden parts; Confluence gives them to panels and layouts.
_MISLEADING_ATTRIBUTE = re.compile(r"""\s(?:class|id|role|style)\s*=\s*(?:"[^"]*"|'[^']*')""", re.IGNORECASE)
_TAG = re.compile(r"<[a-zA-Z][^<>]*>")


class ConfluenceOptions(RemoteSourceOptions):
    """Which Confluence, as whom, and which of its spaces."""

    url: str = Field(
        description="Base URL with the context path, such as `https://wiki.example.com/confluence` or "
        "`https://example.atlassian.net/wiki`."
    )
    username: str = Field(
        "", description="User name or email that the token belongs to. Empty for a personal access token."
    )
    token: SecretStr = Field(
        SecretStr(""), description="API token or password of the user, or a personal access token."
    )
    cloud: bool = Field(False, description="Whether it is Confluence Cloud rather than Data Center.")
    spaces: tuple[str, ...] = Field(
        (), description="Keys of the spaces to read; none means all that the user can see."
    )
    read_access: bool = Field(
        True, description="Whether to read who may see a page: its restrictions and those of its ancestors."
    )
    page_size: int = Field(200, gt=0, le=250, description="How many pages to list with one request.")
    max_bytes: int = Field(DEFAULT_MAX_BYTES, gt=0, description="Larger pages are quarantined.")

    @field_validator("url")
    @classmethod
    def _is_a_plain_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("expected an http or https URL without query")
        if parts.username is not None or parts.password is not None:
            raise ValueError("credentials belong into username and token, not into the URL")
        return url.rstrip("/")


@dataclass(frozen=True, slots=True)
class _Page:
    """A page as listed, by either kind of Confluence.

    Attributes:
        ancestors: ids, in any order; None where they are not known from the listing.
        restrictions: its own, as Confluence has them; None where they are not known from the listing.
    """

    id: str
    space: str
    title: str
    version: str
    modified_at: str | None
    ancestors: tuple[str, ...] | None = None
    restrictions: Json | None = None


class ConfluenceSource:
    """The current pages of Confluence; no blog posts, comments, attachments, drafts, and nothing archived."""

    Options: ClassVar[type[SourceOptions]] = ConfluenceOptions
    parallel_reads = 4

    def __init__(self, name: str, options: ConfluenceOptions) -> None:
        if find_spec("atlassian") is None:
            raise missing_package_error(name, "atlassian-python-api", "confluence")
        self.name = name
        self.options = options
        self.url = options.url
        if options.cloud and not self.url.endswith("/wiki"):
            self.url += "/wiki"

    def list_entries(self) -> Iterator[SourceEntry]:
        """Yield one entry a page.

        Raises:
            SourceUnavailable: it did not answer as it should, or not everything.
        """
        pages = self._pages_of_cloud() if self.options.cloud else self._pages_of_data_center()
        restrictions = _Restrictions(self) if self.options.read_access else None
        listed: set[str] = set()
        try:
            for page in pages:
                # Listing by offset shows a page twice when another comes in before it meanwhile.
                if page.id not in listed:
                    listed.add(page.id)
                    yield self._entry(page, restrictions.readers(page) if restrictions else None)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self.unavailable("answered with a listing of an unknown form") from None

    def read(self, entry: SourceEntry, known_token: str = "") -> Reading:
        """Return one page as HTML, macros rendered.

        Raises:
            DocumentGone: there is no such page, for this user.
            DocumentUnreadable: `too_large`, or `unreadable`: not for this user.
            SourceUnavailable: Confluence did not answer as it should.
        """
        del known_token  # whoever asks has compared it already
        page_id = entry.path.rpartition("/")[2]
        try:
            if self.options.cloud:
                page = self.get(f"api/v2/pages/{page_id}", {"body-format": "export_view"})
            else:
                page = self.get(f"rest/api/content/{page_id}", {"expand": "body.export_view,version"})
        except _Refused as error:
            if error.status == 404:
                raise DocumentGone("Confluence has no such page, or does not show it to this user.") from None
            if error.status == 403:
                raise DocumentUnreadable("unreadable", "This user may not read the page.") from None
            raise self.unavailable(error.problem) from None
        if page.get("status") not in (None, "current"):
            raise DocumentGone("The page is archived or in the trash.")
        try:
            title, version = _title(page["title"]), str(page["version"]["number"])
            body = page["body"]["export_view"]["value"]
            if len(body) > self.options.max_bytes:
                raise DocumentUnreadable("too_large", f"{len(body) / 1e6:.0f} MB of HTML.")
            return Reading(_document(title, body), _filename(title), title, _token(version, title))
        except (KeyError, TypeError):
            reason = "Confluence answered with a page of an unknown form."
            raise DocumentUnreadable("unreadable", reason) from None

    def _entry(self, page: _Page, access: tuple[str, ...] | None) -> SourceEntry:
        path = f"{page.space}/{page.id}"
        return SourceEntry(
            document_id=f"{self.name}:{path}",
            source=self.name,
            # Not the link with the title: another page may bear that tomorrow.
            uri=f"{self.url}/pages/viewpage.action?pageId={page.id}",
            path=path,
            filename=_filename(page.title),
            version_token=_token(page.version, page.title),
            size_bytes=0,
            modified_at=page.modified_at,
            access=access,
        )

    # Listing

    def _pages_of_data_center(self) -> Iterator[_Page]:
        expand = ["version", "space"]
        if self.options.read_access:
            expand += ["ancestors", _RESTRICTIONS]
        for space in self.options.spaces or (None,):
            query = {"type": "page", "status": "current", "expand": ",".join(expand)}
            if space is not None:
                query["spaceKey"] = space
            for page in self._results("rest/api/content", query):
                if page["status"] != "current":
                    continue
                ancestors = page.get("ancestors")
                yield _Page(
                    id=_id(page["id"]),
                    space=str(page["space"]["key"]),
                    title=_title(page["title"]),
                    version=str(page["version"]["number"]),
                    modified_at=_iso_utc(page["version"].get("when")),
                    ancestors=_ids(ancestors) if isinstance(ancestors, list) else None,
                    restrictions=_at(page, "restrictions", "read", "restrictions"),
                )

    def _pages_of_cloud(self) -> Iterator[_Page]:
        query = {"keys": ",".join(self.options.spaces)} if self.options.spaces else {}
        keys = {_id(space["id"]): str(space["key"]) for space in self._results("api/v2/spaces", query)}
        missing = set(self.options.spaces) - set(keys.values())
        if missing:
            raise self.unavailable(f"shows this user no space {', '.join(sorted(missing))}")
        found: list[Json] = []
        for space in sorted(keys) if self.options.spaces else (None,):
            query = {"status": "current"} | ({} if space is None else {"space-id": space})
            found += self._results("api/v2/pages", query)
        parents = {_id(page["id"]): page.get("parentId") for page in found}
        for page in found:
            if page["status"] != "current":
                continue
            if _id(page["spaceId"]) not in keys:
                raise self.unavailable("listed a page of a space that it had not listed")
            yield _Page(
                id=_id(page["id"]),
                space=keys[_id(page["spaceId"])],
                title=_title(page["title"]),
                version=str(page["version"]["number"]),
                modified_at=_iso_utc(page["version"].get("createdAt")),
                ancestors=_chain(_id(page["id"]), parents),
            )

    def _results(self, path: str, query: Mapping[str, str]) -> Iterator[Json]:
        """Yield all results of a listing. What breaks off, or is not of the form, is not an end."""
        query = {**query, "limit": str(self.options.page_size)}
        asked: set[tuple[tuple[str, str], ...]] = set()
        try:
            while True:
                asked.add(tuple(sorted(query.items())))
                answer = self.get(path, query)
                results, links = answer["results"], answer.get("_links") or {}
                if not isinstance(results, list) or answer.get("size", len(results)) != len(results):
                    raise self.unavailable("answered with a listing that is not whole")
                yield from results
                link = links.get("next")
                if link:
                    query = {**query, **dict(parse_qsl(urlsplit(link).query))}
                elif "start" in answer and len(results) >= int(answer.get("limit") or 1):
                    # As full as it can be, and yet said to be the last: rather ask once more.
                    query = {**query, "start": str(int(answer["start"]) + len(results))}
                else:
                    return
                if tuple(sorted(query.items())) in asked or len(asked) >= _MOST_ANSWERS:
                    raise self.unavailable("lists in a circle")
        except _Refused as error:
            raise self.unavailable(error.problem) from None

    # Requests

    @cached_property
    def _client(self) -> "AtlassianRestAPI":
        from atlassian.rest_client import AtlassianRestAPI

        username, token = self.options.username or None, self.options.token.get_secret_value() or None
        client = AtlassianRestAPI(
            self.url,
            username=username,
            password=token if username else None,
            token=None if username else token,
            cloud=self.options.cloud,
            retry_with_header=True,  # once, after a 429 that says when
            max_backoff_seconds=_LONGEST_RETRY_AFTER_SECONDS,
        )
        # The constructor would make it whole seconds, half of one no time at all.
        client.timeout = self.options.timeout_seconds  # pyright: ignore[reportAttributeAccessIssue]
        return client

    def get(self, path: str, query: Mapping[str, str]) -> Json:
        """Ask Confluence for an object.

        Raises:
            _Refused: a status other than 200.
            SourceUnavailable: anything else than such an object.
        """
        import requests

        client = self._client
        try:
            response = within(
                2 * self.options.timeout_seconds + _LONGEST_RETRY_AFTER_SECONDS,
                # The raw answer: from others the client makes None, or text, without a word.
                lambda: client.get(path, params=dict(query), advanced_mode=True),
            )
            if response.status_code != 200:
                raise _Refused(response.status_code)
            # What the guests of a wiki see is not all of it: an expired login must not look like deletions.
            if self.options.token.get_secret_value() and response.headers.get("X-AUSERNAME") == "anonymous":
                raise self.unavailable("takes this user for anonymous: see username and token")
            answer = response.json()
        except NothingCame:
            raise self.unavailable("did not answer in time") from None
        except (requests.RequestException, OSError, ValueError) as error:
            raise self.unavailable(f"did not answer as it should ({type(error).__name__})") from None
        if not isinstance(answer, dict):
            raise self.unavailable("answered with something unknown")
        return answer

    def unavailable(self, problem: str) -> SourceUnavailable:
        return SourceUnavailable(
            f"source {self.name}: Confluence at {self.url} {problem}. See whether it is up, and what its "
            "user may read."
        )


class _Refused(Exception):
    """A status other than 200."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status
        reasons = {401: "refuses username and token", 403: "forbids it", 429: "is asked too often"}
        self.problem = f"{reasons.get(status, 'did not answer as it should')} (HTTP {status})"


class _Restrictions:
    """Who may read a page: whoever may read it and everything above it.

    Where restrictions cannot be read nobody may: a page must not become public because a question failed.
    """

    def __init__(self, source: ConfluenceSource) -> None:
        self._source = source
        self._known: dict[str, frozenset[str] | None] = {}

    def readers(self, page: _Page) -> tuple[str, ...]:
        """Return principals `user:…`, `group:…`, `space:…`; none means that nobody may read it."""
        if page.restrictions is not None:
            self._known[page.id] = _subjects(page.restrictions)
        ancestors = page.ancestors
        if ancestors is None:
            ancestors = self._ask_for_ancestors(page.id)
        if ancestors is None:
            return ()
        readers: frozenset[str] | None = None
        for content_id in (page.id, *ancestors):
            subjects = self._subjects_of(content_id)
            if subjects is None:
                return ()
            if subjects:
                readers = subjects if readers is None else readers & subjects
        return (f"space:{page.space}",) if readers is None else tuple(sorted(readers))

    def _subjects_of(self, content_id: str) -> frozenset[str] | None:
        """Return whom one level is restricted to, nobody in particular if it is empty; None if that is not known."""
        if content_id not in self._known:
            answer = self._ask(
                f"rest/api/content/{content_id}/restriction/byOperation/read",
                {"expand": "restrictions.user,restrictions.group", "limit": str(_SUBJECTS_AT_ONCE)},
            )
            self._known[content_id] = _subjects(_at(answer, "restrictions"))
        return self._known[content_id]

    def _ask_for_ancestors(self, page_id: str) -> tuple[str, ...] | None:
        if not self._source.options.cloud:
            answer = self._ask(f"rest/api/content/{page_id}", {"expand": "ancestors"})
            found = (answer or {}).get("ancestors")
            return _ids(found) if isinstance(found, list) else None
        limit = 250
        answer = self._ask(f"api/v2/pages/{page_id}/ancestors", {"limit": str(limit)})
        found = (answer or {}).get("results")
        return _ids(found) if isinstance(found, list) and len(found) < limit else None

    def _ask(self, path: str, query: Mapping[str, str]) -> Json | None:
        """Return an answer; None if it is refused for this content. Raises: SourceUnavailable."""
        try:
            return self._source.get(path, query)
        except _Refused as error:
            if error.status in (401, 429) or error.status >= 500:
                raise self._source.unavailable(error.problem) from None
            return None


def _subjects(restrictions: Any) -> frozenset[str] | None:
    """Return the users and groups of a read restriction; None if they are not all there, or not of the form."""
    try:
        found: set[str] = set()
        for kind in ("user", "group"):
            subjects = restrictions[kind]
            results = subjects["results"]
            size = subjects.get("size", len(results))
            is_cut_off = subjects.get("limit") is not None and len(results) >= subjects["limit"]
            if (subjects.get("_links") or {}).get("next") or size != len(results) or is_cut_off:
                return None
            found.update(f"{kind}:{_principal(kind, subject)}" for subject in results)
        return frozenset(found)
    except (KeyError, TypeError, AttributeError):
        return None


def _principal(kind: str, subject: Json) -> str:
    """Return a group by its name, a user of Cloud by account id, one of Data Center by user name."""
    name = subject["name"] if kind == "group" else subject.get("accountId") or subject["username"]
    if not isinstance(name, str) or not name:
        raise TypeError
    return name


def _chain(page_id: str, parents: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the ids above a page; None if the way up leads out of what was listed, such as into a folder."""
    ancestors: list[str] = []
    current: Any = parents[page_id]
    while current is not None:
        current = _id(current)
        if current not in parents or current in ancestors:
            return None
        ancestors.append(current)
        current = parents[current]
    return tuple(ancestors)


def _ids(contents: Sequence[Any]) -> tuple[str, ...] | None:
    try:
        return tuple(_id(content["id"]) for content in contents)
    except (KeyError, TypeError, ValueError):
        return None


def _id(value: Any) -> str:
    """Return an id. It goes into paths, of documents and of requests."""
    text = str(value)
    if not text.isascii() or not text.isdigit():
        raise ValueError("not an id")
    return text


def _at(answer: Json | None, *keys: str) -> Any:
    """Return what is found under these keys, one below the other; None if something is missing."""
    value: Any = answer
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _title(text: Any) -> str:
    return (
        " ".join(str(text).split()).encode(errors="replace").decode()
    )  # JSON lets halves of characters through


def _token(version: str, title: str) -> str:
    # A new title is a new version too; that a restored or imported page has another one is not sure.
    return f"{version} {title}"


def _filename(title: str) -> str:
    return f"{title.replace('/', '-')}.html"


def _iso_utc(time: Any) -> str | None:
    try:
        return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (TypeError, ValueError, OverflowError):
        return None


def _document(title: str, body: str) -> bytes:
    """Return a page of its own, in which the HTML parser takes everything for content."""
    body = _TAG.sub(lambda tag: _MISLEADING_ATTRIBUTE.sub("", tag[0]), body)
    heading = html.escape(title)
    return (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{heading}</title></head>'
        f"<body><h1>{heading}</h1>{body}</body></html>"
    ).encode(errors="replace")
