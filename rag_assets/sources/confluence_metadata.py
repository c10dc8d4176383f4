"""Metadata of Confluence pages: labels, space, creation, last editor.

Data Center lists pages with their labels. Cloud does not, and a page gets no new version with a new label. A search
finds the labels of hundreds of pages with one request, while the pages are listed. It may miss pages changed just now:
their labels stay as they were.
"""

import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.values import Metadata
from rag_assets.errors import SourceUnavailable
from rag_assets.sources.confluence_client import ConfluenceClient, content_id, value_at
from rag_assets.sources.wiki_client import Json, Refused

_MOST_REQUESTS = 1_000
_LONGEST_WAIT_SECONDS = 60
"""After the listing of the pages. The source counts as down after three minutes without an entry."""


def metadata_of(page: Json, space: str) -> Metadata:
    """Return the metadata of a listed page, of either kind of Confluence, without labels."""
    return normalized(
        {
            "space": space,
            "created": value_at(page, "history", "createdDate") or page.get("createdAt"),
            "last_modified_by": value_at(page, "version", "by", "displayName")
            or value_at(page, "version", "authorId"),
        }
    )


def labels_of(page: Json) -> tuple[str, ...] | None:
    """Return the labels in the answer for a page, without those of a single user, or None if it holds none."""
    results = value_at(page, "metadata", "labels", "results")
    if not isinstance(results, list):
        return None
    try:
        # Sorted: the order in an answer may vary.
        return tuple(sorted(str(label["name"]) for label in results if label.get("prefix") != "my"))
    except (KeyError, TypeError, AttributeError):
        return None


class LabelSearch:
    """The labels of all pages of Confluence Cloud, found in a thread of its own.

    Args:
        spaces: keys of the spaces, empty for all.
        page_size: number of pages per request.
    """

    def __init__(self, client: ConfluenceClient, spaces: tuple[str, ...], page_size: int) -> None:
        self._client = client
        self._query = {"cql": _cql(spaces), "expand": "metadata.labels", "limit": str(page_size)}
        self._found: dict[str, tuple[str, ...] | None] = {}
        self._problem = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._search, name="labels", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the rest of the labels, but not for long."""
        self._thread.join(_LONGEST_WAIT_SECONDS)
        if self._thread.is_alive():
            self._problem = "the search takes too long"

    def stop(self) -> None:
        """End the search after its current request."""
        self._stopped.set()

    def of(self, page_id: str) -> tuple[str, ...] | None:
        """Return the labels of a page, or None if they could not be read."""
        return self._found.get(page_id)

    @property
    def problem(self) -> str:
        """The reason for missing labels, in a few words."""
        return self._problem or "not found by the search"

    def _search(self) -> None:
        query: Mapping[str, str] = self._query
        asked: set[str] = set()
        try:
            while not self._stopped.is_set():
                answer = self._client.get("rest/api/content/search", query)
                self._found.update((content_id(page["id"]), labels_of(page)) for page in answer["results"])
                link = value_at(answer, "_links", "next")
                if not link or link in asked or len(asked) >= _MOST_REQUESTS:
                    return
                asked.add(link)
                query = {**self._query, **dict(parse_qsl(urlsplit(link).query))}
        except Refused as error:
            self._problem = f"HTTP {error.status}"
        except (SourceUnavailable, KeyError, TypeError, ValueError, AttributeError):
            self._problem = "the search did not answer as expected"


def _cql(spaces: tuple[str, ...]) -> str:
    if not spaces:
        return "type=page"
    keys = ", ".join('"{}"'.format(key.replace("\\", r"\\").replace('"', r"\"")) for key in spaces)
    return f"type=page and space in ({keys})"


def with_labels(metadata: Metadata, labels: Any, why: str) -> Metadata:
    """Return the metadata of a page with its labels.

    Args:
        labels: None if they could not be read.
        why: the reason for this, in a few words.
    """
    return metadata.without("labels", why) if labels is None else normalized({"labels": labels}, metadata)
