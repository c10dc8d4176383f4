"""A connection to PostgreSQL with time limits, and its errors in words without secrets.

Needs psycopg, so it is imported for the first query.
"""

import math
import re
import time
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

T = TypeVar("T")

_GRACE_SECONDS = 2.0
"""The server gives up this much earlier than the client, because it can give a reason."""
_IDLE_SECONDS = 300
"""The server ends a forgotten transaction after this time. Otherwise it would block the vacuuming of dead rows."""

_SETTINGS = """
    SELECT set_config('statement_timeout', %(timeout)s, true), set_config('lock_timeout', %(timeout)s, true),
        set_config('idle_in_transaction_session_timeout', %(idle)s, true),
        set_config('DateStyle', 'ISO', true), set_config('TimeZone', 'UTC', true),
        set_config('IntervalStyle', 'postgres', true), set_config('extra_float_digits', '1', true)
"""

# Their messages name tables, columns, types and roles, never values.
_LASTING_CLASSES = frozenset(("28", "3D", "3F", "42"))
_AROUND = re.compile(
    r'\A(connection failed: |consuming input failed: )?(connection to server at "[^"]*"[^,]*, port \d+ failed: )?'
)
"""Words of libpq around a reason. The caller has named the server."""
_ABOUT_NAMES = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.UndefinedObject,
    errors.AmbiguousColumn,
    errors.InsufficientPrivilege,
    errors.InvalidSchemaName,
    errors.WrongObjectType,
    errors.DatatypeMismatch,
)


class ServerSilent(psycopg.OperationalError):
    """The server accepts a query and does not answer."""


class Connection(psycopg.Connection[TupleRow]):
    """A connection with a time limit for any answer: the server's own timeouts are useless if the server hangs.

    Attributes:
        patience_seconds: the time limit.
    """

    patience_seconds = math.inf

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        patience = self.patience_seconds if timeout is None else timeout
        deadline = time.monotonic() + patience
        try:
            return super().wait(gen, interval, None if math.isinf(patience) else patience)
        except psycopg.OperationalError as error:
            if time.monotonic() < deadline:
                raise
            self.close()
            raise ServerSilent from error

    def begin(self, timeout_seconds: float) -> None:
        """Begin a read-only transaction with time limits, and with a fixed text format for dates.

        The settings are limited to the transaction, so that a connection pooler may share its connections.
        """
        settings = {"timeout": str(math.ceil(timeout_seconds * 1000)), "idle": f"{_IDLE_SECONDS}s"}
        self.execute(_SETTINGS, settings)


def connect(dsn: str, timeout_seconds: float, *, read_only: bool = True) -> Connection:
    """Return a connection for read-only transactions, or for any.

    Raises:
        ValueError: not a connection string.
        psycopg.Error: no connection.
    """
    _check(dsn)
    milliseconds = math.ceil(timeout_seconds * 1000)
    connection = Connection.connect(
        dsn,
        prepare_threshold=None,  # a pooler may hand the next transaction to another server process
        connect_timeout=max(2, math.ceil(timeout_seconds)),
        client_encoding="utf8",
        fallback_application_name="rag-assets",
        keepalives=1,
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
        tcp_user_timeout=milliseconds,
    )
    connection.patience_seconds = timeout_seconds + _GRACE_SECONDS
    if read_only:
        connection.read_only = True
    return connection


def _check(dsn: str) -> None:
    """Raise ValueError for an invalid connection string, also if a part of the password is read as an address."""
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.Error:
        parts = {"host": "@"}
    host, port, dbname = (str(parts.get(key) or "") for key in ("host", "port", "dbname"))
    if "@" in host + dbname or not re.fullmatch(r"[0-9,]*", port):
        raise ValueError(
            "dsn is not a PostgreSQL connection string. In the form postgresql://user:password@host/database, "
            "characters such as @ : / % in a password are written as %40 %3A %2F %25"
        )


def explain(error: Exception, dsn: str) -> str:
    """Return an error as a clause, without the connection string and without values of a row."""
    if isinstance(error, ServerSilent | psycopg.errors.ConnectionTimeout):
        return "the server did not answer in time. Check that it is up and reachable"
    if isinstance(error, errors.QueryCanceled | errors.LockNotAvailable):
        return "a query took longer than timeout_seconds. Raise it, or check for locks on the server"
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return "the query writes. Only reading is allowed"
    if isinstance(error, errors.UndefinedFunction):
        return f"{_said(error)}. Is text_column of type text? If not, cast it in a query"
    if isinstance(error, _ABOUT_NAMES):
        return f"{_said(error)}. Fix the options, or grant SELECT to the user"
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        return f"the server answered with {type(error).__name__} ({error.sqlstate}). See its log"
    if isinstance(error, psycopg.OperationalError):
        return f"{_connection_problem(error, dsn)}. Check `dsn`, and that the server is up"
    return f"it failed with {type(error).__name__}"


def is_lasting(error: Exception) -> bool:
    """Whether an error stays until a person acts: a refused login, a missing database, table or permission."""
    sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
    return sqlstate is not None and sqlstate[:2] in _LASTING_CLASSES


def explain_write(error: BaseException, dsn: str) -> str:
    """Return an error of a writing transaction as a clause, without the connection string and without values of a row."""
    if isinstance(error, ServerSilent | psycopg.errors.ConnectionTimeout):
        return "the server did not answer in time. Check that it is up and reachable"
    if isinstance(error, errors.QueryCanceled | errors.LockNotAvailable):
        return "the server was too slow. Check its load, and for locks"
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return "the server is read-only. Name the primary server"
    if isinstance(error, errors.InsufficientPrivilege | errors.InvalidSchemaName):
        return f"{_said(error)}. Grant CREATE on the schema to the user, for the first refresh and after an update"
    if isinstance(error, errors.DiskFull):
        return "the disk of the server is full. Free some space"
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        return f"the server answered with {type(error).__name__} ({error.sqlstate}). See its log"
    if isinstance(error, psycopg.OperationalError):
        return f"{_AROUND.sub('', _connection_problem(error, dsn))}. Check that the server is up"
    return f"it failed with {type(error).__name__}"


def _connection_problem(error: psycopg.OperationalError, dsn: str) -> str:
    # Indented lines are hints of libpq, such as a question about the server.
    lines = (line for line in str(error).splitlines() if not line.startswith(("\t", " ")))
    return _without_password(" ".join(" ".join(lines).split()), dsn)[:400].rstrip(".")


def _said(error: psycopg.Error) -> str:
    return (error.diag.message_primary or type(error).__name__)[:200]


def _without_password(message: str, dsn: str) -> str:
    parts: dict[str, Any] = conninfo_to_dict(dsn)
    secrets = (str(parts.get(key) or "") for key in ("password", "sslpassword"))
    for secret in filter(None, secrets):
        message = message.replace(secret, "…")
    return message
