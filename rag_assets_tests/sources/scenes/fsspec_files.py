"""A local folder behind a file system of fsspec with failures on demand. Each document has its own folder."""

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from fsspec import register_implementation
from fsspec.implementations.local import LocalFileSystem

from rag_assets_tests.sources.scenes.base import Failure


class TroubledFileSystem(LocalFileSystem):
    """Attributes:
    failing: current failure of all file systems of this kind.
    num_bodies: number of files read.
    metadata: name of a file -> its metadata, listed as by cloud storage.
    """

    protocol = "troubled"
    cachable = False
    failing: Failure | None = None
    num_bodies = 0
    metadata: ClassVar[dict[str, dict[str, str]]] = {}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(str(path).removeprefix("troubled://"))

    def _fail(self, path: str) -> None:
        match TroubledFileSystem.failing:
            case "refused":
                raise ConnectionRefusedError(path)
            case "forbidden":
                raise PermissionError(path)
            case "error":
                raise RuntimeError(path)
            case "hang":
                threading.Event().wait()
            case _:
                pass

    def ls(self, path: str, detail: bool = False, **kwargs: Any) -> Any:
        self._fail(path)
        if TroubledFileSystem.failing == "torn listing" and Path(path).name == "d":
            raise OSError(path)
        listed = super().ls(path, detail=detail, **kwargs)
        if detail:
            for info in listed:
                info["metadata"] = self.metadata.get(Path(info["name"]).name)
        return listed

    def info(self, path: str, **kwargs: Any) -> Any:
        self._fail(path)
        return super().info(path, **kwargs)

    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        self._fail(path)
        TroubledFileSystem.num_bodies += 1
        return super().open(path, mode, **kwargs)


class FsspecScene:
    """Its failures affect all file systems of this kind, so use one scene at a time."""

    kind = "fsspec"
    keys = ("team", "year")
    failures: tuple[Failure, ...] = ("refused", "forbidden", "error", "hang", "torn listing")

    def __init__(self, folder: Path) -> None:
        register_implementation("troubled", TroubledFileSystem, clobber=True)
        self.folder = folder / "documents"
        self.folder.mkdir()
        TroubledFileSystem.failing = None
        TroubledFileSystem.num_bodies = 0
        self._num_written = 0

    @property
    def num_bodies(self) -> int:
        return TroubledFileSystem.num_bodies

    def declaration(self) -> dict[str, Any]:
        return {"kind": self.kind, "url": f"troubled://{self.folder}", "timeout_seconds": 0.5}

    def put(self, name: str, text: str) -> None:
        path = self.folder / name / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        # Two writes within a tick of the clock are told apart.
        self._num_written += 1
        os.utime(path, (1_700_000_000 + self._num_written,) * 2)

    def describe(self, name: str, word: str, number: int) -> None:
        TroubledFileSystem.metadata[f"{name}.txt"] = {"Team": word, "year": str(number)}

    def remove(self, name: str) -> None:
        (self.folder / name / f"{name}.txt").unlink()

    @contextmanager
    def failing(self, how: Failure) -> Generator[None]:
        TroubledFileSystem.failing = how
        try:
            yield
        finally:
            TroubledFileSystem.failing = None

    def close(self) -> None:
        TroubledFileSystem.failing = None
        TroubledFileSystem.metadata.clear()
