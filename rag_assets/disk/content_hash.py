"""The hash of a file that is mostly holes: of its data and their places, so that holes cost nothing."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from rag_assets.disk.sparse_copy import next_data

_BLOCK = 1 << 16
_ZEROS = bytes(_BLOCK)


def content_sha256(path: Path) -> str:
    """Return a SHA-256, hex, of the content of a file. A copy with other holes has the same."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        for offset, block in _blocks(file.fileno(), size):
            digest.update(offset.to_bytes(8, "little"))
            digest.update(block)
    digest.update(size.to_bytes(8, "little"))
    return digest.hexdigest()


def _blocks(descriptor: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, bytes) of every block with data. Whole blocks, because the holes of a copy begin elsewhere."""
    at = 0
    while at < size:
        start, end = next_data(descriptor, at, size)
        at = min(size, -(-end // _BLOCK) * _BLOCK)
        for offset in range(start // _BLOCK * _BLOCK, at, _BLOCK):
            block = os.pread(descriptor, min(_BLOCK, size - offset), offset)
            if block != _ZEROS[: len(block)]:
                yield offset, block
