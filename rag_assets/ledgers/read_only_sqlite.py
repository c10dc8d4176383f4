"""SQLite ledgers that change nothing on disk, for dry runs and reports: one opened for reading, and one in memory."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rag_assets.ledgers.base import Spending
from rag_assets.ledgers.sqlite import FORMAT_VERSION, SqliteLedger, UsedRow
from rag_assets.ledgers.sqlite_schema import SCHEMA, add_columns, tables_without_checksum, text_of_bytes
from rag_assets.records import Refusal


class ReadOnlySqliteLedger(SqliteLedger):
    """A ledger file opened for reading. It leaves no trace on disk, and every write fails.

    A missing file counts as an empty ledger, and so does a file that the next refresh would set aside.
    """

    _corruption_message = "is corrupt; it is only a cache, and the next refresh recreates it"

    def _open(self) -> sqlite3.Connection:
        connection = self._connect()
        connection.text_factory = text_of_bytes
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] == FORMAT_VERSION:
                self._has_checksums = not tables_without_checksum(connection)
                return connection
        except BaseException:
            connection.close()
            raise
        connection.close()
        return self._empty()

    def _connect(self) -> sqlite3.Connection:
        if not self._path.is_file():
            return self._empty()
        # In write-ahead mode even a reader creates two files beside this one. If they are missing, no process has the
        # file open, and it is complete. Then it may be opened as immutable, and SQLite creates none. If they exist,
        # they hold the newest writes.
        in_use = any(self._path.with_name(self._path.name + suffix).exists() for suffix in ("-wal", "-shm"))
        uri = f"{self._path.absolute().as_uri()}?{'mode=ro' if in_use else 'immutable=1'}"
        return sqlite3.connect(uri, uri=True, timeout=60, isolation_level=None, check_same_thread=False)

    def _empty(self) -> sqlite3.Connection:
        connection = _in_memory()
        self._has_checksums = True
        connection.execute("PRAGMA query_only=ON")
        return connection

    def refusals(self) -> dict[str, Refusal]:
        return super().refusals() if self._has_table("refusals") else {}

    def signatures(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        # A file of an earlier version has fewer tables. The next refresh adds it.
        return super().signatures(keys) if self._has_table("signatures") else {}

    def spending(self) -> dict[str, list[Spending]]:
        return super().spending() if self._has_table("spending") else {}

    def all_signatures(self) -> Iterator[dict[bytes, bytes]]:
        return super().all_signatures() if self._has_table("signatures") else iter(())

    def _has_table(self, name: str) -> bool:
        return bool(self._query("SELECT 1 FROM sqlite_master WHERE name=?", (name,)))

    def _recreate(self, error: sqlite3.DatabaseError) -> None:  # noqa: ARG002 - not logged, because nothing is lost
        self._connection = self._empty()

    def _query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return super()._query(sql if self._has_checksums else sql.replace("checksum", "NULL"), parameters)

    def _touch(self, sql: str, rows: Iterable[UsedRow], checksum_of: Callable[[Any], int]) -> None:
        """Do nothing: reading here does not count as use."""


class InMemoryLedger(SqliteLedger):
    """An empty ledger. It ends with the process.

    Args:
        knowledge_base_id: see `SqliteLedger`.
    """

    def __init__(self, knowledge_base_id: str) -> None:
        super().__init__(Path(":memory:"), knowledge_base_id)

    def _open(self) -> sqlite3.Connection:
        return _in_memory()


def _in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.text_factory = text_of_bytes
    connection.executescript(SCHEMA)
    add_columns(connection)
    return connection
