"""A folder whose files are opened from its descriptor, never outside of it.

Checking a path first and opening it afterwards is not enough: between the two a folder may be exchanged for a link. Here
links are resolved first, and every component of the result is opened without following a link.
"""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class RootFolder:
    """An open folder.

    Paths are relative to it, with forward slashes. "" is the folder itself.

    Attributes:
        real_path: its full path without links.

    Raises:
        OSError: the folder, or a file in it, cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, _FOLDER)
        self.real_path = os.path.realpath(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def resolve(self, path: str) -> str | None:
        """Return the path without links, or None if it leads out of the folder."""
        real_path = os.path.realpath(f"{self.real_path}/{path}")
        if real_path == self.real_path:
            return ""
        prefix = self.real_path.rstrip("/") + "/"
        return real_path.removeprefix(prefix) if real_path.startswith(prefix) else None

    def open(self, path: str, flags: int = _FOLDER) -> int:
        """Return a descriptor of a resolved path. A component that has become a link is an error."""
        folder, name = self._parent_of(path)
        try:
            return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)

    def stat(self, path: str) -> os.stat_result:
        """Return the status of a resolved path, that of a link for a link."""
        folder, name = self._parent_of(path)
        try:
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(folder)

    def _parent_of(self, path: str) -> tuple[int, str]:
        """Return a descriptor of the folder above, and the name in it."""
        *folders, name = path.split("/")
        descriptor = os.dup(self._descriptor)
        for folder in folders:
            try:
                inner = os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = inner
        return descriptor, name or "."
