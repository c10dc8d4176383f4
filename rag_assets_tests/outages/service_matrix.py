"""The matrix of services and troubles: refreshes of a real knowledge base while one service fails.

    python -m rag_assets_tests.outages.service_matrix    # writes the table into docs/what-happens-when.md

Each refresh has documents to add, to update, to move and to delete. Production afterwards is as before, byte for byte, or
holds all changes. A person reads which part failed, and the next refresh after the trouble ends right.
"""

import contextlib
import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from unittest import mock

from rag_assets.records import Point
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets.vector_stores.production_state import ProductionState
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
from rag_assets_tests.outages.services import SERVICES, Service
from rag_assets_tests.pipeline import assert_same_points
from rag_assets_tests.troubled_proxy import TROUBLES, Trouble

Moment = Literal["at the start", "in the middle", "at the promotion", "after the promotion"]
MOMENTS: tuple[Moment, ...] = get_args(Moment)
_STEPS: dict[Moment, str] = {"in the middle": "embeddings", "at the promotion": "production_collection"}
PAGE = Path(__file__).parents[2] / "docs" / "what-happens-when.md"
HEAD = "| service | trouble | begins | production | a person reads |\n|---|---|---|---|---|\n"


@dataclass(frozen=True)
class Cell:
    """What one trouble does.

    Attributes:
        production: `as before` or `new`.
        says: the message of the failed refresh, or the warnings of a successful one.
    """

    production: Literal["as before", "new"]
    says: tuple[str, ...]


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def _change(world: World) -> None:
    world.write("one", "edited.md", "apples and pears and figs")
    world.move("one", "moved.md", "two", "sub/there.md")
    world.remove("two", "deleted.md")
    world.write("one", "new.md", "# New\n\nsomething quite new")


def cell_of(name: str, trouble: Trouble, moment: Moment, folder: Path) -> Cell:
    """Refresh in trouble, and after it.

    Raises:
        AssertionError: production is neither as before nor complete, or the trouble is kept quiet.
    """
    with SERVICES[name](folder / "service") as service:
        world = World(folder / "home")
        service.use(world)
        for document in ("one/edited", "one/moved", "two/deleted"):
            source, _, path = document.partition("/")
            world.write(source, f"{path}.md", f"the first text of {path}")
        world.refresh().checked()
        state, points, known = world.production(), _points(world), known_documents(world)
        _change(world)
        reading = read_sources(world)
        after = Snapshot(after_refresh(known, reading), world.settings["chunk_size"])
        expected = points_from_nothing(world, after, reading.texts)
        outcome, says = _refresh_in_trouble(world, service, trouble, moment)
        service.proxy.end()
        world.let_go_of_lease(outcome)
        production = _compared(world, state, points, expected)
        assert says, f"{name}, {trouble}, {moment}: nobody hears of it"
        world.refresh().checked()
        assert known_documents(world) == after.documents
        assert_same_points(_points(world), expected)
        return Cell(production, says)


def _refresh_in_trouble(
    world: World, service: Service, trouble: Trouble, moment: Moment
) -> tuple[Outcome, tuple[str, ...]]:
    @contextlib.contextmanager
    def around(step: str) -> Iterator[None]:
        if step == _STEPS.get(moment):
            service.proxy.begin(trouble)
        yield

    warnings = _Warnings()
    logging.getLogger().addHandler(warnings)
    try:
        with _switched(lambda: service.proxy.begin(trouble) if moment == "after the promotion" else None):
            if moment == "at the start":
                service.proxy.begin(trouble)
            outcome = world.refresh(around=around)
    finally:
        logging.getLogger().removeHandler(warnings)
    found = warnings.messages if outcome.succeeded else [outcome.message]
    return outcome, tuple(dict.fromkeys(_plain(message, service) for message in found))


@contextlib.contextmanager
def _switched(then: Callable[[], object]) -> Iterator[None]:
    """Do something as soon as production is switched."""
    original = EmbeddedVectorStore.promote

    def promote(self: EmbeddedVectorStore, *args: Any, **kwargs: Any) -> ProductionState:
        state = original(self, *args, **kwargs)
        then()
        return state

    with mock.patch.object(EmbeddedVectorStore, "promote", promote):
        yield


def _compared(
    world: World, before: ProductionState, points: Mapping[str, Point], expected: Mapping[str, Point]
) -> Literal["as before", "new"]:
    state = world.production()
    assert state.production is not None
    assert problems_of(world, state.production) == ()
    if state.production == before.production:
        assert_same_points(_points(world), dict(points))
        return "as before"
    assert_same_points(_points(world), dict(expected))
    return "new"


def _points(world: World) -> dict[str, Point]:
    production = world.production().production
    assert production is not None
    return stored_points(world, production)


def _plain(message: str, service: Service) -> str:
    message = re.sub(rf"127\.0\.0\.1:{service.proxy.port}", service.host, message)
    message = re.sub(r"since \d{4}-\d\d-\d\dT[\d:.+]+\d", "since TIME", message)
    return re.sub(r"\b0\.2 s\b", "N s", message)


def row(name: str, trouble: Trouble, moment: Moment, cell: Cell) -> str:
    says = "<br>".join(f"`{message.replace('`', chr(39)).replace('|', '/')}`" for message in cell.says)
    return f"| {name} | {trouble} | {moment} | {cell.production} | {says} |"


def documented(page: str) -> list[str]:
    return page.partition(HEAD)[2].partition("\n\n")[0].splitlines()


def _main() -> None:
    rows: list[str] = []
    for name in SERVICES:
        for trouble in TROUBLES:
            for moment in MOMENTS:
                with tempfile.TemporaryDirectory(prefix="outages-", ignore_cleanup_errors=True) as folder:
                    rows.append(row(name, trouble, moment, cell_of(name, trouble, moment, Path(folder))))
    page = PAGE.read_text(encoding="utf-8")
    known = "\n".join(documented(page))
    PAGE.write_text(page.replace(f"{HEAD}{known}", HEAD + "\n".join(rows)), encoding="utf-8")


if __name__ == "__main__":
    _main()
