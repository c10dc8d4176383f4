"""Copies of files that are mostly holes.

The engine reserves its files in large steps: 4 MB of data occupy files of 180 MB. A copy with the holes filled in
takes 180 MB of disk for every generation.
"""

import errno
import os
from pathlib import Path

_BLOCK = 1 << 16
_ZEROS = bytes(_BLOCK)


def copy_sparse(source: Path, target: Path) -> int:
    """Copy a file, leaving holes (and blocks of zeros) as holes. Return the bytes written."""
    written = 0
    with source.open("rb", buffering=0) as reading, target.open("xb", buffering=0) as writing:
        size = os.fstat(reading.fileno()).st_size
        os.truncate(writing.fileno(), size)
        at = 0
        while at < size:
            start, end = next_data(reading.fileno(), at, size)
            for offset in range(start, end, _BLOCK):
                block = os.pread(reading.fileno(), min(_BLOCK, end - offset), offset)
                if block != _ZEROS[: len(block)]:
                    _write_all(writing.fileno(), block, offset)
                    written += len(block)
            at = end
    return written


def next_data(descriptor: int, at: int, size: int) -> tuple[int, int]:
    """Return the start and end of the next data, (size, size) if only a hole follows."""
    try:
        start = os.lseek(descriptor, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return size, size
        return at, size  # a file system without this feature: the blocks of zeros are still left out
    return start, min(os.lseek(descriptor, start, os.SEEK_HOLE), size)


def _write_all(descriptor: int, block: bytes, offset: int) -> None:
    view = memoryview(block)
    while view:
        n = os.pwrite(descriptor, view, offset)
        view, offset = view[n:], offset + n


def allocated_bytes(folder: Path) -> int:
    """Return the disk space in actual use by the files below a folder."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
