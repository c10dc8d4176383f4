import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_assets.disk.private_folders import claim_folder, make_private_folder, require_folder
from rag_assets.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


def test_every_new_parent_folder_is_private(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "a" / "b" / "c")
    assert [_mode(tmp_path / path) for path in ("a", "a/b", "a/b/c")] == [0o700] * 3


def test_an_open_state_folder_is_made_private(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o777)
    claim_folder(folder, "RAG_STATE_DIR")
    assert _mode(folder) == 0o700


def test_a_file_in_place_of_the_folder_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    for path in ("state", "state/below"):
        with pytest.raises(ConfigurationError, match=r"^RAG_STATE_DIR: .*cannot be used as a folder"):
            claim_folder(tmp_path / path, "RAG_STATE_DIR")
        with pytest.raises(ConfigurationError, match=r"^RAG_STATE_DIR: .*cannot be used as a folder"):
            require_folder(tmp_path / path, "RAG_STATE_DIR")


def test_a_missing_folder_may_be_created_later(tmp_path: Path) -> None:
    require_folder(tmp_path / "a" / "b", "RAG_STATE_DIR")
    assert list(tmp_path.iterdir()) == []
