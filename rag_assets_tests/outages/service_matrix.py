"""The matrix of services and troubles: refreshes of a real knowledge base while one service fails.

    python -m rag_assets_tests.outages.service_matrix    # writes the table into docs/outages.md

Each refresh has documents to add, to update, to move and to delete. Production afterwards is as before, byte for byte, or
holds all changes. A person reads which part failed, and the next refresh after the trouble ends right.
"""

import contextlib
import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from rag_assets.records import Point
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets.vector_stores.server.store import ServerVectorStore
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
from rag_assets_tests.outages.effect_table import EffectTable, quoted
from rag_assets_tests.outages.result import Production, Result
from rag_assets_tests.outages.services import Moment, Service, cells, running
from rag_assets_tests.pipeline import assert_same_points
from rag_assets_tests.troubled_proxy import Trouble

_STEPS: dict[Moment, str] = {
    "in the middle": "embeddings",
    "at the evaluation": "eval_report",
    "at the promotion": "production_collection",
}
TABLE = EffectTable("| service | trouble | begins | production | a person reads |\n|---|---|---|---|---|\n")
Cell = tuple[str, Trouble, Moment]
"""Service, trouble, moment."""


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


def result_of(cell: Cell, folder: Path) -> Result:
    """Refresh in trouble, and after it.

    Raises:
        AssertionError: production is neither as before nor complete, or the trouble is kept quiet.
    """
    name, trouble, moment = cell
    with running(name, folder / "service") as service:
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
        expected = points_from_nothing(world, after, reading.texts, service.vector_of)
        outcome, says = _refresh_in_trouble(world, service, trouble, moment)
        assert service.proxy.has_begun, f"{cell}: there was no trouble"
        service.proxy.end()
        world.let_go_of_lease(outcome)
        production = _compared(world, state, points, expected)
        assert says or (outcome.succeeded and trouble == "one answer lost"), f"{cell}: nobody hears of it"
        with _warnings() as afterwards:
            world.refresh().checked()
        assert not [message for message in afterwards if "died" in message], "no run has died"
        assert known_documents(world) == after.documents
        assert_same_points(_points(world), expected)
        return Result(production, says)


def _refresh_in_trouble(
    world: World, service: Service, trouble: Trouble, moment: Moment
) -> tuple[Outcome, tuple[str, ...]]:
    def begin() -> None:
        service.proxy.begin(trouble, service.first_request(moment))

    @contextlib.contextmanager
    def around(step: str) -> Iterator[None]:
        if step == service.steps.get(moment, _STEPS.get(moment)):
            begin()
        yield

    with (
        _warnings() as warnings,
        _switched(lambda: begin() if moment == "after the promotion" else None),
    ):
        if moment == "at the start":
            begin()
        outcome = world.refresh(around=around)
    found = warnings if outcome.succeeded else [outcome.message]
    return outcome, tuple(dict.fromkeys(_plain(message, service) for message in found))


@contextlib.contextmanager
def _warnings() -> Iterator[list[str]]:
    handler = _Warnings()
    logging.getLogger().addHandler(handler)
    try:
        yield handler.messages
    finally:
        logging.getLogger().removeHandler(handler)


@contextlib.contextmanager
def _switched(then: Callable[[], object]) -> Iterator[None]:
    """Do something as soon as production is switched."""
    with contextlib.ExitStack() as stack:
        for store in (EmbeddedVectorStore, ServerVectorStore):
            stack.enter_context(mock.patch.object(store, "promote", _followed(store.promote, then)))
        yield


def _followed(promote: Callable[..., ProductionState], then: Callable[[], object]) -> Any:
    def promoted(*args: Any, **kwargs: Any) -> ProductionState:
        state = promote(*args, **kwargs)
        then()
        return state

    return promoted


def _compared(
    world: World, before: ProductionState, points: Mapping[str, Point], expected: Mapping[str, Point]
) -> Production:
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
    message = re.sub(r"rag-assets-test-\w+", "knowledge_base", message)
    message = re.sub(r"\d{8}T\d{12}-run\d+", "GENERATION", message)
    message = re.sub(r"since \d{4}-\d\d-\d\dT[\d:.+]+\d", "since TIME", message)
    return re.sub(r"\b[\d.]+ s\b", "N s", message)


# The page


def described(result: Result) -> str:
    return f"{result.production} | {quoted(result.says) or 'nothing: the refresh goes on'}"


def _main() -> None:
    from rag_assets_tests.outages import dagster_storage

    results: dict[Cell, Result] = {}
    for cell in cells():
        with tempfile.TemporaryDirectory(prefix="outages-", ignore_cleanup_errors=True) as folder:
            results[cell] = result_of(cell, Path(folder))
    with tempfile.TemporaryDirectory(prefix="outages-", ignore_cleanup_errors=True) as folder:
        results |= dagster_storage.results(Path(folder))
    TABLE.write({cell: described(result) for cell, result in results.items()})


if __name__ == "__main__":
    _main()
