import os
from pathlib import Path

import pytest

from rag_assets.disk.atomic_files import replace_file


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_and_private(tmp_path: Path, *, durable: bool) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")
    path.chmod(0o644)
    replace_file(path, b"new", durable=durable)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path if failing == "replace" else os, failing, fail)
    with pytest.raises(OSError, match="no space left"):
        replace_file(path, b"new", durable=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_a_durable_write_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    replace_file(tmp_path / "cache", b"content")
    assert synced == []
    replace_file(tmp_path / "state", b"content", durable=True)
    assert synced == [(tmp_path / "state").stat().st_ino, tmp_path.stat().st_ino]
