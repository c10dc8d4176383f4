"""The sources by kind. A new source is one file here and one line in `SOURCES`."""

from rag_assets.sources.base import Source
from rag_assets.sources.filesystem import FilesystemSource
from rag_assets.sources.urls import UrlsSource

SOURCES: dict[str, type[Source]] = {
    "filesystem": FilesystemSource,
    "urls": UrlsSource,
}
