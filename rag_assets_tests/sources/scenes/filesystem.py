"""A folder of text files."""

import itertools
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rag_assets.records import SourceEntry
from rag_assets.sources.base import Reading
from rag_assets.sources.filesystem import FilesystemSource
from rag_assets_tests.sources.scenes.base import Failure


class FilesystemScene:
    """Counts calls of `read`, because a file system counts nothing."""

    kind = "filesystem"
    failures: tuple[Failure, ...] = ("refused",)

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "documents"
        self._folder.mkdir()
        self.num_bodies = 0
        self._times = itertools.count(
            1_767_225_600, 60
        )  # 2026-01-01; what was written just now is read once more
        self._patch = pytest.MonkeyPatch()
        read = FilesystemSource.read

        def counted(source: FilesystemSource, entry: SourceEntry, known_token: str = "") -> Reading:
            self.num_bodies += source.root == self._folder
            return read(source, entry, known_token)

        self._patch.setattr(FilesystemSource, "read", counted)

    def declaration(self) -> dict[str, Any]:
        return {"kind": self.kind, "folder": str(self._folder)}

    def put(self, name: str, text: str) -> None:
        path = self._folder / f"{name}.txt"
        path.write_text(text, encoding="utf-8")
        written_at = next(self._times)
        os.utime(path, (written_at, written_at))

    def remove(self, name: str) -> None:
        (self._folder / f"{name}.txt").unlink()

    @contextmanager
    def failing(self, how: Failure) -> Generator[None]:
        assert how == "refused"
        away = self._folder.with_name("away")
        self._folder.rename(away)
        try:
            yield
        finally:
            away.rename(self._folder)

    def close(self) -> None:
        self._patch.undo()
