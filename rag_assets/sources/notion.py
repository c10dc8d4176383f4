"""Pages of Notion shared with an integration.

The text of a block is made in `notion_markdown`. Uses API version 2025-09-03, in which the rows of a database belong to
its data sources. A page is identified by its id, independent of its title and its place.
"""

import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, cast
from uuid import UUID

from pydantic import Field, SecretStr, field_validator

from rag_assets.errors import DocumentGone, DocumentUnreadable
from rag_assets.records import SourceEntry
from rag_assets.sources.base import (
    Reading,
    RemoteSourceOptions,
    SourceOptions,
    missing_error,
    missing_package_error,
)
from rag_assets.sources.notion_markdown import CHILDREN, markdown_of_page, title_of
from rag_assets.sources.notion_metadata import metadata_of
from rag_assets.sources.option_types import plain_url
from rag_assets.sources.times import iso_utc
from rag_assets.sources.wiki_client import Json, Refused, WikiClient

if TYPE_CHECKING:
    from notion_client import Client

# One log line per request is noise.
logging.getLogger("httpx").setLevel(logging.WARNING)

API_VERSION = "2025-09-03"
_UNTRUSTED_SECONDS = 120
"""Times of change are whole minutes: a page changed in the last two may change again with the same time."""
_MAX_RETRIES = 2
_FIRST_RETRY_DELAY_MS = 500
_LONGEST_RETRY_AFTER_SECONDS = 30
_MOST_ANSWERS = 100_000
_DEEPEST_BLOCK = 30
# These are documents of their own.
_NOT_ENTERED = ("child_page", "child_database")
_REASONS = {401: "refused the token", 404: "shows this integration no such thing"}


class NotionOptions(RemoteSourceOptions):
    """The integration, and the pages to read."""

    token: SecretStr = Field(description="Secret of the integration with access to the pages.")
    base_url: str = Field("https://api.notion.com", description="URL of the API, or of a proxy for it.")
    data_sources: tuple[str, ...] = Field(
        (),
        description="Ids of data sources (tables of databases) with the pages to read. Empty: all pages found by "
        "the search for shared pages.",
    )
    page_size: int = Field(100, gt=0, le=100, description="Pages per request in a listing.")
    max_blocks: int = Field(10_000, gt=0, description="Pages with more blocks are quarantined.")

    @field_validator("base_url")
    @classmethod
    def _is_a_plain_url(cls, url: str) -> str:
        return plain_url(url, "the secret belongs in `token`")


class NotionSource:
    """The pages visible to an integration. Pages of databases include their properties.

    The API has no access lists, so the only one is `options.access`.
    """

    Options: ClassVar[type[SourceOptions]] = NotionOptions
    parallel_reads = 2  # Notion allows three requests per second

    def __init__(self, name: str, options: NotionOptions) -> None:
        if find_spec("notion_client") is None:
            raise missing_package_error(name, "notion-client", "notion")
        self.name = name
        self.options = options
        advice = (
            "Check that it is up, that `token` is valid, and which pages are shared with the integration."
        )
        self._wiki = WikiClient(name, f"Notion at {options.base_url}", advice)

    def list_entries(self) -> Iterator[SourceEntry]:
        """Yield one entry per page.

        Raises:
            SourceUnavailable: Notion did not answer as expected, or the listing is incomplete.
        """
        listed: set[str] = set()
        try:
            for page in self._pages():
                if page["object"] != "page":
                    continue
                page_id = _id(page["id"])
                # Pages change during the search, which may list one twice.
                if page_id in listed or _is_in_trash(page):
                    continue
                listed.add(page_id)
                yield self._entry(page_id, page)
        except Refused as error:
            raise self._wiki.unavailable(error.problem, lasting=error.lasting) from None
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._wiki.unavailable("answered with a listing of an unknown form") from None

    def look_for(self, path: str) -> SourceEntry | None:
        """See `FindsOmitted`. The search may omit a page. The rows of data sources are complete."""
        if self.options.data_sources:
            return None
        try:
            page = self._ask(lambda client: client.pages.retrieve(path))
            return None if _is_in_trash(page) else self._entry(path, page)
        except Refused as error:
            if error.status == 404:
                return None
            if error.status in (400, 403):
                raise DocumentUnreadable("unreadable", f"Notion refuses it (HTTP {error.status}).") from None
            raise self._wiki.unavailable(error.problem, lasting=error.lasting) from None
        except (KeyError, TypeError, ValueError, AttributeError):
            raise DocumentUnreadable(
                "unreadable", "Notion answered with a page of an unknown form."
            ) from None

    def read(self, entry: SourceEntry, known_token: str = "") -> Reading:
        """Return one page as Markdown.

        Raises:
            DocumentGone: in the trash.
            DocumentUnreadable: `too_large`, or `unreadable`: refused for integrations, or not found.
            SourceUnavailable: Notion did not answer as expected.
        """
        del known_token  # the caller has compared it already
        try:
            page = self._ask(lambda client: client.pages.retrieve(entry.path))
            if _is_in_trash(page):
                raise DocumentGone("The page is in the trash.")
            blocks = self._blocks_below(entry.path, _Budget(self.options.max_blocks))
            title = title_of(page["properties"])
            is_row = page["parent"]["type"] in ("data_source_id", "database_id")
            text = markdown_of_page(title, page["properties"] if is_row else {}, blocks)
            version_token = _token(_time(page["last_edited_time"]))
        except Refused as error:
            if error.status == 404:
                raise missing_error() from None
            if error.status in (400, 403):
                reason = f"Notion refuses it (HTTP {error.status}). Share the page with the integration."
                raise DocumentUnreadable("unreadable", reason) from None
            raise self._wiki.unavailable(error.problem, lasting=error.lasting) from None
        except (KeyError, TypeError, ValueError, AttributeError):
            raise DocumentUnreadable(
                "unreadable", "Notion answered with a page of an unknown form."
            ) from None
        return Reading(text.encode(errors="replace"), _filename(title), title, version_token)

    def _entry(self, page_id: str, page: Json) -> SourceEntry:
        edited_at = _time(page["last_edited_time"])
        return SourceEntry(
            document_id=f"{self.name}:{page_id}",
            source=self.name,
            # Without the title in Notion's own link, which would change with it.
            uri=f"https://www.notion.so/{UUID(page_id).hex}",
            path=page_id,
            filename=_filename(title_of(page["properties"])),
            version_token=_token(edited_at),
            size_bytes=0,
            modified_at=iso_utc(edited_at),
            metadata=metadata_of(page),
        )

    def _pages(self) -> Iterator[Json]:
        size = self.options.page_size
        if not self.options.data_sources:
            # By time of change: pages of equal relevance would come in any order.
            order = {"timestamp": "last_edited_time", "direction": "ascending"}
            only = {"property": "object", "value": "page"}
            yield from self._results(
                lambda client, cursor: client.search(
                    filter=only, sort=order, page_size=size, start_cursor=cursor
                )
            )
        refused: list[str] = []
        for data_source in self.options.data_sources:
            try:
                yield from self._results(
                    lambda client, cursor, data_source=data_source: client.data_sources.query(
                        data_source, result_type="page", page_size=size, start_cursor=cursor
                    )
                )
            except Refused as error:
                # The others are listed all the same. Nothing tells which pages belong to this one.
                refused.append(f"{error.problem} for data source {data_source}")
        if refused:
            raise self._wiki.unavailable("; ".join(refused))

    def _blocks_below(self, block_id: str, budget: "_Budget", depth: int = 0) -> list[Json]:
        if depth > _DEEPEST_BLOCK:
            raise DocumentUnreadable(
                "too_large", f"Its blocks are nested more than {_DEEPEST_BLOCK} levels deep."
            )
        blocks: list[Json] = []
        for block in self._results(
            lambda client, cursor: client.blocks.children.list(block_id, page_size=100, start_cursor=cursor)
        ):
            budget.spend()
            if block.get("has_children") and block.get("type") not in _NOT_ENTERED:
                try:
                    block = {**block, CHILDREN: self._blocks_below(_id(block["id"]), budget, depth + 1)}
                except Refused as error:
                    # The original of a synced block may be on a page not shared with the integration.
                    if error.status != 404:
                        raise
            blocks.append(block)
        return blocks

    # Requests

    def _results(self, ask: "Callable[[Client, str | None], Any]") -> Iterator[Json]:
        """Yield all results of a listing. Not with the client's own iterator: it takes a missing cursor for the end."""
        cursor: str | None = None
        seen: set[str] = set()
        while True:
            answer = self._ask(lambda client, cursor=cursor: ask(client, cursor))
            results, has_more = answer.get("results"), answer.get("has_more")
            if not isinstance(results, list) or not isinstance(has_more, bool):
                raise self._wiki.unavailable("answered with a listing of an unknown form")
            yield from cast("list[Json]", results)
            cursor = answer.get("next_cursor")
            # A query of more than 10,000 rows ends with `has_more` false and this status.
            status = answer.get("request_status")
            if (isinstance(status, dict) and status.get("type") == "incomplete") or (cursor and not has_more):
                raise self._wiki.unavailable("answered with an incomplete listing")
            if not has_more:
                return
            if not cursor or cursor in seen or len(seen) >= _MOST_ANSWERS:
                raise self._wiki.unavailable("has more results, but no valid cursor for them")
            seen.add(cursor)

    @cached_property
    def _client(self) -> "Client":
        from notion_client import Client
        from notion_client.client import RetryOptions

        return Client(
            auth=self.options.token.get_secret_value(),
            base_url=self.options.base_url,
            timeout_ms=round(self.options.timeout_seconds * 1000),
            notion_version=API_VERSION,
            # Its own logger would get one more handler per client, and log whole answers at DEBUG.
            logger=logging.Logger("notion"),
            log_level=logging.CRITICAL + 1,
            retry=RetryOptions(
                max_retries=_MAX_RETRIES,
                initial_retry_delay_ms=_FIRST_RETRY_DELAY_MS,
                max_retry_delay_ms=_LONGEST_RETRY_AFTER_SECONDS * 1000,
            ),
        )

    def _ask(self, ask: "Callable[[Client], Any]") -> Json:
        """Ask Notion for a JSON object.

        Raises:
            Refused: a status other than 200.
            SourceUnavailable: no answer in time, or not a JSON object.
        """
        import httpx
        from notion_client.errors import HTTPResponseError, NotionClientErrorBase

        def request() -> Any:
            try:
                return ask(self._client)
            except HTTPResponseError as error:
                raise Refused(error.status, _REASONS) from None

        # Each attempt may take the timeout, and each pause between attempts the longest delay.
        patience_seconds = (_MAX_RETRIES + 1) * self.options.timeout_seconds
        patience_seconds += _MAX_RETRIES * _LONGEST_RETRY_AFTER_SECONDS
        return self._wiki.ask(request, patience_seconds, (NotionClientErrorBase, httpx.HTTPError))


class _Budget:
    """Counter for the blocks of one page."""

    def __init__(self, max_blocks: int) -> None:
        self._max_blocks = self._left = max_blocks

    def spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise DocumentUnreadable("too_large", f"It has more than {self._max_blocks} blocks.")


def _is_in_trash(page: Json) -> bool:
    # `archived` is its older name.
    return bool(page.get("in_trash") or page.get("archived"))


def _token(edited_at: datetime) -> str:
    """Return a version token, or "" while the page could change without a new one."""
    if time.time() - edited_at.timestamp() < _UNTRUSTED_SECONDS:
        return ""
    return edited_at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: Any) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _id(text: Any) -> str:
    """Return an id in its canonical form. It becomes part of document and request paths."""
    return str(UUID(text))


def _filename(title: str) -> str:
    return f"{title.replace('/', '-') or 'untitled'}.md"
