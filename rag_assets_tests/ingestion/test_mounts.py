"""A volume that is not mounted any more is an outage of its folder. A person can admit the loss."""

import os
from pathlib import Path

import pytest

from rag_assets.ingestion.ingestion import Ingestion
from rag_assets.records import DocumentState
from rag_assets.sources.filesystem import FilesystemOptions, FilesystemSource
from rag_assets_tests.ingestion.fake_source import Reader

Mounts = dict[str, dict[str, str]]


class Machine:
    """A documents folder on a machine whose mount points the test decides."""

    def __init__(self, root: Path, read: Reader) -> None:
        self.root = root
        self.mounted: set[str] = set()
        self._read = read
        self.known: Mounts = {}
        self.served: dict[str, DocumentState] = {}

    def refresh(self, approved: frozenset[str] = frozenset()) -> Ingestion:
        source = FilesystemSource(
            "filesystem", FilesystemOptions(folder=self.root, access=None, max_bytes=1000)
        )
        _, ingestion = self._read(
            source, served=self.served, approved_tokens=approved, known_mounts=self.known
        )
        self.known = ingestion.mounts
        return ingestion

    def promote(self) -> None:
        documents, _ = self._read(
            FilesystemSource("filesystem", FilesystemOptions(folder=self.root, access=None, max_bytes=1000))
        )
        self.served = {state.document_id: state for state in documents.values()}


@pytest.fixture
def machine(tmp_path: Path, read: Reader, monkeypatch: pytest.MonkeyPatch) -> Machine:
    from rag_assets.disk import mount_points

    root = tmp_path / "documents"
    for path in ("a.txt", "volume/b.txt", "volume/inner/c.txt"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
        os.utime(root / path, (1, 1))  # long ago: a file just written is read twice, two seconds apart
    machine = Machine(root, read)
    monkeypatch.setattr(mount_points.MountPoints, "contain", lambda _, path: str(path) in machine.mounted)
    machine.promote()
    return machine


def _unmount(machine: Machine) -> None:
    machine.mounted.clear()
    for path in ("volume/b.txt", "volume/inner/c.txt"):
        (machine.root / path).unlink()
    (machine.root / "volume" / "inner").rmdir()


def test_an_unmounted_folder_is_an_outage_until_its_loss_is_admitted(machine: Machine) -> None:
    machine.mounted.add(f"{machine.root}/volume")
    assert machine.refresh().reports[0].outages == []
    _unmount(machine)
    for _ in range(2):  # not forgotten
        [outage] = machine.refresh().reports[0].open_outages
        assert (outage.below, outage.num_kept) == ("volume/", 2)
        assert "mount" in outage.problem
    assert machine.refresh(frozenset({outage.token})).reports[0].open_outages == []
    machine.promote()
    assert machine.refresh().reports[0].outages == []
    assert machine.known == {}


def test_a_folder_that_was_never_mounted_is_deleted_as_usual(machine: Machine) -> None:
    machine.refresh()
    _unmount(machine)
    assert machine.refresh().reports[0].outages == []


@pytest.mark.parametrize("where", ["the folder", "above"])
def test_an_unmounted_volume_with_the_whole_folder_keeps_everything(machine: Machine, where: str) -> None:
    machine.mounted.add(str(machine.root if where == "the folder" else machine.root.parent))
    machine.refresh()
    _unmount(machine)
    [outage] = machine.refresh().reports[0].outages
    assert (outage.below, outage.num_kept) == ("", 2)


def test_documents_that_are_still_there_need_no_mount(machine: Machine) -> None:
    """The volume was copied into the folder, or the machine is another one."""
    machine.mounted.add(f"{machine.root}/volume")
    machine.refresh()
    machine.mounted.clear()
    assert machine.refresh().reports[0].outages == []
    assert machine.known == {}
