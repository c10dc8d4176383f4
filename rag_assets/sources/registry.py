"""The sources by kind. A new source is one file in this folder, one import and one line in `SOURCES`."""

from rag_assets.sources.base import Source
from rag_assets.sources.confluence import ConfluenceSource
from rag_assets.sources.filesystem import FilesystemSource
from rag_assets.sources.fsspec_files import FsspecSource
from rag_assets.sources.langchain_loader import LangchainSource
from rag_assets.sources.notion import NotionSource
from rag_assets.sources.postgres import PostgresSource
from rag_assets.sources.s3 import S3Source
from rag_assets.sources.urls import UrlsSource

SOURCES: dict[str, type[Source]] = {
    "confluence": ConfluenceSource,
    "filesystem": FilesystemSource,
    "s3": S3Source,
    "notion": NotionSource,
    "fsspec": FsspecSource,
    "langchain": LangchainSource,
    "postgres": PostgresSource,
    "urls": UrlsSource,
}
