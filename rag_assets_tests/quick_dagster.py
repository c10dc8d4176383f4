"""Dagster's storage without its costs for a test: it connects for every event, and reads its migrations for every instance."""

import contextlib
import sqlite3
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import sqlalchemy

_engines: "dict[str, sqlalchemy.Engine]" = {}


@contextlib.contextmanager
def quick_dagster() -> Iterator[None]:
    """Keep connections and migrations, and do not wait for the disk: no file of a test must survive a power cut."""
    import sqlalchemy
    from alembic.script import ScriptDirectory
    from dagster._core.storage.event_log.sqlite import consolidated_sqlite_event_log, sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage
    from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", _do_not_sync)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ScriptDirectory, "from_config", cache(ScriptDirectory.from_config))
            for module in (
                consolidated_sqlite_event_log,
                sqlite_event_log,
                sqlite_run_storage,
                sqlite_schedule_storage,
            ):
                patch.setattr(module, "create_engine", _kept_engine)
            yield
    finally:
        close_connections()
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", _do_not_sync)


def close_connections() -> None:
    """Close idle connections. Needed before their files are moved or replaced."""
    for engine in _engines.values():
        engine.dispose()


def _kept_engine(url: str, connect_args: dict[str, Any] | None = None, **_: Any) -> "sqlalchemy.Engine":
    import sqlalchemy

    if url not in _engines:
        _engines[url] = sqlalchemy.create_engine(url, connect_args=connect_args or {})
    return _engines[url]


def _do_not_sync(connection: Any, _: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")
