"""The ledgers under the contract tests. A new one is an entry in `LEDGERS`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from rag_assets.ledgers.base import Ledger
from rag_assets.ledgers.overlay import OverlayLedger
from rag_assets.ledgers.read_only_sqlite import ReadOnlySqliteLedger
from rag_assets.ledgers.sqlite import SqliteLedger


class OpenLedger(Protocol):
    """Opens one more handle on the same data, as another process would."""

    def __call__(self, knowledge_base_id: str = "kb") -> Ledger: ...


def _sqlite(tmp_path: Path) -> Callable[[str], Ledger]:
    return lambda knowledge_base_id: SqliteLedger(tmp_path / "state" / "ledger.sqlite", knowledge_base_id)


def _overlay(tmp_path: Path) -> Callable[[str], Ledger]:
    """Opens an overlay over a missing ledger. The upper ledger is shared, as for the others."""
    above = _sqlite(tmp_path)
    below = tmp_path / "absent" / "ledger.sqlite"
    return lambda knowledge_base_id: OverlayLedger(
        above(knowledge_base_id), ReadOnlySqliteLedger(below, knowledge_base_id)
    )


LEDGERS: dict[str, Callable[[Path], Callable[[str], Ledger]]] = {"sqlite": _sqlite, "overlay": _overlay}


@pytest.fixture(params=LEDGERS)
def open_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenLedger]:
    make = LEDGERS[request.param](tmp_path)
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
