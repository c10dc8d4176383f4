"""Pages of Confluence, Data Center or Cloud, with their readers.

The two kinds of Confluence list differently: Data Center by `/rest/api/content`, Cloud by `/api/v2/pages`, because
Cloud has begun to answer the former with 410. Both still give restrictions by `/rest/api`. Requests are in
`confluence_client`, restrictions in `confluence_access`.

The path of a page is `<space key>/<id>`, which survives a new title and a new parent. Only a move to another space
makes a new document, with the same content.
"""

import html
import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

from pydantic import Field, SecretStr, field_validator

from rag_assets.document_metadata.values import NO_METADATA, Metadata
from rag_assets.errors import DocumentGone, DocumentUnreadable
from rag_assets.records import Outage, SourceEntry
from rag_assets.sources.base import (
    DEFAULT_MAX_BYTES,
    Reading,
    RemoteSourceOptions,
    SourceOptions,
    missing_error,
    missing_package_error,
)
from rag_assets.sources.confluence_access import PageReaders
from rag_assets.sources.confluence_client import ConfluenceClient, content_id, content_ids, value_at
from rag_assets.sources.confluence_metadata import LabelSearch, labels_of, metadata_of, with_labels
from rag_assets.sources.option_types import plain_url
from rag_assets.sources.times import iso_utc
from rag_assets.sources.wiki_client import Json, Refused, one_line

_RESTRICTIONS = "restrictions.read.restrictions.user,restrictions.read.restrictions.group"
# The HTML parser recognizes navigation and hidden parts by these. Confluence uses them for panels and layouts.
_MISLEADING_ATTRIBUTE = re.compile(r"""\s(?:class|id|role|style)\s*=\s*(?:"[^"]*"|'[^']*')""", re.IGNORECASE)
_FORBIDDEN = "The user of `token` may not read the page. Allow it."
_TAG = re.compile(r"<[a-zA-Z][^<>]*>")


class ConfluenceOptions(RemoteSourceOptions):
    """Address and user of a Confluence, and the spaces to read."""

    url: str = Field(
        description="Base URL with the context path, such as `https://wiki.example.com/confluence` or "
        "`https://example.atlassian.net/wiki`."
    )
    username: str = Field(
        "", description="User name or email of the token's owner. Empty for a personal access token."
    )
    token: SecretStr = Field(
        SecretStr(""), description="API token or password of the user, or a personal access token."
    )
    cloud: bool = Field(False, description="Whether this is Confluence Cloud rather than Data Center.")
    spaces: tuple[str, ...] = Field(
        (), description="Keys of the spaces to read. Empty: all spaces visible to the user."
    )
    read_access: bool = Field(
        True, description="Whether to read access lists: restrictions of each page and of its ancestors."
    )
    read_labels: bool = Field(True, description="Whether to read the labels of pages as metadata.")
    page_size: int = Field(200, gt=0, le=250, description="Pages per request in a listing.")
    max_bytes: int = Field(DEFAULT_MAX_BYTES, gt=0, description="Larger pages are quarantined.")

    @field_validator("url")
    @classmethod
    def _is_a_plain_url(cls, url: str) -> str:
        return plain_url(url, "credentials belong in `username` and `token`")


@dataclass(frozen=True, slots=True)
class _Page:
    """A listed page, of either kind of Confluence.

    Attributes:
        ancestors: ids in any order, or None if the listing did not include them.
        restrictions: those of the page itself, as in the answer, or None if the listing did not include them.
        metadata: with labels, if they are read.
    """

    id: str
    space: str
    title: str
    version: str
    modified_at: str | None
    ancestors: tuple[str, ...] | None = None
    restrictions: Json | None = None
    metadata: Metadata = NO_METADATA


class ConfluenceSource:
    """The current pages of Confluence. Blog posts, comments, attachments, drafts and archived pages are left out."""

    Options: ClassVar[type[SourceOptions]] = ConfluenceOptions
    parallel_reads = 4

    def __init__(self, name: str, options: ConfluenceOptions) -> None:
        if find_spec("atlassian") is None:
            raise missing_package_error(name, "atlassian-python-api", "confluence")
        self.name = name
        self.options = options
        self._refused: dict[str, str] = {}
        self.url = options.url
        if options.cloud and not self.url.endswith("/wiki"):
            self.url += "/wiki"
        self._client = ConfluenceClient(
            name,
            self.url,
            username=options.username,
            token=options.token.get_secret_value(),
            cloud=options.cloud,
            timeout_seconds=options.timeout_seconds,
            page_size=options.page_size,
        )

    def list_entries(self) -> Iterator[SourceEntry]:
        """Yield one entry per page.

        Raises:
            SourceUnavailable: Confluence did not answer as expected, or the listing is incomplete.
        """
        self._refused = {}
        pages = self._pages_of_cloud() if self.options.cloud else self._pages_of_data_center()
        access = PageReaders(self._client, cloud=self.options.cloud) if self.options.read_access else None
        listed: set[str] = set()
        try:
            for page in pages:
                # A listing by offset repeats a page if another one is inserted before it meanwhile.
                if page.id in listed:
                    continue
                listed.add(page.id)
                readers = None
                if access is not None:
                    readers = access.readers(page.id, page.space, page.ancestors, page.restrictions)
                yield self._entry(page, readers)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._client.unavailable("answered with a listing of an unknown form") from None

    def look_for(self, path: str) -> SourceEntry | None:
        """See `FindsOmitted`. A listing by offset skips a page if one before it is deleted meanwhile.

        Cloud lists by cursor.
        """
        space, _, page_id = path.rpartition("/")
        if self.options.cloud or (self.options.spaces and space not in self.options.spaces):
            return None
        try:
            answer = self._client.get(f"rest/api/content/{page_id}", {"expand": self._expansions()})
            if answer["status"] != "current":
                return None
            page = self._page_of_data_center(answer)
            readers = None
            if self.options.read_access:
                access = PageReaders(self._client, cloud=False)
                readers = access.readers(page.id, page.space, page.ancestors, page.restrictions)
            return self._entry(page, readers)
        except Refused as error:
            if error.status == 404:
                return None
            if error.status == 403:
                raise DocumentUnreadable("unreadable", _FORBIDDEN) from None
            raise self._client.unavailable(error.problem, lasting=error.lasting) from None
        except (KeyError, TypeError, ValueError, AttributeError):
            reason = "Confluence answered with a page of an unknown form."
            raise DocumentUnreadable("unreadable", reason) from None

    def read(self, entry: SourceEntry, known_token: str = "") -> Reading:
        """Return one page as HTML, with rendered macros.

        Raises:
            DocumentGone: archived, or in the trash.
            DocumentUnreadable: `too_large`, or `unreadable`: forbidden for this user, or not found.
            SourceUnavailable: Confluence did not answer as expected.
        """
        del known_token  # the caller has compared it already
        page_id = entry.path.rpartition("/")[2]
        try:
            if self.options.cloud:
                page = self._client.get(f"api/v2/pages/{page_id}", {"body-format": "export_view"})
            else:
                page = self._client.get(f"rest/api/content/{page_id}", {"expand": "body.export_view,version"})
        except Refused as error:
            if error.status == 404:
                raise missing_error() from None
            if error.status == 403:
                raise DocumentUnreadable("unreadable", _FORBIDDEN) from None
            raise self._client.unavailable(error.problem, lasting=error.lasting) from None
        if page.get("status") not in (None, "current"):
            raise DocumentGone("The page is archived or in the trash.")
        try:
            title, version = one_line(page["title"]), str(page["version"]["number"])
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
            # Not the link with the title, which may belong to another page tomorrow.
            uri=f"{self.url}/pages/viewpage.action?pageId={page.id}",
            path=path,
            filename=_filename(page.title),
            version_token=_token(page.version, page.title),
            size_bytes=0,
            modified_at=page.modified_at,
            access=access,
            metadata=page.metadata,
        )

    # Listing

    def _pages_of_data_center(self) -> Iterator[_Page]:
        for space in self.options.spaces or (None,):
            query = {"type": "page", "status": "current", "expand": self._expansions()}
            if space is not None:
                query["spaceKey"] = space
            with self._one_space(space):
                for page in self._client.results("rest/api/content", query, of_a_space=space is not None):
                    if page["status"] == "current":
                        yield self._page_of_data_center(page)
        self._require_a_space()

    @contextmanager
    def _one_space(self, space: str | None) -> Generator[None]:
        """Note the space as refused, in place of the whole wiki."""
        try:
            yield
        except Refused as error:
            if space is None:
                raise self._client.unavailable(error.problem, lasting=error.lasting) from None
            self._refused[space] = error.problem

    def _require_a_space(self) -> None:
        if self._refused and self._refused.keys() >= set(self.options.spaces):
            problem = next(iter(self._refused.values()))
            self._refused = {}
            raise self._client.unavailable(problem)

    def outages(self) -> list[Outage]:
        """See `FailsInParts`. Each is a space."""
        return [
            Outage(self.name, f"space {space}", f"Confluence {problem}", below=f"{space}/")
            for space, problem in self._refused.items()
        ]

    def _expansions(self) -> str:
        expand = ["version", "space", "history"]
        if self.options.read_labels:
            expand.append("metadata.labels")
        if self.options.read_access:
            expand += ["ancestors", _RESTRICTIONS]
        return ",".join(expand)

    def _page_of_data_center(self, page: Json) -> _Page:
        ancestors = page.get("ancestors")
        space_key = str(page["space"]["key"])
        metadata = metadata_of(page, space_key)
        if self.options.read_labels:
            metadata = with_labels(metadata, labels_of(page), "missing in the answer")
        return _Page(
            id=content_id(page["id"]),
            space=space_key,
            title=one_line(page["title"]),
            version=str(page["version"]["number"]),
            modified_at=iso_utc(page["version"].get("when")),
            ancestors=content_ids(ancestors) if isinstance(ancestors, list) else None,
            restrictions=value_at(page, "restrictions", "read", "restrictions"),
            metadata=metadata,
        )

    def _pages_of_cloud(self) -> Iterator[_Page]:
        client = self._client
        query = {"keys": ",".join(self.options.spaces)} if self.options.spaces else {}
        keys = {
            content_id(space["id"]): str(space["key"]) for space in client.results("api/v2/spaces", query)
        }
        for space in sorted(set(self.options.spaces) - set(keys.values())):
            self._refused[space] = f"shows this user no space {space}"
        self._require_a_space()
        labels = (
            LabelSearch(client, self.options.spaces, self.options.page_size)
            if self.options.read_labels
            else None
        )
        found: list[Json] = []
        try:
            for space in sorted(keys) if self.options.spaces else (None,):
                query = {"status": "current"} | ({} if space is None else {"space-id": space})
                with self._one_space(keys.get(space) if space is not None else None):
                    found += client.results("api/v2/pages", query, of_a_space=space is not None)
            self._require_a_space()
            if labels is not None:
                labels.wait()
        finally:
            if labels is not None:
                labels.stop()
        parents = {content_id(page["id"]): page.get("parentId") for page in found}
        for page in found:
            if page["status"] != "current":
                continue
            if content_id(page["spaceId"]) not in keys:
                raise client.unavailable("listed a page of a space missing from its list of spaces")
            page_id, space_key = content_id(page["id"]), keys[content_id(page["spaceId"])]
            metadata = metadata_of(page, space_key)
            if labels is not None:
                metadata = with_labels(metadata, labels.of(page_id), labels.problem)
            yield _Page(
                id=page_id,
                space=space_key,
                title=one_line(page["title"]),
                version=str(page["version"]["number"]),
                modified_at=iso_utc(page["version"].get("createdAt")),
                ancestors=_ancestors(page_id, parents),
                metadata=metadata,
            )


def _ancestors(page_id: str, parents: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the ids above a page, or None if one of them was not listed, for example a folder."""
    ancestors: list[str] = []
    current: Any = parents[page_id]
    while current is not None:
        current = content_id(current)
        if current not in parents or current in ancestors:
            return None
        ancestors.append(current)
        current = parents[current]
    return tuple(ancestors)


def _token(version: str, title: str) -> str:
    # A new title is a new version, but a restored or imported page may keep its version number.
    return f"{version} {title}"


def _filename(title: str) -> str:
    return f"{title.replace('/', '-')}.html"


def _document(title: str, body: str) -> bytes:
    """Return a complete HTML page. The HTML parser takes everything in it for content."""
    body = _TAG.sub(lambda tag: _MISLEADING_ATTRIBUTE.sub("", tag[0]), body)
    heading = html.escape(title)
    return (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{heading}</title></head>'
        f"<body><h1>{heading}</h1>{body}</body></html>"
    ).encode(errors="replace")
