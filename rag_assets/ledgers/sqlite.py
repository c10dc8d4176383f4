"""The embedded ledger: one SQLite file in write-ahead mode, shared by all processes of a machine."""

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any, TypeVar

from rag_assets.disk.private_folders import make_private_folder
from rag_assets.disk.state_files import path_problem
from rag_assets.disk.write_ahead_log import use_write_ahead_log
from rag_assets.errors import LedgerUnavailable
from rag_assets.ledgers.base import LeaseHolder, ParseRecord, Spending
from rag_assets.ledgers.rows import (
    Misfits,
    bytes_of,
    checksum_in,
    checksum_of_bytes,
    checksum_of_documents,
    checksum_of_parse,
    document_row,
    documents_of,
    parse_of,
    parse_row,
    refusal_of,
    spending_of,
    vector_of_bytes,
)
from rag_assets.ledgers.sqlite_entries import SqliteEntries
from rag_assets.ledgers.sqlite_schema import (
    ADD_SPENDING,
    ALL_SPENDING,
    FORGET_SPENDING,
    SCHEMA,
    add_columns,
    is_corrupt,
    text_of_bytes,
)
from rag_assets.records import DocumentState, Refusal, Vector

FORMAT_VERSION = 1
_TIMEOUT_SECONDS = 60.0
_logger = logging.getLogger(__name__)
_Item = TypeVar("_Item", str, bytes)
UsedRow = tuple[str | bytes, float, int | None, Any]
"""Key, time of the last use, checksum, and the row."""
_BATCH = 500  # below SQLite's limit on variables in one statement
_DAY_SECONDS = 86_400.0


class SqliteLedger(SqliteEntries):
    """See `rag_assets.ledgers.base.Ledger`.

    A corrupt file, or one of another format version, is set aside and replaced with a new one, because a ledger is a
    cache.

    Args:
        path: the SQLite file. Its folder is created if needed.
        knowledge_base_id: separates the entries of different vector stores.
        ttl_seconds: lifetime of an unused entry.
    """

    _corruption_message = "was corrupt and has been recreated; it is only a cache, retry"

    def __init__(self, path: Path, knowledge_base_id: str, ttl_seconds: float = 30 * _DAY_SECONDS) -> None:
        self._path = path
        self._knowledge_base = knowledge_base_id
        self._ttl_seconds = ttl_seconds
        self._touch_after_seconds = min(_DAY_SECONDS, ttl_seconds / 2)
        self._lock = threading.Lock()
        self._misfits = Misfits(str(path), "Check the disk")
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise self._unavailable(error) from error
            self._recreate(error)
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> LedgerUnavailable:
        """Return the error for a locked file, a read-only file or a full disk. The file itself may be intact."""
        return LedgerUnavailable(f"the ledger {self._path} cannot be used: {error}{path_problem(self._path)}")

    def _open(self) -> sqlite3.Connection:
        make_private_folder(self._path.parent)
        connection = sqlite3.connect(
            self._path, timeout=_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.text_factory = text_of_bytes
            use_write_ahead_log(connection, _TIMEOUT_SECONDS)
            connection.execute("PRAGMA synchronous=NORMAL")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, FORMAT_VERSION):
                connection.close()
                self._set_aside(f"it has format version {version} instead of {FORMAT_VERSION}")
                return self._open()
            connection.executescript(SCHEMA)
            add_columns(connection)
            connection.execute(f"PRAGMA user_version={FORMAT_VERSION}")
        except BaseException:
            connection.close()
            raise
        self._path.chmod(0o600)
        return connection

    def _recreate(self, error: sqlite3.DatabaseError) -> None:
        self._set_aside(f"it is corrupt ({error})")
        self._connection = self._open()

    def _set_aside(self, why: str) -> None:
        aside = self._path.with_name(f"{self._path.name}.unreadable-{int(time.time())}")
        with suppress(FileNotFoundError):  # another process was faster
            self._path.rename(aside)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        _logger.warning(
            "ledger %s is recreated because %s; the old file is kept as %s", self._path, why, aside.name
        )

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._lock, self._recreated_if_corrupt():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _recreated_if_corrupt(self) -> Generator[None]:
        """Replace a corrupt file with a new one. Otherwise every refresh would fail until its deletion.

        Raises:
            LedgerUnavailable: the file was corrupt, or cannot be used now. The block had no effect.
        """
        try:
            yield
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
                raise  # a fault of this program, not of the file
            if not is_corrupt(error):
                raise self._unavailable(error) from error
            with suppress(sqlite3.Error):
                self._connection.close()
            self._recreate(error)
            raise LedgerUnavailable(f"the ledger {self._path} {self._corruption_message}") from error

    def _query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        with self._lock, self._recreated_if_corrupt():
            return self._connection.execute(sql, parameters).fetchall()

    def _lookup(self, sql: str, keys: Sequence[_Item]) -> Iterator[Any]:
        """Run a statement with `IN (?)` over all keys, a batch at a time."""
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            yield from self._query(sql.replace("(?)", f"({','.join('?' * len(batch))})"), batch)

    # Parses

    def parses(self, source_uris: Sequence[str]) -> dict[str, ParseRecord]:
        rows = list(self._lookup("SELECT * FROM parses WHERE source_uri IN (?)", source_uris))
        found = {row[0]: record for row in rows if (record := parse_of(row)) is not None}
        self._misfits.count("parse", len({row[0] for row in rows}) - len(found))
        fitting = ((row[0], row[9], checksum_in(row), row) for row in rows if row[0] in found)
        self._touch("UPDATE parses SET used_at=?, checksum=? WHERE source_uri=?", fitting, checksum_of_parse)
        return found

    def parse_of_bytes(self, raw_hash: str, parser: str, parser_version: str) -> ParseRecord | None:
        rows = self._query(
            "SELECT * FROM parses WHERE raw_hash=? AND parser=? AND parser_version=? LIMIT 10",
            (raw_hash, parser, parser_version),
        )
        return next((record for row in rows if (record := parse_of(row)) is not None), None)

    def put_parses(self, records: Iterable[ParseRecord]) -> None:
        now = time.time()
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO parses VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                (parse_row(record, now) for record in records),
            )

    def forget_quarantined(self, source_uris: Sequence[str]) -> set[str]:
        found = self._lookup(
            "SELECT source_uri, raw_hash FROM parses WHERE content_hash IS NULL AND source_uri IN (?)",
            source_uris,
        )
        hashes = dict(found)
        with self._transaction() as connection:
            # Any of them would be found again by its bytes.
            connection.executemany(
                "DELETE FROM parses WHERE content_hash IS NULL AND raw_hash=?",
                ((raw_hash,) for raw_hash in set(hashes.values())),
            )
        return set(hashes)

    # Documents of a generation

    def documents(self, generation: str) -> list[DocumentState] | None:
        key = (self._knowledge_base, generation)
        recorded = self._query(
            "SELECT checksum FROM recorded_generations WHERE knowledge_base=? AND generation=?", key
        )
        if not recorded:
            return None
        rows = self._query(
            "SELECT document_id, content_hash, location FROM documents WHERE knowledge_base=? AND generation=? "
            "ORDER BY document_id",
            key,
        )
        found = documents_of(rows, recorded[0][0])
        self._misfits.count("document list", found is None)
        return found

    def put_documents(self, generation: str, documents: Iterable[DocumentState]) -> None:
        with self._transaction() as connection:
            key = (self._knowledge_base, generation)
            connection.execute("DELETE FROM documents WHERE knowledge_base=? AND generation=?", key)
            rows = [document_row(state) for state in documents]
            connection.executemany("INSERT INTO documents VALUES (?,?,?,?,?)", ((*key, *row) for row in rows))
            connection.execute(
                "INSERT OR REPLACE INTO recorded_generations VALUES (?,?,?)",
                (*key, checksum_of_documents(rows)),
            )

    # Vectors and signatures

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        rows = list(self._lookup("SELECT key, vector, checksum, used_at FROM vectors WHERE key IN (?)", keys))
        found = {row[0]: value for row in rows if (value := vector_of_bytes(bytes_of(*row[:3]))) is not None}
        self._misfits.count("vector", len({row[0] for row in rows}) - len(found))
        self._touch_values("UPDATE vectors SET used_at=?, checksum=? WHERE key=?", rows, found)
        return found

    def put_vectors(self, vectors: Mapping[bytes, Vector]) -> None:
        values = ((key, vector.astype("<f4").tobytes()) for key, vector in vectors.items())
        self._put_values("INSERT OR REPLACE INTO vectors VALUES (?,?,?,?)", values)

    def signatures(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        rows = list(
            self._lookup("SELECT key, signature, checksum, used_at FROM signatures WHERE key IN (?)", keys)
        )
        found = {row[0]: value for row in rows if (value := bytes_of(*row[:3])) is not None}
        self._misfits.count("signature", len({row[0] for row in rows}) - len(found))
        self._touch_values("UPDATE signatures SET used_at=?, checksum=? WHERE key=?", rows, found)
        return found

    def put_signatures(self, signatures: Mapping[bytes, bytes]) -> None:
        self._put_values("INSERT OR REPLACE INTO signatures VALUES (?,?,?,?)", signatures.items())

    def _put_values(self, sql: str, values: Iterable[tuple[bytes, bytes]]) -> None:
        now = time.time()
        with self._transaction() as connection:
            connection.executemany(
                sql, ((key, value, now, checksum_of_bytes(key, value)) for key, value in values)
            )

    def _touch_values(self, sql: str, rows: Iterable[Any], found: Mapping[bytes, object]) -> None:
        fitting = ((row[0], row[3], row[2], row) for row in rows if row[0] in found)
        self._touch(sql, fitting, lambda row: checksum_of_bytes(row[0], row[1]))

    def _touch(self, sql: str, rows: Iterable[UsedRow], checksum_of: Callable[[Any], int]) -> None:
        """Keep used entries from expiring, with at most one write per entry and day (or half the TTL).

        Entries of an earlier version get their checksum.
        """
        now = time.time()
        stale = [
            (now, checksum_of(row), key)
            for key, used_at, checksum, row in rows
            if checksum is None or now - used_at > self._touch_after_seconds
        ]
        if stale:
            with self._transaction() as connection:
                connection.executemany(sql, stale)

    # Approvals and cleanup

    def put_refusals(self, refusals: Iterable[Refusal]) -> None:
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO refusals VALUES (?,?,?)",
                ((self._knowledge_base, one.token, json.dumps(asdict(one))) for one in refusals),
            )

    def refusals(self) -> dict[str, Refusal]:
        rows = self._query(
            "SELECT token, refusal FROM refusals WHERE knowledge_base=?", (self._knowledge_base,)
        )
        found = {token: refusal_of(stored) for token, stored in rows}
        return {token: refusal for token, refusal in found.items() if refusal and refusal.token == token}

    def end_approvals(self, tokens: Iterable[str]) -> None:
        keys = [(self._knowledge_base, token) for token in tokens]
        with self._transaction() as connection:
            connection.executemany("DELETE FROM approvals WHERE knowledge_base=? AND token=?", keys)
            connection.executemany("DELETE FROM refusals WHERE knowledge_base=? AND token=?", keys)

    def approve(self, token: str) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO approvals VALUES (?,?)", (self._knowledge_base, token))

    def approved_tokens(self) -> frozenset[str]:
        rows = self._query("SELECT token FROM approvals WHERE knowledge_base=?", (self._knowledge_base,))
        return frozenset(row[0] for row in rows)

    def add_spending(self, run_id: str, spent: Spending) -> None:
        with self._transaction() as connection:
            connection.execute(ADD_SPENDING, (self._knowledge_base, run_id, *astuple(spent), time.time()))

    def spending(self) -> dict[str, list[Spending]]:
        return spending_of(self._query(ALL_SPENDING, (self._knowledge_base,)))

    def forget_spending(self, run_ids: Iterable[str]) -> None:
        with self._transaction() as connection:
            connection.executemany(FORGET_SPENDING, [(self._knowledge_base, run_id) for run_id in run_ids])

    def prune(self, keep_generations: Iterable[str]) -> None:
        keep = set(keep_generations)
        expired_at = time.time() - self._ttl_seconds
        with self._transaction() as connection:
            known = connection.execute(
                "SELECT generation FROM recorded_generations WHERE knowledge_base=?", (self._knowledge_base,)
            ).fetchall()
            for (generation,) in known:
                if generation not in keep:
                    key = (self._knowledge_base, generation)
                    connection.execute("DELETE FROM documents WHERE knowledge_base=? AND generation=?", key)
                    connection.execute(
                        "DELETE FROM recorded_generations WHERE knowledge_base=? AND generation=?", key
                    )
            # Given in an earlier version, or recorded in a ledger that was lost.
            connection.execute(
                "DELETE FROM approvals WHERE knowledge_base=?1 AND token NOT IN "
                "(SELECT token FROM refusals WHERE knowledge_base=?1)",
                (self._knowledge_base,),
            )
            connection.execute("DELETE FROM parses WHERE used_at<?", (expired_at,))
            connection.execute("DELETE FROM vectors WHERE used_at<?", (expired_at,))
            connection.execute("DELETE FROM signatures WHERE used_at<?", (expired_at,))
            connection.execute("DELETE FROM spending WHERE added_at<?", (expired_at,))

    # Lease

    def acquire_lease(
        self, owner: str, host: str, pid: int, dead: LeaseHolder | None = None
    ) -> LeaseHolder | None:
        with self._transaction() as connection:
            holder = self._holder(connection.execute)
            if holder and holder.owner != owner and not (dead and holder.is_unchanged_since(dead)):
                return holder
            connection.execute(
                "INSERT OR REPLACE INTO leases VALUES (?,?,?,?,?)",
                (self._knowledge_base, owner, host, pid, time.time()),
            )
        return None

    def renew_lease(self, owner: str, pid: int | None) -> bool:
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE leases SET pid=?, renewed_at=? WHERE knowledge_base=? AND owner=?",
                (pid, time.time(), self._knowledge_base, owner),
            ).rowcount
        return changed == 1

    def release_lease(self, owner: str) -> None:
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM leases WHERE knowledge_base=? AND owner=?", (self._knowledge_base, owner)
            )

    def lease_holder(self) -> LeaseHolder | None:
        with self._lock, self._recreated_if_corrupt():
            return self._holder(self._connection.execute)

    def _holder(self, execute: Callable[..., sqlite3.Cursor]) -> LeaseHolder | None:
        row = execute(
            "SELECT owner, host, pid, renewed_at FROM leases WHERE knowledge_base=?", (self._knowledge_base,)
        ).fetchone()
        if row is None:
            return None
        # After a clock was set back, the last renewal of a dead holder lies in the future. Far ahead counts as long ago.
        return LeaseHolder(*row, age_seconds=abs(time.time() - row[3]))

    def close(self) -> None:
        self._misfits.log_rest()
        with self._lock:
            self._connection.close()
