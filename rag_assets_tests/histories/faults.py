"""A small refresh, and the same refresh with one failing call: the ground of the fault sweep."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rag_assets.records import DocumentState, Point
from rag_assets_tests.histories import calls
from rag_assets_tests.histories.calls import Calls
from rag_assets_tests.histories.expectation import (
    Snapshot,
    after_refresh,
    known_documents,
    points_from_nothing,
    problems_of,
    read_sources,
    stored_points,
)
from rag_assets_tests.histories.world import Outcome, World
from rag_assets_tests.pipeline import assert_same_points


@dataclass(frozen=True)
class Mode:
    """One way to fail.

    Attributes:
        kinds: beginnings of the names of the calls able to fail so.
    """

    fail: Callable[[str], None]
    kinds: tuple[str, ...] = ("file", "sqlite", "store", "http")
    cut_short: bool = False


MODES = {
    "error": Mode(calls.raise_error),
    "short write": Mode(
        calls.raise_no_space, ("file write", "file pwrite", "sqlite many", "sqlite commit"), cut_short=True
    ),
    "hang": Mode(calls.hang, ("sqlite", "store", "http", "file fsync", "file write", "file os.open")),
    "corrupt": Mode(calls.raise_corrupt, ("sqlite",)),
}


class SmallRefresh:
    """A state of the world before a refresh, restored again and again, and the end of the refresh.

    Args:
        first: the refresh is the first one. If not, a base is there, and every kind of change is made to it.
    """

    def __init__(self, folder: Path, *, first: bool) -> None:
        self.world = World(folder / "home")
        self._kept = folder / "kept"
        world = self.world
        world.write("one", "edited.md", "apples and pears")
        world.write("one", "moved.md", "bananas are long " * 12)
        world.write("two", "sub/deleted.md", "cherries and more")
        world.write("two", "copied.md", "plums")
        self.before: dict[str, DocumentState] = {}
        if not first:
            world.refresh().checked()
            self.before = known_documents(world)
            world.write("one", "edited.md", "apples and pears and figs")
            world.move("one", "moved.md", "two", "sub/there.md")
            world.remove("two", "sub/deleted.md")
            world.write("one", "copy.md", "plums")
            world.write("one", "new.md", "# New\n\nsomething quite new")
        reading = read_sources(world)
        self.after = Snapshot(after_refresh(self.before, reading), world.settings["chunk_size"])
        self.points: dict[str, Point] = points_from_nothing(world, self.after, reading.texts)
        subprocess.run(["cp", "-a", "--sparse=always", str(world.home), str(self._kept)], check=True)
        with Calls(world).counted() as made:
            world.refresh().checked()
        self.calls = made.made
        self.assert_converged()

    def restore(self) -> None:
        shutil.rmtree(self.world.home)
        subprocess.run(["cp", "-a", "--sparse=always", str(self._kept), str(self.world.home)], check=True)

    def assert_converged(self) -> None:
        """Compare production with the end of an undisturbed refresh."""
        production = self.world.production().production
        assert production is not None
        assert problems_of(self.world, production) == ()
        assert known_documents(self.world) == self.after.documents
        assert_same_points(stored_points(self.world, production), self.points)

    def numbers(self, mode: Mode) -> list[int]:
        """Return the numbers of all calls able to fail in this way."""
        return [number for number, kind in enumerate(self.calls) if kind.startswith(mode.kinds)]

    def sample(self, mode: Mode) -> list[int]:
        """Return the number of one call of each kind: the middle one."""
        by_kind: dict[str, list[int]] = {}
        for number in self.numbers(mode):
            by_kind.setdefault(self.calls[number], []).append(number)
        return [numbers[len(numbers) // 2] for numbers in by_kind.values()]

    def problem_of(self, number: int, mode: Mode) -> str:
        """Let one call fail, refresh again, and return the problem, or ""."""
        self.restore()
        with Calls(self.world, number, mode.fail, cut_short=mode.cut_short).counted() as made:
            outcome = self.world.refresh()
        try:
            self._assert_nothing_is_lost()
            self.world.refresh().checked()
            self.assert_converged()
        except Exception as error:
            return f"call {number}, {made.failed}, ended with {_described(outcome)}: {type(error).__name__} {error}"
        return ""

    def _assert_nothing_is_lost(self) -> None:
        """Check that production is as sealed, and holds each kept document in its old or its new version."""
        production = self.world.production().production
        if production is None:
            assert not self.before
            return
        assert problems_of(self.world, production) == ()
        served = known_documents(self.world)
        for document_id in self.before.keys() & self.after.documents.keys():
            versions = (self.before[document_id], self.after.documents[document_id])
            assert served.get(document_id) in versions, document_id


def _described(outcome: Outcome) -> str:
    return "success" if outcome.succeeded else f"{outcome.kind} in {outcome.failed_step} ({outcome.message})"


def problems(refresh: SmallRefresh, mode: Mode, numbers: list[int]) -> Iterator[str]:
    return filter(None, (refresh.problem_of(number, mode) for number in numbers))
