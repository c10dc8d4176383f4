"""Dagster's storage on PostgreSQL, for deployment/dagster.yaml: that of dagster-postgres, with time limits, plain errors,
and a second attempt after a lost connection.

The driver of dagster-postgres waits without limit for a server that takes a statement and does not answer, as one with a
hanging disk does. And its errors do not say that Dagster's storage is meant, or what to do.
"""

import select
import time
from typing import Any, cast

import psycopg2
from dagster import Field, IntSource
from dagster._core.storage.config import pg_config
from dagster_postgres.storage import DagsterPostgresStorage
from psycopg2 import extensions
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from rag_assets.defs.reconnecting import reconnect
from rag_assets.defs.storage_errors import StorageUnavailable

TIMEOUT_SECONDS = 60
_CONNECT_SECONDS = 10
_TIMEOUT_KEY = "timeout_seconds"
_UNREACHABLE = "Start it, or check `storage` in dagster.yaml and the network, then try again"


class PostgresStorage(DagsterPostgresStorage):
    """`timeout_seconds` beside `postgres_db` is the time for any answer."""

    @classmethod
    def config_type(cls) -> Any:
        fields = cast(dict[str, Any], pg_config())
        return fields | {_TIMEOUT_KEY: Field(IntSource, is_required=False, default_value=TIMEOUT_SECONDS)}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> DagsterPostgresStorage:
        own: Any = dict(config_value)
        _limit_waits(own.pop(_TIMEOUT_KEY, TIMEOUT_SECONDS))
        if not event.contains(Engine, "handle_error", _in_words):
            event.listen(Engine, "handle_error", _in_words, retval=True)
        storage: Any = super().from_config_value(inst_data, own)
        parts = (storage.run_storage, storage.event_log_storage, storage.schedule_storage)
        reconnect(*(part._engine for part in parts))
        return storage


def _limit_waits(seconds: float) -> None:
    """Give up after this time without an answer, in all connections of the driver in this process."""

    def wait(connection: Any) -> None:
        connects = connection.status == extensions.STATUS_SETUP
        limit = min(seconds, _CONNECT_SECONDS) if connects else seconds
        deadline = time.monotonic() + limit
        while (state := connection.poll()) != extensions.POLL_OK:
            descriptor = [connection.fileno()]
            reads, writes = (descriptor, []) if state == extensions.POLL_READ else ([], descriptor)
            if not any(select.select(reads, writes, [], max(0.0, deadline - time.monotonic()))):
                raise psycopg2.OperationalError(f"no answer within {limit:g} s")

    extensions.set_wait_callback(wait)


def _in_words(context: ExceptionContext) -> StorageUnavailable | None:
    error = context.original_exception
    if context.engine is None or context.dialect.driver != "psycopg2":
        return None
    if not isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        return None
    url = context.engine.url
    where = f"Dagster's storage, PostgreSQL at {url.host}:{url.port}, database {url.database},"
    return StorageUnavailable(f"{where} {_problem(error, str(url.username))}", error)


def _problem(error: psycopg2.Error, user: str) -> str:
    text = " ".join(str(error).split())
    lower = text.lower()
    if "no answer within" in lower:
        return f"did not answer{text[len('no answer') :]}. {_UNREACHABLE}"
    if "connection refused" in lower:
        return f"refuses connections. {_UNREACHABLE}"
    if "translate host name" in lower:
        return "has an unknown host name. Check `storage` in dagster.yaml, or the name server"
    if "authentication failed" in lower or "no password supplied" in lower:
        return f"refuses the login of {user}. Check user and password in `storage` of dagster.yaml"
    if error.pgcode == "53100":
        return "has no space left on its disk. Free some, then try again"
    if "FATAL: " in text:  # refused by the server itself, for example while it starts
        return f"refuses a connection ({text.rpartition('FATAL: ')[2].strip()}). See its log, then try again"
    if error.pgcode:
        return f"answered with {type(error).__name__} ({error.pgcode}). See its log, then try again"
    return f"closed the connection. {_UNREACHABLE}"
