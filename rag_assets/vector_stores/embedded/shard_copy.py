"""Copies of a sealed generation, for a reader that must not, or may not, write to its folder.

The engine opens every file for writing and rewrites one of them, also for a search alone.
"""

import contextlib
import os
import tempfile
from collections.abc import Generator, Iterable
from pathlib import Path

from rag_assets.disk.sparse_copy import allocated_bytes, copy_sparse
from rag_assets.disk.state_files import disk_errors, require_free_space


def copy_files(folder: Path, names: Iterable[str], target: Path) -> None:
    """Copy files of a folder, by their path in it, without filling their holes.

    Raises:
        DiskUnusable: too little space is free.
    """
    with disk_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        require_free_space(target, allocated_bytes(folder))
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            copy_sparse(folder / name, target / name)


@contextlib.contextmanager
def writable_shard(shard_folder: Path, names: Iterable[str]) -> Generator[Path]:
    """Yield a folder for the engine to open: this one or, if it is read-only, a copy in the temporary folder.

    The copy is deleted at the end of the block. A shard opened meanwhile keeps its files until it is closed.
    """
    names = list(names)
    if all(os.access(path, os.W_OK) for path in (shard_folder, *(shard_folder / name for name in names))):
        yield shard_folder
        return
    with tempfile.TemporaryDirectory(prefix="rag-assets-", ignore_cleanup_errors=True) as temporary:
        copy = Path(temporary) / "shard"
        copy_files(shard_folder, names, copy)
        yield copy
