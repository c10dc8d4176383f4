"""Switching an SQLite file to its write-ahead log, beside other processes that open it for the first time too."""

import sqlite3
import time

_PAUSE_SECONDS = 0.02


def use_write_ahead_log(connection: sqlite3.Connection, seconds: float) -> None:
    """Switch the file to a write-ahead log. Does nothing if it has one.

    SQLite does not wait for this switch. While another process writes, it fails at once, even with a timeout on the
    connection. So it is tried again here.

    Args:
        seconds: time to wait for other processes.

    Raises:
        sqlite3.Error: the file is unusable, or still in use after this time.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            is_busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in (
                sqlite3.SQLITE_BUSY,
                sqlite3.SQLITE_LOCKED,
            )
            if not is_busy or time.monotonic() >= until:
                raise
        time.sleep(_PAUSE_SECONDS)
