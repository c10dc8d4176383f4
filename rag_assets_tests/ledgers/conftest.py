"""The ledgers under the contract tests. A new one is an entry in `LEDGERS`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from rag_assets.ledgers.base import Ledger
from rag_assets.ledgers.overlay import OverlayLedger
from rag_assets.ledgers.read_only_sqlite import ReadOnlySqliteLedger
from rag_assets.ledgers.registry import build_ledger
from rag_assets.ledgers.sqlite import SqliteLedger
from rag_assets.settings import load_settings
from rag_assets_tests.redis_servers import RedisServer, redis_server


class OpenLedger(Protocol):
    """Opens one more handle on the same data, as another process would."""

    def __call__(self, knowledge_base_id: str = "kb") -> Ledger: ...


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def client(redis: RedisServer) -> Any:
    """A client of the emptied server."""
    found = redis.client()
    found.flushall()
    return found


def _sqlite(request: pytest.FixtureRequest) -> Callable[[str], Ledger]:
    folder: Path = request.getfixturevalue("tmp_path")
    return lambda knowledge_base_id: SqliteLedger(folder / "state" / "ledger.sqlite", knowledge_base_id)


def _overlay(request: pytest.FixtureRequest) -> Callable[[str], Ledger]:
    """Opens an overlay over a missing ledger. The upper ledger is shared, as for the others."""
    above = _sqlite(request)
    below = request.getfixturevalue("tmp_path") / "absent" / "ledger.sqlite"
    return lambda knowledge_base_id: OverlayLedger(
        above(knowledge_base_id), ReadOnlySqliteLedger(below, knowledge_base_id)
    )


def _redis(request: pytest.FixtureRequest) -> Callable[[str], Ledger]:
    """Opens an emptied server."""
    server: RedisServer = request.getfixturevalue("redis")
    server.client().flushall()
    settings = load_settings(redis_url=server.url)
    return lambda knowledge_base_id: build_ledger(settings, knowledge_base_id)


LEDGERS: dict[str, Callable[[pytest.FixtureRequest], Callable[[str], Ledger]]] = {
    "sqlite": _sqlite,
    "overlay": _overlay,
    "redis": _redis,
}


@pytest.fixture(params=LEDGERS)
def open_ledger(request: pytest.FixtureRequest) -> Iterator[OpenLedger]:
    make = LEDGERS[request.param](request)
    opened: list[Ledger] = []

    def open_one(knowledge_base_id: str = "kb") -> Ledger:
        opened.append(make(knowledge_base_id))
        return opened[-1]

    yield open_one
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(open_ledger: OpenLedger) -> Ledger:
    return open_ledger()
