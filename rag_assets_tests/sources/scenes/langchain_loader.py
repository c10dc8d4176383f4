"""A loader for a folder, with failures on demand."""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rag_assets.records import SourceEntry
from rag_assets.sources.base import Reading
from rag_assets.sources.langchain_loader import LangchainSource
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.scenes.base import Failure


class FolderLoader:
    """A LangChain loader, without an import of LangChain before its first use.

    Attributes:
        failing: current failure of all loaders of this kind.
        metadata: name of a file -> its metadata.
    """

    failing: Failure | None = None
    metadata: ClassVar[dict[str, dict[str, Any]]] = {}

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def lazy_load(self) -> Iterator[Any]:
        from langchain_core.documents import Document

        if self.failing == "hang":
            threading.Event().wait()
        for number, path in enumerate(sorted(self._folder.iterdir())):
            if self.failing == "error" or (self.failing == "torn listing" and number == 2):
                raise ValueError("a text that no log may hold")
            yield Document(
                path.read_text(encoding="utf-8"),
                metadata={"source": str(path), **self.metadata.get(path.name, {})},
            )


class LangchainScene:
    """Counts calls of `read`, because every listing loads everything.

    Listed documents can be read during a failure of the loader: their texts are already loaded.
    """

    kind = "langchain"
    keys = ("team", "year")
    failures: tuple[Failure, ...] = ("refused", "error", "hang", "torn listing")
    failures_of_reading: tuple[Failure, ...] = ()

    def __init__(self, folder: Path) -> None:
        require("langchain_core")
        self._folder = folder / "documents"
        self._folder.mkdir()
        self.num_bodies = 0
        self._patch = pytest.MonkeyPatch()
        read = LangchainSource.read

        def counted(source: LangchainSource, entry: SourceEntry, known_token: str = "") -> Reading | None:
            reading = read(source, entry, known_token)
            self.num_bodies += reading is not None
            return reading

        self._patch.setattr(LangchainSource, "read", counted)

    def declaration(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "loader": f"{__name__}.FolderLoader",
            "arguments": {"folder": str(self._folder)},
            "timeout_seconds": 0.5,
        }

    def put(self, name: str, text: str) -> None:
        (self._folder / f"{name}.txt").write_text(text, encoding="utf-8")

    def describe(self, name: str, word: str, number: int) -> None:
        FolderLoader.metadata[f"{name}.txt"] = {"team": word, "year": number}

    def remove(self, name: str) -> None:
        (self._folder / f"{name}.txt").unlink()

    @contextmanager
    def failing(self, how: Failure) -> Generator[None]:
        away = self._folder.with_name("away")
        if how == "refused":
            self._folder.rename(away)
        FolderLoader.failing = how
        try:
            yield
        finally:
            FolderLoader.failing = None
            if how == "refused":
                away.rename(self._folder)

    def close(self) -> None:
        FolderLoader.failing = None
        FolderLoader.metadata.clear()
        self._patch.undo()
