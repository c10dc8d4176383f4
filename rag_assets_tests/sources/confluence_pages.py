"""A `ConfluenceSource` for tests, with its entries."""

from typing import Any

from rag_assets.records import SourceEntry
from rag_assets.sources.confluence import ConfluenceOptions, ConfluenceSource
from rag_assets_tests.sources.scenes.confluence import TOKEN, Wiki


def source_of(wiki: Wiki, **options: Any) -> ConfluenceSource:
    settings = {"url": wiki.url, "token": TOKEN, "cloud": wiki.cloud, "timeout_seconds": 5, **options}
    return ConfluenceSource("wiki", ConfluenceOptions(**settings))


def entries_of(source: ConfluenceSource) -> dict[str, SourceEntry]:
    return {entry.path.rpartition("/")[2]: entry for entry in source.list_entries()}


def access_of(wiki: Wiki, page_id: str) -> tuple[str, ...] | None:
    return entries_of(source_of(wiki))[page_id].access


def body_path(wiki: Wiki, page_id: str) -> str:
    return f"/wiki/api/v2/pages/{page_id}" if wiki.cloud else f"/wiki/rest/api/content/{page_id}"
