"""The tables of the embedded ledger.

Rows written by a version without checksums have NULL there. They are taken on trust once, and get one when they are
used.
"""

import re
import sqlite3

SCHEMA = """
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
CREATE TABLE IF NOT EXISTS refusals (
    knowledge_base TEXT NOT NULL, token TEXT NOT NULL, refusal TEXT NOT NULL, PRIMARY KEY (knowledge_base, token)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spending (
    knowledge_base TEXT NOT NULL, run_id TEXT NOT NULL, purpose TEXT NOT NULL, model TEXT NOT NULL,
    tokens INTEGER NOT NULL, usd REAL, added_at REAL NOT NULL,
    PRIMARY KEY (knowledge_base, run_id, purpose, model)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
    knowledge_base TEXT PRIMARY KEY, owner TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER, renewed_at REAL NOT NULL
) WITHOUT ROWID;
"""

ADD_SPENDING = (
    "INSERT INTO spending VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
    "tokens=tokens+excluded.tokens, usd=usd+excluded.usd, added_at=excluded.added_at"
)
ALL_SPENDING = "SELECT run_id, purpose, model, tokens, usd FROM spending WHERE knowledge_base=? ORDER BY run_id, purpose, model"
FORGET_SPENDING = "DELETE FROM spending WHERE knowledge_base=? AND run_id=?"
_OTHER_SCHEMA = re.compile(r"^no such |has no column named|has \d+ columns")
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
CHECKED_TABLES = ("parses", "recorded_generations", "vectors", "signatures")
"""The tables with a checksum. That of a recorded generation covers all its documents."""


def text_of_bytes(value: bytes) -> str:
    """Read a damaged text too, so that its checksum can tell. By default SQLite's error would fail every refresh."""
    return value.decode("utf-8", "replace")  # in half the time of `partial(str, …)`


def add_columns(connection: sqlite3.Connection) -> None:
    """Add the columns of checksums and metadata to the tables of an earlier version."""
    for table in tables_without_checksum(connection):
        _add_column(connection, table, "checksum", "INTEGER")
    if not _has_column(connection, "parses", "metadata"):
        _add_column(connection, "parses", "metadata", "TEXT")


def _add_column(connection: sqlite3.Connection, table: str, column: str, kind: str) -> None:
    try:
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    except sqlite3.OperationalError:
        if not _has_column(connection, table, column):
            raise  # not another process that was faster


def _has_column(connection: sqlite3.Connection, table: str, column: str) -> bool:
    return any(found[1] == column for found in connection.execute(f"PRAGMA table_info({table})"))


def tables_without_checksum(connection: sqlite3.Connection) -> frozenset[str]:
    return frozenset(table for table in CHECKED_TABLES if not _has_column(connection, table, "checksum"))


def is_corrupt(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is corrupt, rather than locked, read-only or on a full disk."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # Tables of another shape with our version number do not come from this program.
    return code in _CORRUPT or (code == sqlite3.SQLITE_ERROR and _OTHER_SCHEMA.search(str(error)) is not None)
