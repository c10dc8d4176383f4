"""All rows of a table in batches, and rows deleted so that no file holds them any more.

A deleted row stays in free pages, and in the write-ahead log. `secure_delete` overwrites the pages, `VACUUM` writes a new
file without those that were freed before, and a checkpoint empties the log.
"""

import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rag_assets.errors import LedgerUnavailable
from rag_assets.ledgers.base import ParseRecord
from rag_assets.ledgers.rows import bytes_of, parse_of, vector_of_bytes
from rag_assets.records import Vector

_ROWS = 1000
_PATIENCE_SECONDS = 30.0
"""Time for other processes to end what they read."""


def _all_rows(
    query: Callable[[str, tuple[Any, ...]], list[Any]], table: str, key: str, columns: str = "*"
) -> Iterator[list[Any]]:
    """Yield all rows in batches, in the order of their keys. The first column is the key."""
    rows = query(f"SELECT {columns} FROM {table} ORDER BY {key} LIMIT {_ROWS}", ())  # noqa: S608 - our names
    while rows:
        yield rows
        rows = query(
            f"SELECT {columns} FROM {table} WHERE {key}>? ORDER BY {key} LIMIT {_ROWS}",  # noqa: S608
            (rows[-1][0],),
        )


def _erase_rows(connection: sqlite3.Connection, keys: Mapping[str, Iterable[str | bytes]]) -> None:
    """Delete rows, and rewrite the file without free pages.

    Args:
        keys: statement with one parameter -> values of it.
    """
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement, values in keys.items():
            connection.executemany(statement, ((value,) for value in values))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("VACUUM")


def _left_in_log(connection: sqlite3.Connection) -> str:
    """Empty the write-ahead log. Return the problem if another process still reads an old version, or ""."""
    [before] = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute(f"PRAGMA busy_timeout={int(_PATIENCE_SECONDS * 1000)}")
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout={before}")
    if not busy:
        return ""
    return "was in use: erased rows may be left in its write-ahead log. Close other programs, and run the command again"


class SqliteEntries(ABC):
    """The methods of `SqliteLedger` on all entries."""

    _path: Path
    _connection: sqlite3.Connection
    _lock: threading.Lock

    @abstractmethod
    def _query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]: ...

    @abstractmethod
    def _recreated_if_corrupt(self) -> AbstractContextManager[None]: ...

    def all_parses(self) -> Iterator[list[ParseRecord]]:
        for rows in _all_rows(self._query, "parses", "source_uri"):
            yield [record for row in rows if (record := parse_of(row)) is not None]

    def all_vectors(self) -> Iterator[dict[bytes, Vector]]:
        for rows in _all_rows(self._query, "vectors", "key", "key, vector, checksum"):
            found = ((row[0], vector_of_bytes(bytes_of(*row))) for row in rows)
            yield {key: vector for key, vector in found if vector is not None}

    def all_signatures(self) -> Iterator[dict[bytes, bytes]]:
        for rows in _all_rows(self._query, "signatures", "key", "key, signature, checksum"):
            yield {row[0]: value for row in rows if (value := bytes_of(*row)) is not None}

    def erase(
        self,
        *,
        source_uris: Iterable[str] = (),
        contents: Iterable[str] = (),
        vectors: Iterable[bytes] = (),
        signatures: Iterable[bytes] = (),
    ) -> None:
        with self._lock, self._recreated_if_corrupt():
            _erase_rows(
                self._connection,
                {
                    "DELETE FROM parses WHERE source_uri=?": source_uris,
                    "DELETE FROM parses WHERE content_hash=?": contents,
                    "DELETE FROM vectors WHERE key=?": vectors,
                    "DELETE FROM signatures WHERE key=?": signatures,
                },
            )
            problem = _left_in_log(self._connection)
        if problem:
            raise LedgerUnavailable(f"the ledger {self._path} {problem}")
