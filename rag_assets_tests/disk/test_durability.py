import os
from pathlib import Path

import pytest

from rag_assets.disk import durability
from rag_assets.disk.durability import fsync_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path in ("a", "b/c", "b/d/.hidden", "e/f/g"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    return tmp_path


def test_every_file_and_every_folder_is_made_durable(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    fsync_tree(tree)
    inodes = [path.stat().st_ino for path in (tree, *tree.rglob("*"))]
    assert len(inodes) == 9
    assert sorted(synced) == sorted(inodes)


def test_one_file_that_cannot_be_made_durable_is_an_error(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_for_one(path: Path) -> None:
        if path.name == "g":
            raise OSError("no space left on device")

    monkeypatch.setattr(durability, "fsync_path", fail_for_one)
    with pytest.raises(OSError, match="no space left"):
        fsync_tree(tree)
