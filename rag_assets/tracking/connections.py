"""Connections to the database of the tables: an SQLite file, or PostgreSQL. Each answer has a time limit.

Imports SQLAlchemy, and psycopg for PostgreSQL only.
"""

import math
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from rag_assets.disk.private_folders import make_private_folder
from rag_assets.disk.write_ahead_log import use_write_ahead_log
from rag_assets.errors import ConfigurationError, RagAssetsError
from rag_assets.tracking.versions import NewerTablesError

_CONNECT_SECONDS = 10.0
_MIN_SECONDS = 0.5
_IDLE_GRACE_SECONDS = 10.0
"""The server ends a forgotten transaction this much later than the client gives up. Its reason would be about another fault."""
_SCHEMES = ("postgresql://", "postgres://")
FORM = "postgresql://USER:PASSWORD@HOST/DATABASE"


class OutOfTime(Exception):
    """The time of this delivery is used up. The next one goes on."""


class RowsLeftError(Exception):
    """Removed rows are still in a file. The message is a clause."""


class Deadline:
    """The end of the time for all work together, by the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    def left_seconds(self) -> float:
        """Raises OutOfTime."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise OutOfTime
        return max(left, _MIN_SECONDS)


def engine_for(place: Path | str, deadline: Deadline, *, writes: bool = True) -> Engine:
    """Return an engine whose statements end with the deadline.

    Args:
        place: path of an SQLite file, or the URL of a PostgreSQL database.
        writes: if not, a missing file is an error and nothing is created.

    Raises:
        ConfigurationError: no URL of PostgreSQL, or psycopg is missing.
    """
    if isinstance(place, Path):
        return _sqlite(place, deadline, writes=writes)
    return _postgresql(place, deadline)


def _sqlite(path: Path, deadline: Deadline, *, writes: bool) -> Engine:
    def connect() -> sqlite3.Connection:
        if writes:
            make_private_folder(path.parent)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        uri = f"{path.absolute().as_uri()}?mode={'rw' if writes else 'ro'}"
        connection = sqlite3.connect(
            uri, uri=True, timeout=deadline.left_seconds(), isolation_level=None, check_same_thread=False
        )
        if writes:
            use_write_ahead_log(connection, deadline.left_seconds())
        connection.execute("PRAGMA secure_delete=ON")  # a purged name is overwritten
        connection.execute("PRAGMA synchronous=FULL")  # a delivered record is kept nowhere else
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=1, max_overflow=0)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.exec_driver_sql(f"PRAGMA busy_timeout={math.ceil(deadline.left_seconds() * 1000)}")
        # Python's own driver would begin a transaction neither for reading nor for CREATE TABLE.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(url: str, deadline: Deadline) -> Engine:
    dsn = url.replace("postgresql+psycopg://", "postgresql://", 1)
    if not dsn.startswith(_SCHEMES):
        raise ConfigurationError(f"RAG_METADATA_URL: the expected form is {FORM}")
    try:
        from rag_assets.sources.postgres_connection import connect
    except ModuleNotFoundError:
        raise ConfigurationError(
            "RAG_METADATA_URL needs psycopg: pip install 'rag-assets[postgres]', or remove the variable"
        ) from None

    def connected() -> Any:
        try:
            return connect(dsn, min(_CONNECT_SECONDS, deadline.left_seconds()), read_only=False)
        except ValueError:
            raise ConfigurationError(f"RAG_METADATA_URL: the expected form is {FORM}") from None

    engine = create_engine(
        "postgresql+psycopg://", creator=connected, poolclass=QueuePool, pool_size=1, max_overflow=0
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        left_seconds = deadline.left_seconds()
        driver: Any = connection.connection.driver_connection
        driver.patience_seconds = left_seconds
        limits = {
            "limit": _milliseconds(left_seconds),
            "idle": _milliseconds(left_seconds + _IDLE_GRACE_SECONDS),
        }
        # Of the transaction only, so that a pooler may share its connections.
        connection.execute(
            text(
                "SELECT set_config('statement_timeout', :limit, true), set_config('lock_timeout', :limit, true), "
                "set_config('idle_in_transaction_session_timeout', :idle, true)"
            ),
            limits,
        )

    return engine


def _milliseconds(seconds: float) -> str:
    return str(math.ceil(seconds * 1000))


def in_words(place: Path | str) -> str:
    """Return where the tables are, without user and password."""
    if isinstance(place, Path):
        return str(place)
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(place.replace("postgresql+psycopg://", "postgresql://", 1))
    host, port = parts.get("host") or "this machine", parts.get("port")
    database = parts.get("dbname") or "of the user"
    return f"PostgreSQL at {host}{f':{port}' if port else ''}, database {database}"


def explain(error: BaseException, place: Path | str) -> str:
    """Return why a delivery failed, as a clause with the next step, without the URL and without values of a row."""
    if isinstance(error, OutOfTime | TimeoutError):
        return "the time for one refresh was used up; the next one goes on"
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, NewerTablesError | RowsLeftError | RagAssetsError):
        return str(cause)
    if isinstance(cause, sqlite3.Error):
        return f"{place}: {cause}{_remedy(cause)}"
    if isinstance(cause, OSError):
        return f"{in_words(place)}: {cause.strerror or type(cause).__name__}"
    if isinstance(place, str) and type(cause).__module__.startswith(("psycopg", "rag_assets.")):
        from rag_assets.sources.postgres_connection import explain_write

        return f"{in_words(place)}: {explain_write(cause, place)}"
    return f"unexpected {type(cause).__name__}"


def _remedy(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return ". Move the file away to begin a new one, or restore it from a backup"
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return ". Free some space"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return ". Change the permissions"
    return ""
