"""Faults of sources of files: a folder, a file system of fsspec, and a loader for a folder."""

import errno
import os
import threading
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from rag_assets.ingestion import listings, reading
from rag_assets.sources import base
from rag_assets_tests.outages.troubles import ITEM, Fault, Troubles
from rag_assets_tests.sources.scenes import fsspec_files
from rag_assets_tests.sources.scenes.base import SourceScene
from rag_assets_tests.sources.scenes.filesystem import FilesystemScene


@contextmanager
def _growing(path: Path) -> Generator[None]:
    """Write more and more to a file, at each pause of the refresh. Files of the last hour may still be written to."""

    def write(_: float = 0) -> None:
        with path.open("a") as file:
            file.write("Another piece of it. ")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "UNSETTLED_SECONDS", 3600.0)
        patch.setattr(reading, "sleep", write)
        write()
        yield


@contextmanager
def _refusing(name: str) -> Generator[None]:
    """Refuse to open what has this name. The tests run as root, who may do everything."""
    real = os.open

    def refuses(path: Any, *args: Any, **kwargs: Any) -> int:
        if Path(str(path)).name == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", refuses)
        yield


class FilesystemTroubles(Troubles):
    """Documents c and d are in a folder of their own."""

    kind = "filesystem"
    half = frozenset("cd")

    class _Scene(FilesystemScene):
        def put(self, name: str, text: str) -> None:
            (self._folder / "hr").mkdir(exist_ok=True)
            super().put(f"hr/{name}" if name in "cd" else name, text)

        def remove(self, name: str) -> None:
            super().remove(f"hr/{name}" if name in "cd" else name)

        @property
        def item(self) -> Path:
            return self._folder / "hr" / f"{ITEM}.txt"

        @property
        def folder(self) -> Path:
            return self._folder

    def _scene(self, folder: Path) -> SourceScene:
        return self._Scene(folder)

    def fault(self, fault: Fault) -> AbstractContextManager[None]:
        if fault == "half a listing":
            return _refusing("hr")
        return super().fault(fault)

    @contextmanager
    def slow(self) -> Generator[None]:
        over, scan = threading.Event(), os.scandir

        def hangs(folder: Any) -> Any:
            if isinstance(folder, int) and os.readlink(f"/proc/self/fd/{folder}") == str(self.scene.folder):
                over.wait()
            return scan(folder)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "scandir", hangs)
            patch.setattr(listings, "_STALLED_SECONDS", 2.0)  # the folder beside it must be listed in time
            yield
            over.set()

    def wrong_login(self) -> AbstractContextManager[None]:
        return _refusing(self.scene.folder.name)

    def unreadable(self) -> AbstractContextManager[None]:
        return _refusing(self.scene.item.name)

    def torn(self) -> AbstractContextManager[None]:
        return _growing(self.scene.item)


class FsspecTroubles(Troubles):
    """Each document is in a folder of its own."""

    kind = "fsspec"
    half = frozenset("d")

    def wrong_login(self) -> AbstractContextManager[None]:
        return self.scene.failing("forbidden")

    @contextmanager
    def unreadable(self) -> Generator[None]:
        def refuses(_: object, path: str, mode: str = "rb", **kwargs: Any) -> Any:
            if Path(path).stem == ITEM:
                raise PermissionError(path)
            return opens(_, path, mode, **kwargs)

        opens = fsspec_files.TroubledFileSystem.open
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fsspec_files.TroubledFileSystem, "open", refuses)
            yield

    def torn(self) -> AbstractContextManager[None]:
        return _growing(self.scene.folder / ITEM / f"{ITEM}.txt")


class LangchainTroubles(Troubles):
    """A loader of files. It stops at the first failure."""

    kind = "langchain"
    needless: dict[Fault, str] = {"one item torn": "a loader gives no sign of it, and loads everything again"}  # noqa: RUF012

    def wrong_login(self) -> AbstractContextManager[None]:
        return self.scene.failing("error")

    def unreadable(self) -> AbstractContextManager[None]:
        return self.scene.failing("torn listing")
