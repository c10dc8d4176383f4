from pathlib import Path

import pytest

from rag_assets.disk.sparse_copy import copy_sparse


def test_a_sparse_copy_has_the_same_bytes_and_the_holes(tmp_path: Path) -> None:
    original = tmp_path / "original"
    with original.open("wb") as file:
        file.write(b"head")
        file.seek(8 * 2**20)
        file.write(bytes(300_000) + b"x" + bytes(70_000))  # zeros that take space, too
        file.truncate(32 * 2**20)
    copy = tmp_path / "copy"
    copy_sparse(original, copy)
    assert copy.read_bytes() == original.read_bytes()
    assert copy.stat().st_blocks * 512 <= 256 * 1024
    empty = tmp_path / "empty"
    empty.touch()
    copy_sparse(empty, tmp_path / "empty_copy")
    assert (tmp_path / "empty_copy").read_bytes() == b""
    with pytest.raises(FileExistsError):
        copy_sparse(original, copy)
