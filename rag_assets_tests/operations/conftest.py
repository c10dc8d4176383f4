"""A knowledge base with a history, and a second place to restore it into."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.operations.backup.create import BackupReport, back_up
from rag_assets.operations.backup.places import backup_place
from rag_assets.operations.backup.restore import RestoreReport, restore
from rag_assets.records import Point
from rag_assets_tests.canary import CANARY
from rag_assets_tests.histories.world import World
from rag_assets_tests.kept_folder import KeptFolder


class Installations:
    """One world of documents with two state folders: the original, and another machine."""

    def __init__(self, home: Path) -> None:
        self.world = World(home)
        self.other = home / "other"
        self.backup = home / "backup"

    def make_history(self) -> None:
        self.world.write("one", "a.md", "the first version of a letter")
        self.world.write("one", "b.md", "a note that stays")
        self.world.refresh().checked()
        self.world.write("one", "a.md", "the second version of a letter")
        self.world.refresh().checked()

    @contextmanager
    def original(self) -> Iterator[KnowledgeBase]:
        with self.world.knowledge_base() as knowledge_base:
            yield knowledge_base

    @contextmanager
    def elsewhere(self, **settings: Any) -> Iterator[KnowledgeBase]:
        with self.world.knowledge_base(state_dir=self.other, **settings) as knowledge_base:
            yield knowledge_base

    def back_up(self, folder: Path | None = None) -> BackupReport:
        with self.original() as knowledge_base, backup_place(str(folder or self.backup)) as place:
            return back_up(knowledge_base, place)

    def restore(self, folder: Path | None = None, **options: Any) -> RestoreReport:
        with self.elsewhere() as knowledge_base, backup_place(str(folder or self.backup)) as place:
            return restore(knowledge_base, place, **options)

    def restore_here(self, folder: Path | None = None, **options: Any) -> RestoreReport:
        """Restore into the living original."""
        options = {"into_living": "knowledge_base", **options}
        with self.original() as knowledge_base, backup_place(str(folder or self.backup)) as place:
            return restore(knowledge_base, place, **options)


@pytest.fixture(scope="session")
def kept_installations(tmp_path_factory: pytest.TempPathFactory) -> tuple[Installations, KeptFolder]:
    made = Installations(tmp_path_factory.mktemp("installations"))
    made.make_history()
    return made, KeptFolder(made.world.home)


@pytest.fixture
def installations(kept_installations: tuple[Installations, KeptFolder]) -> Installations:
    """Two refreshes: `one/a.md` was edited in the second."""
    found, folder = kept_installations
    folder.restore()
    return found


@pytest.fixture(scope="session")
def kept_canary(tmp_path_factory: pytest.TempPathFactory) -> tuple[Installations, KeptFolder]:
    made = Installations(tmp_path_factory.mktemp("canary"))
    made.make_history()
    made.world.write("one", "secret.md", f"An early version. {CANARY}.")
    made.world.refresh().checked()
    from rag_assets_tests.operations.purging import TITLE_TOO

    made.world.write("one", "secret.md", TITLE_TOO)
    made.world.refresh().checked()
    return made, KeptFolder(made.world.home)


@pytest.fixture
def canary(kept_canary: tuple[Installations, KeptFolder]) -> Installations:
    """A document with the sentence in text, title and metadata is in production, and an earlier version in the previous one."""
    installations, folder = kept_canary
    folder.restore()
    return installations


def all_points(knowledge_base: KnowledgeBase, generation: str | None) -> dict[str, Point]:
    assert generation is not None
    reader = knowledge_base.vector_store.read(generation)
    try:
        return {point.id: point for batch in reader.scroll(with_vectors=True) for point in batch}
    finally:
        reader.close()


def assert_equal_points(one: dict[str, Point], other: dict[str, Point]) -> None:
    """Ids, payloads and vectors are equal, bit for bit."""
    assert one.keys() == other.keys()
    for identity, point in one.items():
        assert point.payload == other[identity].payload
        assert point.vector is not None
        assert (point.vector == other[identity].vector).all()
        assert point.sparse == other[identity].sparse
