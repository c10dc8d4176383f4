"""Atomic replacement of a file: readers see the old content or the new one, never half of it."""

import contextlib
import os
import tempfile
from pathlib import Path

from rag_assets.disk.durability import fsync_path

TEMPORARY_PREFIX = ".tmp-"
"""How the name of an unfinished file begins. A killed writer leaves such a file in the folder."""


def replace_file(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file for this user alone (mode 0600) beside its final place, then rename it.

    If anything fails, the old file is unchanged and the temporary file is removed.

    Args:
        path: the folder must exist.
        durable: sync file and folder to disk, so that a power cut leaves the old file or the new one, too.
            Without it, a power cut may leave an empty or truncated file: only for files that are checked when read.
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
