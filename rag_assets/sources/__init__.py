"""The sources by kind. A new source is one file here and one line in `SOURCES`."""

from rag_assets.sources.base import Source
from rag_assets.sources.filesystem import FilesystemSource
from rag_assets.sources.fsspec_files import FsspecSource
from rag_assets.sources.langchain_loader import LangchainSource
from rag_assets.sources.postgres import PostgresSource

SOURCES: dict[str, type[Source]] = {
    "filesystem": FilesystemSource,
    "fsspec": FsspecSource,
    "langchain": LangchainSource,
    "postgres": PostgresSource,
}
