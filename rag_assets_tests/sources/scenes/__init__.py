"""A scene for each kind of source. A new kind is one file here and one line in `SCENES`."""

from collections.abc import Callable
from pathlib import Path

from rag_assets_tests.sources.scenes.base import SourceScene
from rag_assets_tests.sources.scenes.filesystem import FilesystemScene
from rag_assets_tests.sources.scenes.urls import UrlsScene

SCENES: dict[str, Callable[[Path], SourceScene]] = {
    "filesystem": FilesystemScene,
    "urls": UrlsScene,
}
"""Kind -> what makes a scene, with an empty folder of its own to put files into."""
