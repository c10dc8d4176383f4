"""Atomic replacement of a file: readers see the old content or the new one, never a mixture."""

import contextlib
import os
import tempfile
from pathlib import Path

from rag_assets.disk.durability import fsync_path

TEMPORARY_PREFIX = ".tmp-"
"""Beginning of the name of an unfinished file. A killed writer leaves such a file in the folder."""


def replace_file(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file for this user alone (mode 0600) beside its final place, then rename it.

    If anything fails, the old file is unchanged and the temporary file is removed.

    Args:
        path: the folder must exist.
        durable: sync file and folder to disk. After a power cut, too, the file is the old one or the new one.
            Without it, a power cut may leave an empty or truncated file: only for files with a check on reading.
    """
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(temporary).replace(path)
        if durable:
            fsync_path(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
