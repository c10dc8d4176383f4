"""Confluence on the loopback interface: the used part of its REST API, with answers as documented.

Data Center: https://developer.atlassian.com/server/confluence/rest/ (`/rest/api/content`, offsets, expansions,
`restriction/byOperation`) and .../server/confluence/pagination-in-the-rest-api. Cloud:
https://developer.atlassian.com/cloud/confluence/rest/v2/ (`/api/v2/spaces`, `/api/v2/pages`, `ancestors`, cursors)
and .../cloud/confluence/rest/v1/ (`api-group-content-restrictions`, and `api-group-content` for the search by CQL).
"""

import base64
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.scenes.base import Failure
from rag_assets_tests.sources.scenes.json_server import JsonServer, send

TOKEN = "an-api-token-0123456789"
SPACE_IDS = {"ENG": "901", "HR": "902"}


@dataclass
class Page:
    """A page in the wiki."""

    id: str
    title: str
    body: str
    space: str = "ENG"
    parent: str | None = None
    version: int = 1
    status: str = "current"
    users: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


class Wiki(JsonServer):
    """The server. Its pages may be changed at any time.

    Attributes:
        folders: ids of folders (Cloud only) -> ids of their parents.
        unreadable: path -> status of its answer.
        torn: paths with half an answer.
        restrictions_answer: answer for all restrictions, in place of the real ones.
        labels_answer: answer for the labels of each page, in place of the real ones.
        not_found: ids of pages that the search of Cloud does not know yet.
    """

    def __init__(self, *, cloud: bool = False, username: str = "", page_size: int = 2) -> None:
        self.cloud = cloud
        self.page_size = page_size
        self.pages: dict[str, Page] = {}
        self.folders: dict[str, str | None] = {}
        self.unreadable: dict[str, int] = {}
        self.torn: set[str] = set()
        self.restrictions_answer: Any = None
        self.labels_answer: Any = None
        self.not_found: set[str] = set()
        self._credentials = f"Bearer {TOKEN}"
        if username:
            self._credentials = "Basic " + base64.b64encode(f"{username}:{TOKEN}".encode()).decode()
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/wiki"

    def add(self, page: Page) -> Page:
        self.pages[page.id] = page
        return page

    def handle(self, request: BaseHTTPRequestHandler, path: str, question: dict[str, Any]) -> None:
        if self.failure == "error":
            send(request, 500, {"statusCode": 500, "message": "database password is hunter2"})
        elif self.failure == "forbidden":
            send(request, 403, {"statusCode": 403, "message": "Not permitted"})
        elif self.failure == "torn listing" and ("start" in question or "cursor" in question):
            send(request, 200, self._answer(path, question), torn=True)
        elif request.headers.get("Authorization") != self._credentials:
            send(request, 401, {"statusCode": 401, "message": "Unauthorized"})
        elif path in self.unreadable:
            status = self.unreadable[path]
            send(request, status, {"statusCode": status, "message": "no"}, self.headers)
        elif path in self.torn:
            send(request, 200, self._answer(path, question), torn=True)
        else:
            answer = self._answer(path, question)
            missing = {"statusCode": 404, "message": "No content found"}
            send(request, 404 if answer is None else 200, missing if answer is None else answer, self.headers)

    def _answer(self, path: str, query: dict[str, str]) -> Any:
        match path.removeprefix("/wiki/").split("/"):
            case ["rest", "api", "content", content, "restriction", "byOperation", "read"]:
                if content not in self.pages and content not in self.folders:
                    return None
                return {"operation": "read", "restrictions": self._restrictions(self.pages.get(content))}
            case ["rest", "api", "content", "search"] if self.cloud:
                return self._found(path, query)
            case ["rest", "api", "content"] if not self.cloud:
                return self._listed(query)
            case ["rest", "api", "content", page] if not self.cloud and page in self.pages:
                return self._described(self.pages[page], query.get("expand", ""))
            case ["api", "v2", "spaces"] if self.cloud:
                keys = query["keys"].split(",") if "keys" in query else SPACE_IDS
                spaces = [{"id": SPACE_IDS[key], "key": key} for key in keys if key in SPACE_IDS]
                return self._by_cursor(path, spaces, query)
            case ["api", "v2", "pages"] if self.cloud:
                pages = [
                    self._described_by_cloud(page)
                    for page in self.pages.values()
                    if page.status == query["status"]
                    and query.get("space-id") in (None, SPACE_IDS.get(page.space))
                ]
                return self._by_cursor(path, pages, query)
            case ["api", "v2", "pages", page, "ancestors"] if self.cloud and page in self.pages:
                return {"results": [{"id": above, "type": "page"} for above in self._above(page)]}
            case ["api", "v2", "pages", page] if self.cloud and page in self.pages:
                self.num_bodies += 1
                body = {"representation": "export_view", "value": self.pages[page].body}
                return self._described_by_cloud(self.pages[page]) | {"body": {"export_view": body}}
            case _:
                return None

    def _found(self, path: str, query: dict[str, str]) -> Any:
        """Answer a search. Its links to a next page have no query of their own but the cursor."""
        assert query["expand"] == "metadata.labels"
        spaces = [key for key in SPACE_IDS if f'"{key}"' in query["cql"] or query["cql"] == "type=page"]
        pages = [
            {"id": page.id, "type": "page", "status": "current", "title": page.title, **self._labels(page)}
            for page in self.pages.values()
            if page.status == "current" and page.space in spaces and page.id not in self.not_found
        ]
        return self._by_cursor(path, pages, query)

    def _labels(self, page: Page) -> dict[str, Any]:
        labels = [{"prefix": "global", "name": name, "id": name, "label": name} for name in page.labels]
        labels.append({"prefix": "my", "name": "favourite", "id": "0", "label": "favourite"})
        found = {"results": labels, "start": 0, "limit": 200, "size": len(labels)}
        return {"metadata": {"labels": found if self.labels_answer is None else self.labels_answer}}

    def _listed(self, query: dict[str, str]) -> Any:
        if query.get("spaceKey", "ENG") not in SPACE_IDS:
            return None
        start, limit = int(query.get("start", 0)), min(int(query["limit"]), self.page_size)
        pages = [
            page
            for page in self.pages.values()
            if page.status == query["status"] and query.get("spaceKey") in (None, page.space)
        ]
        results = [self._described(page, query["expand"]) for page in pages[start : start + limit]]
        links = {"base": self.url, "context": "/wiki", "self": self.url}
        if start + limit < len(pages):
            following = urlencode({**query, "start": start + limit, "limit": limit})
            links["next"] = f"/rest/api/content?{following}"
        return {"results": results, "start": start, "limit": limit, "size": len(results), "_links": links}

    def _described(self, page: Page, expand: str) -> dict[str, Any]:
        parts = expand.split(",")
        found: dict[str, Any] = {
            "id": page.id,
            "type": "page",
            "status": page.status,
            "title": page.title,
            "_links": {"webui": f"/display/{page.space}/{page.title}"},
        }
        if "space" in parts:
            found["space"] = {"key": page.space, "type": "global"}
        if "version" in parts:
            by = {"type": "known", "username": "ann", "displayName": "Ann Example"}
            found["version"] = {"number": page.version, "when": "2026-01-05T10:11:12.000+02:00", "by": by}
        if "history" in parts:
            found["history"] = {"latest": True, "createdDate": "2025-01-05T10:11:12.000+02:00"}
        if "metadata.labels" in parts:
            found |= self._labels(page)
        if "ancestors" in parts:
            found["ancestors"] = [{"id": above, "type": "page"} for above in self._above(page.id)]
        if "restrictions.read.restrictions.user" in parts:
            found["restrictions"] = {"read": {"operation": "read", "restrictions": self._restrictions(page)}}
        if "body.export_view" in parts:
            self.num_bodies += 1
            found["body"] = {"export_view": {"value": page.body, "representation": "export_view"}}
        return found

    def _described_by_cloud(self, page: Page) -> dict[str, Any]:
        return {
            "id": page.id,
            "status": page.status,
            "title": page.title,
            "spaceId": SPACE_IDS[page.space],
            "parentId": page.parent,
            "parentType": "folder" if page.parent in self.folders else "page",
            "createdAt": "2025-01-05T08:11:12.000Z",
            "version": {
                "number": page.version,
                "createdAt": "2026-01-05T08:11:12.000Z",
                "authorId": "712020:ann",
            },
            "_links": {"webui": f"/spaces/{page.space}/pages/{page.id}"},
        }

    def _by_cursor(self, path: str, everything: list[Any], query: dict[str, str]) -> Any:
        start, limit = int(query.get("cursor", 0)), min(int(query["limit"]), self.page_size)
        links = {"base": self.url}
        if start + limit < len(everything):
            links["next"] = f"{path}?{urlencode({'limit': limit, 'cursor': start + limit})}"
        return {"results": everything[start : start + limit], "_links": links}

    def _above(self, content: str) -> list[str]:
        found: list[str] = []
        above = self.pages[content].parent
        while above is not None:
            found.insert(0, above)
            above = self.pages[above].parent if above in self.pages else self.folders[above]
        return found

    def _restrictions(self, page: Page | None) -> Any:
        if self.restrictions_answer is not None:
            return self.restrictions_answer
        name = "accountId" if self.cloud else "username"
        users = [{"type": "known", name: user} for user in (page.users if page else ())]
        groups = [{"type": "group", "name": group} for group in (page.groups if page else ())]
        return {
            kind: {"results": subjects, "start": 0, "limit": 200, "size": len(subjects)}
            for kind, subjects in (("user", users), ("group", groups))
        }


class ConfluenceScene:
    """Data Center, with a personal access token."""

    kind = "confluence"
    keys = ("labels", "")
    failures: tuple[Failure, ...] = ("refused", "forbidden", "error", "hang", "torn listing")

    def __init__(self, folder: Path) -> None:
        require("atlassian")
        self.wiki = Wiki()

    @property
    def num_bodies(self) -> int:
        return self.wiki.num_bodies

    def declaration(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "url": self.wiki.url,
            "token": TOKEN,
            "page_size": 2,
            "timeout_seconds": 0.5,
        }

    def put(self, name: str, text: str) -> None:
        page_id = str(100 + ord(name))
        known = self.wiki.pages.get(page_id)
        version = known.version + 1 if known else 1
        self.wiki.add(Page(page_id, title=name, body=f"<p>{text}</p>", version=version))

    def describe(self, name: str, word: str, number: int) -> None:
        self.wiki.pages[str(100 + ord(name))].labels = [word, f"year-{number}"]

    def remove(self, name: str) -> None:
        del self.wiki.pages[str(100 + ord(name))]

    @contextmanager
    def failing(self, how: Failure) -> Generator[None]:
        with self.wiki.failing(how):
            yield

    def close(self) -> None:
        self.wiki.close()
