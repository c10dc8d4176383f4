"""A scene for each kind of source. A new kind is one file here, one import and one line in `SCENES`."""

from collections.abc import Callable
from pathlib import Path

from rag_assets_tests.sources.scenes.base import SourceScene
from rag_assets_tests.sources.scenes.confluence import ConfluenceScene
from rag_assets_tests.sources.scenes.filesystem import FilesystemScene
from rag_assets_tests.sources.scenes.fsspec_files import FsspecScene
from rag_assets_tests.sources.scenes.langchain_loader import LangchainScene
from rag_assets_tests.sources.scenes.notion import NotionScene
from rag_assets_tests.sources.scenes.postgres import PostgresScene
from rag_assets_tests.sources.scenes.s3 import S3Scene
from rag_assets_tests.sources.scenes.urls import UrlsScene

SCENES: dict[str, Callable[[Path], SourceScene]] = {
    "confluence": ConfluenceScene,
    "filesystem": FilesystemScene,
    "s3": S3Scene,
    "notion": NotionScene,
    "fsspec": FsspecScene,
    "langchain": LangchainScene,
    "postgres": PostgresScene,
    "urls": UrlsScene,
}
"""Kind -> factory of its scene, called with an empty folder for its files."""
