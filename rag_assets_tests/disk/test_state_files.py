import errno
import os
from pathlib import Path

import pytest

from rag_assets.disk.state_files import disk_errors, read_json
from rag_assets.errors import DiskUnusable, RagAssetsError, VectorStoreUnavailable

CASES = [
    (errno.ENOSPC, DiskUnusable),
    (errno.EDQUOT, DiskUnusable),
    (errno.EACCES, DiskUnusable),
    (errno.EROFS, DiskUnusable),
    (errno.EMFILE, VectorStoreUnavailable),
    (errno.EIO, VectorStoreUnavailable),
    (errno.ENOENT, VectorStoreUnavailable),
]


@pytest.mark.parametrize(("number", "kind"), CASES)
def test_lasting_and_transient_disk_errors_are_distinguished(
    tmp_path: Path, number: int, kind: type[RagAssetsError]
) -> None:
    with pytest.raises(kind, match=f"{tmp_path}: {os.strerror(number)}"), disk_errors(tmp_path):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(("number", "kind"), [case for case in CASES if case[0] != errno.ENOENT])
def test_an_unreadable_state_file_raises_the_same_kind_of_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[RagAssetsError]
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "read_text", fail)
    with pytest.raises(kind, match=os.strerror(number)):
        read_json(tmp_path / "production.json")
