"""The switch of an SQLite file to its write-ahead log, while another process writes."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rag_assets.disk.write_ahead_log import use_write_ahead_log
from rag_assets.ledgers.sqlite import SqliteLedger
from rag_assets.tracking.connections import Deadline, engine_for


@pytest.fixture
def in_use(tmp_path: Path) -> Iterator[Path]:
    """A new file, written by another connection for a moment."""
    path = tmp_path / "new.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.3, other.execute, ["COMMIT"])
        timer.start()
        yield path
        timer.join()


def journal_mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA journal_mode").fetchone()[0]


def test_it_waits_for_another_process(in_use: Path) -> None:
    with closing(sqlite3.connect(in_use, isolation_level=None)) as connection:
        use_write_ahead_log(connection, 60)
    assert journal_mode(in_use) == "wal"


def test_it_ends_when_the_time_is_used_up(in_use: Path) -> None:
    with (
        closing(sqlite3.connect(in_use, isolation_level=None)) as connection,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        use_write_ahead_log(connection, 0)


def test_a_ledger_opens_beside_another_process(in_use: Path) -> None:
    SqliteLedger(in_use, "kb", 60).close()
    assert journal_mode(in_use) == "wal"


def test_the_metadata_tables_open_beside_another_process(in_use: Path) -> None:
    engine = engine_for(in_use, Deadline(60))
    engine.connect().close()
    engine.dispose()
    assert journal_mode(in_use) == "wal"
