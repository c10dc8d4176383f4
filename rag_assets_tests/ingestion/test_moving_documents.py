"""A document that is being written keeps its last good version until it holds still."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rag_assets.ingestion import reading as stages
from rag_assets.sources.filesystem import FilesystemOptions, FilesystemSource
from rag_assets_tests.ingestion.fake_source import Reader


class Writer:
    """Writes one more piece of a file at each look of the refresh."""

    def __init__(self, path: Path, pieces: int) -> None:
        self.path = path
        self.pieces = pieces
        self.num_looks = 0

    def __call__(self, seconds: float) -> None:
        self.num_looks += 1
        if self.num_looks <= self.pieces:
            with self.path.open("a") as file:
                file.write("Another piece. ")


@pytest.fixture
def source(tmp_path: Path) -> FilesystemSource:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text("The first piece. ")
    (folder / "b.txt").write_text("Another document.")
    return FilesystemSource("filesystem", FilesystemOptions(folder=folder, access=None, max_bytes=1000))


@pytest.fixture
def writes(source: FilesystemSource, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Writer]:
    def writes(pieces: int) -> Writer:
        writer = Writer(source.root / "a.txt", pieces)
        monkeypatch.setattr(stages, "sleep", writer)
        return writer

    return writes


def test_a_file_that_holds_still_is_read(
    read: Reader, source: FilesystemSource, writes: Callable[[int], Writer]
) -> None:
    writer = writes(0)
    documents, ingestion = read(source)
    assert set(documents) == {"a.txt", "b.txt"}
    assert (writer.num_looks, len(ingestion.reports[0].unsettled), ingestion.reports[0].num_read) == (1, 0, 2)


def test_a_file_that_moved_is_read_again_in_the_same_refresh(
    read: Reader, source: FilesystemSource, writes: Callable[[int], Writer]
) -> None:
    writes(1)
    documents, _ = read(source)
    assert "Another piece." in str(read.texts.get(str(documents["a.txt"].content_hash)))


def test_a_new_file_that_still_moves_is_left_out_until_it_holds_still(
    read: Reader, source: FilesystemSource, writes: Callable[[int], Writer]
) -> None:
    writes(9)
    documents, ingestion = read(source)
    assert set(documents) == {"b.txt"}
    assert ingestion.reports[0].unsettled == ["filesystem:a.txt"]
    writes(0)
    assert set(read(source)[0]) == {"a.txt", "b.txt"}


def test_a_file_that_still_moves_keeps_its_last_good_version(
    read: Reader, source: FilesystemSource, writes: Callable[[int], Writer]
) -> None:
    writes(0)
    before, ingestion = read(source)
    listed = ingestion.listing_hashes
    served = {state.document_id: state for state in before.values()}
    writes(9)
    (source.root / "a.txt").write_text("A second edition. ")
    after, ingestion = read(source, served=served)
    assert after["a.txt"] == before["a.txt"]
    assert ingestion.listing_hashes != listed, "a sensor must see the difference"
    writes(0)
    settled, _ = read(source, served=served)
    assert settled["a.txt"].content_hash != before["a.txt"].content_hash


def test_a_file_written_between_the_listing_and_the_reading_is_looked_at_again(
    read: Reader, source: FilesystemSource, writes: Callable[[int], Writer]
) -> None:
    """Its clock may be another one: a server can write files with old times."""
    import os

    writer = writes(0)
    for name in ("a.txt", "b.txt"):
        os.utime(source.root / name, (1_700_000_000, 1_700_000_000))
    assert len(read(source)[0]) == 2
    assert writer.num_looks == 0
    entries = list(source.list_entries())
    os.utime(source.root / "a.txt", (1_700_000_001, 1_700_000_001))
    assert [source.read(entry).is_settled for entry in entries] == [False, True]
