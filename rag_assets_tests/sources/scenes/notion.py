"""Notion on the loopback interface: the used part of its API, with answers as documented.

https://developers.notion.com/reference for version 2025-09-03: `post-search`, `query-a-data-source`,
`retrieve-a-page`, `get-block-children`; `intro#pagination` for lists and `status-codes` for errors.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from rag_assets.sources import notion
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.scenes.base import Failure
from rag_assets_tests.sources.scenes.json_server import JsonServer, send

TOKEN = "ntn_0123456789abcdef"
WORKSPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")

Block = dict[str, Any]


def id_of(name: str) -> str:
    return str(uuid5(WORKSPACE, name))


def rich(text: str, **changes: Any) -> list[dict[str, Any]]:
    """Return a rich text of one part."""
    part = {"type": "text", "text": {"content": text}, "plain_text": text, "href": None, "annotations": {}}
    return [part | changes]


def block(kind: str, text: str | None = None, children: list[Block] | None = None, **content: Any) -> Block:
    """Return a block as in the API, with its children beside it for the server."""
    if text is not None:
        content["rich_text"] = rich(text)
    return {"object": "block", "type": kind, kind: content, "children": children or []}


@dataclass
class Page:
    """A page in the workspace."""

    id: str
    title: str
    blocks: list[Block]
    edited_at: datetime
    in_trash: bool = False
    properties: dict[str, Any] = field(default_factory=dict)
    data_source: str = ""

    def described(self) -> dict[str, Any]:
        time = self.edited_at.replace(second=0, microsecond=0).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        parent = (
            {"type": "data_source_id", "data_source_id": self.data_source}
            if self.data_source
            else {"type": "workspace", "workspace": True}
        )
        title = {"id": "title", "type": "title", "title": rich(self.title) if self.title else []}
        return {
            "object": "page",
            "id": self.id,
            "created_time": time,
            "last_edited_time": time,
            "in_trash": self.in_trash,
            "archived": self.in_trash,
            "parent": parent,
            "properties": {"Name": title, **self.properties},
            "url": f"https://www.notion.so/{self.title}-{UUID(self.id).hex}",
        }


class Workspace(JsonServer):
    """The server. Its pages may be changed at any time.

    Attributes:
        failure: failure of every request, or "" for none.
        refused: page or block id -> status and error code of its answer.
        torn: page or block ids with half an answer.
        omitted: ids of pages left out by the search.
        headers: headers of every answer.
        questions: paths of the requests, in order.
    """

    def __init__(self, page_size: int = 2) -> None:
        self.page_size = page_size
        self.pages: dict[str, Page] = {}
        self.refused: dict[str, tuple[int, str]] = {}
        self.torn: set[str] = set()
        self.omitted: set[str] = set()
        self._blocks: dict[str, list[Block]] = {}
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, name: str, *blocks: Block, edited_at: datetime | None = None, **fields: Any) -> Page:
        page = Page(
            id_of(name), name, list(blocks), edited_at or datetime(2026, 1, 5, 8, 11, tzinfo=UTC), **fields
        )
        self.pages[page.id] = page
        return page

    def handle(self, request: BaseHTTPRequestHandler, path: str, question: dict[str, Any]) -> None:
        refused = next((status for part, status in self.refused.items() if part in path), None)
        if self.failure == "error":
            send(request, 500, _error(500, "internal_server_error"))
        elif self.failure == "forbidden":
            send(request, 403, _error(403, "restricted_resource"))
        elif self.failure == "torn listing" and question.get("start_cursor"):
            send(request, 200, self._answer(path, question), torn=True)
        elif request.headers.get("Authorization") != f"Bearer {TOKEN}":
            send(request, 401, _error(401, "unauthorized"))
        elif request.headers.get("Notion-Version") != "2025-09-03":
            send(request, 400, _error(400, "missing_version"))
        elif refused:
            send(request, refused[0], _error(*refused), self.headers)
        elif any(part in path for part in self.torn):
            send(request, 200, self._answer(path, question), torn=True)
        else:
            answer = self._answer(path, question)
            missing = _error(404, "object_not_found")
            send(request, 200 if answer else 404, answer or missing, self.headers)

    def _answer(self, path: str, question: dict[str, Any]) -> Any:
        match path.removeprefix("/v1/").split("/"):
            case ["search"]:
                assert question["filter"] == {"property": "object", "value": "page"}
                return self._list(
                    "page_or_data_source",
                    [p.described() for p in self._kept() if p.id not in self.omitted],
                    question,
                )
            case ["data_sources", data_source, "query"]:
                rows = [p.described() for p in self._kept() if p.data_source == data_source]
                return self._list("page_or_data_source", rows, question) if rows else None
            case ["pages", page] if page in self.pages:
                return self.pages[page].described()
            case ["blocks", parent, "children"] if parent in self.pages:
                self.num_bodies += "start_cursor" not in question
                return self._children(parent, self.pages[parent].blocks, question)
            case ["blocks", parent, "children"] if parent in self._blocks:
                return self._children(parent, self._blocks[parent], question)
            case _:
                return None

    def _kept(self) -> list[Page]:
        return list(self.pages.values())

    def _children(self, parent: str, blocks: list[Block], question: dict[str, Any]) -> Any:
        shown: list[Block] = []
        for number, one in enumerate(blocks):
            block_id = id_of(f"{parent} {number}")
            self._blocks[block_id] = one["children"]
            shown.append(
                {
                    **{name: value for name, value in one.items() if name != "children"},
                    "id": block_id,
                    "has_children": bool(one["children"]),
                }
            )
        return self._list("block", shown, question)

    def _list(self, kind: str, everything: list[Any], question: dict[str, Any]) -> Any:
        start = int(question.get("start_cursor") or 0)
        end = start + min(int(question["page_size"]), self.page_size)
        return {
            "object": "list",
            "results": everything[start:end],
            "next_cursor": str(end) if end < len(everything) else None,
            "has_more": end < len(everything),
            "type": kind,
            kind: {},
        }


def _error(status: int, code: str) -> Any:
    return {"object": "error", "status": status, "code": code, "message": f"hunter2 says {code}"}


class NotionScene:
    """A workspace with old pages, one per minute."""

    kind = "notion"
    keys = ("team", "year")
    failures: tuple[Failure, ...] = ("refused", "forbidden", "error", "hang", "torn listing")

    def __init__(self, folder: Path) -> None:
        require("notion_client")
        self.workspace = Workspace()
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(notion, "_FIRST_RETRY_DELAY_MS", 10)
        self._now = datetime(2026, 1, 5, 8, 11, tzinfo=UTC)

    @property
    def num_bodies(self) -> int:
        return self.workspace.num_bodies

    def declaration(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "base_url": self.workspace.url,
            "token": TOKEN,
            "page_size": 2,
            "timeout_seconds": 0.5,
        }

    def put(self, name: str, text: str) -> None:
        self._now += timedelta(minutes=1)
        self.workspace.add(name, block("paragraph", text), edited_at=self._now)

    def describe(self, name: str, word: str, number: int) -> None:
        self.workspace.pages[id_of(name)].properties = {
            "Team": {"id": "1", "type": "select", "select": {"name": word}},
            "Year": {"id": "2", "type": "number", "number": number},
        }

    def remove(self, name: str) -> None:
        self.workspace.pages[id_of(name)].in_trash = True

    @contextmanager
    def failing(self, how: Failure) -> Generator[None]:
        with self.workspace.failing(how):
            yield

    def close(self) -> None:
        self.workspace.close()
        self._patch.undo()
