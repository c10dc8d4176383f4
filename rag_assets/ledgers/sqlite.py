"""The embedded ledger: one SQLite file in write-ahead mode, shared by all processes of a machine."""

import json
import logging
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rag_assets.disk.private_folders import make_private_folder
from rag_assets.errors import LedgerUnavailable
from rag_assets.ledgers.base import LeaseHolder, ParseRecord
from rag_assets.records import DocumentState, Location, Vector

FORMAT_VERSION = 1
_logger = logging.getLogger(__name__)
_Item = TypeVar("_Item", str, bytes)
_BATCH = 500  # below SQLite's limit on variables in one statement
_DAY_SECONDS = 86_400.0
_OTHER_SCHEMA = re.compile(r"^no such |has no column named|has \d+ columns")
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS parses (
    source_uri TEXT PRIMARY KEY, version_token TEXT NOT NULL, raw_hash TEXT NOT NULL, parser TEXT NOT NULL,
    parser_version TEXT NOT NULL, content_hash TEXT, title TEXT NOT NULL,
    quarantine_reason TEXT NOT NULL, quarantine_detail TEXT NOT NULL, used_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS parses_by_bytes ON parses (raw_hash, parser, parser_version);
CREATE TABLE IF NOT EXISTS documents (
    knowledge_base TEXT NOT NULL, generation TEXT NOT NULL, document_id TEXT NOT NULL,
    content_hash TEXT NOT NULL, location TEXT NOT NULL,
    PRIMARY KEY (knowledge_base, generation, document_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recorded_generations (
    knowledge_base TEXT NOT NULL, generation TEXT NOT NULL, PRIMARY KEY (knowledge_base, generation)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL, used_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS signatures (
    key BLOB PRIMARY KEY, signature BLOB NOT NULL, used_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS approvals (
    knowledge_base TEXT NOT NULL, token TEXT NOT NULL, PRIMARY KEY (knowledge_base, token)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
    knowledge_base TEXT PRIMARY KEY, owner TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER, renewed_at REAL NOT NULL
) WITHOUT ROWID;
"""


class SqliteLedger:
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
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError as error:
            if not _is_corrupt(error):
                raise self._unavailable(error) from error
            self._recreate(error)
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> LedgerUnavailable:
        """Return the error for a locked file, a read-only file or a full disk. The file itself may be intact."""
        return LedgerUnavailable(f"the ledger {self._path} cannot be used: {error}")

    def _open(self) -> sqlite3.Connection:
        make_private_folder(self._path.parent)
        connection = sqlite3.connect(self._path, timeout=60, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, FORMAT_VERSION):
                connection.close()
                self._set_aside(f"it has format version {version} instead of {FORMAT_VERSION}")
                return self._open()
            connection.executescript(_SCHEMA)
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
            if not _is_corrupt(error):
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
        self._touch("UPDATE parses SET used_at=? WHERE source_uri=?", rows)
        return {row[0]: ParseRecord(*row[:-1]) for row in rows}

    def parse_of_bytes(self, raw_hash: str, parser: str, parser_version: str) -> ParseRecord | None:
        rows = self._query(
            "SELECT * FROM parses WHERE raw_hash=? AND parser=? AND parser_version=? LIMIT 1",
            (raw_hash, parser, parser_version),
        )
        return ParseRecord(*rows[0][:-1]) if rows else None

    def put_parses(self, records: Iterable[ParseRecord]) -> None:
        now = time.time()
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO parses VALUES (?,?,?,?,?,?,?,?,?,?)",
                (
                    (
                        record.source_uri,
                        record.version_token,
                        record.raw_hash,
                        record.parser,
                        record.parser_version,
                        record.content_hash,
                        record.title,
                        record.quarantine_reason,
                        record.quarantine_detail,
                        now,
                    )
                    for record in records
                ),
            )

    # Documents of a generation

    def documents(self, generation: str) -> list[DocumentState] | None:
        key = (self._knowledge_base, generation)
        if not self._query("SELECT 1 FROM recorded_generations WHERE knowledge_base=? AND generation=?", key):
            return None
        rows = self._query(
            "SELECT location, content_hash FROM documents WHERE knowledge_base=? AND generation=? ORDER BY document_id",
            key,
        )
        try:
            return [
                DocumentState(Location.from_payload(json.loads(location)), content)
                for location, content in rows
            ]
        except (ValueError, KeyError, TypeError):
            return None  # not written by this program

    def put_documents(self, generation: str, documents: Iterable[DocumentState]) -> None:
        with self._transaction() as connection:
            key = (self._knowledge_base, generation)
            connection.execute("DELETE FROM documents WHERE knowledge_base=? AND generation=?", key)
            connection.executemany(
                "INSERT INTO documents VALUES (?,?,?,?,?)",
                (
                    (*key, state.document_id, state.content_hash, json.dumps(state.location.to_payload()))
                    for state in documents
                ),
            )
            connection.execute("INSERT OR REPLACE INTO recorded_generations VALUES (?,?)", key)

    # Vectors

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        rows = list(self._lookup("SELECT key, vector, used_at FROM vectors WHERE key IN (?)", keys))
        self._touch("UPDATE vectors SET used_at=? WHERE key=?", rows)
        return {row[0]: np.frombuffer(row[1], dtype="<f4").astype(np.float32) for row in rows}

    def put_vectors(self, vectors: Mapping[bytes, Vector]) -> None:
        now = time.time()
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO vectors VALUES (?,?,?)",
                ((key, vector.astype("<f4").tobytes(), now) for key, vector in vectors.items()),
            )

    # Signatures

    def signatures(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        rows = list(self._lookup("SELECT key, signature, used_at FROM signatures WHERE key IN (?)", keys))
        self._touch("UPDATE signatures SET used_at=? WHERE key=?", rows)
        return {row[0]: row[1] for row in rows}

    def put_signatures(self, signatures: Mapping[bytes, bytes]) -> None:
        now = time.time()
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO signatures VALUES (?,?,?)",
                ((key, signature, now) for key, signature in signatures.items()),
            )

    def _touch(self, sql: str, rows: Sequence[Any]) -> None:
        """Keep used entries from expiring, with at most one write per entry and day (or half the TTL)."""
        now = time.time()
        stale = [(now, row[0]) for row in rows if now - row[-1] > self._touch_after_seconds]
        if stale:
            with self._transaction() as connection:
                connection.executemany(sql, stale)

    # Approvals and cleanup

    def approve(self, token: str) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO approvals VALUES (?,?)", (self._knowledge_base, token))

    def approved_tokens(self) -> frozenset[str]:
        rows = self._query("SELECT token FROM approvals WHERE knowledge_base=?", (self._knowledge_base,))
        return frozenset(row[0] for row in rows)

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
            connection.execute("DELETE FROM approvals WHERE knowledge_base=?", (self._knowledge_base,))
            connection.execute("DELETE FROM parses WHERE used_at<?", (expired_at,))
            connection.execute("DELETE FROM vectors WHERE used_at<?", (expired_at,))
            connection.execute("DELETE FROM signatures WHERE used_at<?", (expired_at,))

    # Lease

    def acquire_lease(
        self, owner: str, host: str, pid: int, expired_after_seconds: float, dead_owner: str | None = None
    ) -> LeaseHolder | None:
        with self._transaction() as connection:
            holder = self._holder(connection.execute)
            free = holder is None or holder.owner in (owner, dead_owner)
            if holder and not free and holder.age_seconds < expired_after_seconds:
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
        return LeaseHolder(row[0], row[1], row[2], age_seconds=abs(time.time() - row[3]))

    def close(self) -> None:
        with self._lock:
            self._connection.close()


class ReadOnlySqliteLedger(SqliteLedger):
    """A ledger file opened for reading. It leaves no trace on disk, and every write fails.

    A missing file counts as an empty ledger, and so does a file that the next refresh would set aside.
    """

    _corruption_message = "is corrupt; it is only a cache, and the next refresh recreates it"

    def _open(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] == FORMAT_VERSION:
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
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version={FORMAT_VERSION}")
        connection.execute("PRAGMA query_only=ON")
        return connection

    def signatures(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        # A file of an earlier version has no table of signatures. The next refresh adds it.
        there = self._query("SELECT 1 FROM sqlite_master WHERE name='signatures'")
        return super().signatures(keys) if there else {}

    def _recreate(self, error: sqlite3.DatabaseError) -> None:  # noqa: ARG002 - not logged, because nothing is lost
        self._connection = self._empty()

    def _touch(self, sql: str, rows: Sequence[Any]) -> None:
        """Do nothing: reading here does not count as use."""


def _is_corrupt(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is corrupt, rather than locked, read-only or on a full disk."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # Tables of another shape with our version number do not come from this program.
    return code in _CORRUPT or (code == sqlite3.SQLITE_ERROR and _OTHER_SCHEMA.search(str(error)) is not None)
