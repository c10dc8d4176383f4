"""The dagster.yaml of the repository keeps Dagster's data in one private folder, wherever a process starts."""

import os
import shutil
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance import InstanceRef

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def working(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, empty."""
    folder = tmp_path / "working"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return folder


@pytest.fixture
def dagster_home(tmp_path: Path, working: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME elsewhere, with a copy of the file."""
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copy(REPOSITORY / "dagster.yaml", home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return home


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_a_copied_file_keeps_its_data_beside_itself(working: Path, dagster_home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        with instance.compute_log_manager.capture_logs(["run", "compute_logs", "step"]):
            print("printed by a step")
        assert instance.storage_directory() == str(dagster_home / ".dagster" / "storage")
    assert list(working.iterdir()) == []
    assert (dagster_home / ".dagster" / "storage" / "history" / "runs.db").is_file()
    printed = dagster_home / ".dagster" / "storage" / "run" / "compute_logs" / "step.out"
    assert printed.read_text() == "printed by a step\n"
    assert mode(dagster_home / ".dagster") == "0o700"


def test_without_a_home_it_is_the_working_folder(working: Path, tmp_path: Path) -> None:
    """As `dagster dev` does in the repository, whose own temporary folder is deleted at its end."""
    shutil.copy(REPOSITORY / "dagster.yaml", working)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(temporary), config_dir=str(working))):
        pass
    assert sorted(path.name for path in working.iterdir()) == [".dagster", "dagster.yaml"]
    assert (working / ".dagster" / "storage" / "history" / "runs.db").is_file()


def test_an_open_folder_is_made_private(working: Path, dagster_home: Path) -> None:
    (dagster_home / ".dagster").mkdir(mode=0o755)
    os.chmod(dagster_home / ".dagster", 0o755)
    with dg.DagsterInstance.get():
        pass
    assert mode(dagster_home / ".dagster") == "0o700"
