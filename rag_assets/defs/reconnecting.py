"""Repeats what may be repeated after PostgreSQL has closed a connection of Dagster's storage, as a restart of the server does.

Dagster repeats the connecting, and no statement: one lost answer ended a run as failed. Here a reading is repeated, and an event
of a run is inserted again if it did not arrive. All else is not: a status written late may undo that of another process, and a
transaction is more than its last statement.
"""

import time
from typing import Any

from dagster._core.storage.event_log import SqlEventLogStorageTable
from dagster_postgres.utils import retry_pg_connection_fn
from sqlalchemy import Connection, Engine, Insert, SelectBase, TextClause, select, text
from sqlalchemy.engine import CursorResult

from rag_assets.defs.storage_errors import StorageUnavailable

_EVENTS = SqlEventLogStorageTable
_SERVER_SIDE = text("SELECT 1 FROM pg_stat_activity WHERE pid = :pid")
_END_SECONDS = 5.0
"""Time for the server to end the old connection: until then it may still execute the statement."""
_POLL_SECONDS = 0.1


class ReconnectingConnection(Connection):
    """One connection of Dagster's storage, without a transaction unless `begin` is called."""

    _has_begun = False

    def begin(self) -> Any:
        self._has_begun = True
        return super().begin()

    def execute(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        def run(executed: Any = statement, given: Any = parameters) -> CursorResult[Any]:
            return super(ReconnectingConnection, self).execute(
                executed, given, execution_options=execution_options
            )

        event = _event_in(statement, parameters)
        if self._has_begun or not (event or _is_harmless(statement)):
            return run()
        process = self._process() if event else 0
        try:
            return run()
        except StorageUnavailable:
            if not self.invalidated:  # for example no answer in time: the server may be busy with it
                raise
            self.rollback()
            retry_pg_connection_fn(lambda: self.connection)
            if not event:
                return run()
            if not self._has_ended(process):
                raise
            arrived = run(_insertion_of(event), None)
            return arrived if arrived.rowcount else run()

    def _process(self) -> int:
        """Return the number of the server's process for this connection."""
        connection: Any = self.connection.dbapi_connection
        return connection.info.backend_pid

    def _has_ended(self, process: int) -> bool:
        deadline = time.monotonic() + _END_SECONDS
        while super().execute(_SERVER_SIDE, {"pid": process}).first() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True


def reconnect(*engines: Engine) -> None:
    """Let all later connections of these engines repeat what may be repeated."""
    for engine in engines:
        # SQLAlchemy has no public way.
        engine._connection_cls = ReconnectingConnection  # pyright: ignore[reportPrivateUsage]


def _is_harmless(statement: Any) -> bool:
    return isinstance(statement, SelectBase) or (
        isinstance(statement, TextClause) and statement.text.lstrip().startswith("NOTIFY ")
    )


def _event_in(statement: Any, parameters: Any) -> dict[str, Any]:
    """Return the columns of an event to insert, or nothing for any other statement."""
    if parameters or not isinstance(statement, Insert) or statement.table is not _EVENTS:
        return {}
    values = dict(statement.compile().params)
    return values if {"run_id", "event"} <= values.keys() else {}  # not those of several events


def _insertion_of(event: dict[str, Any]) -> Any:
    """Return a query with the answer of the insertion, if it took place. An event has its time in microseconds."""
    mine = (_EVENTS.c.run_id == event["run_id"]) & (_EVENTS.c.event == event["event"])
    return select(_EVENTS.c.run_id, _EVENTS.c.id).where(mine).order_by(_EVENTS.c.id.desc()).limit(1)
