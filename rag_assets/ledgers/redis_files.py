"""The files of a Redis server, written again without erased entries.

Redis writes a snapshot and its append-only file in the background. Until then both hold the erased entries.
"""

import logging
import time

from rag_assets.errors import RagAssetsError
from rag_assets.ledgers.redis_connection import RedisConnection

PATIENCE_SECONDS = 120.0
_PAUSES_SECONDS = (0.05, 1.0)
_WRITING = ("rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled")
_logger = logging.getLogger(__name__)


class _NotWrittenError(Exception):
    """The message is a clause."""


def rewrite_files(connection: RedisConnection) -> None:
    """Write the files again, and wait for them. A server that does not do it is a warning, with the commands for its administrator.

    A user of the cache alone may have no right to it.
    """
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        # One in progress has forked before the entries were erased.
        _wait_until_idle(connection, deadline)
        _write(connection, "BGSAVE", "rdb_last_bgsave_status", deadline)
        # Without an append-only file, the command would create one.
        if _persistence(connection).get("aof_enabled") != "0":
            _write(connection, "BGREWRITEAOF", "aof_last_bgrewrite_status", deadline)
    except (RagAssetsError, _NotWrittenError) as error:
        _logger.warning(
            "erased entries may be left in the files of Redis at %s (%s): let its administrator run BGSAVE, and BGREWRITEAOF with "
            "`appendonly yes`",
            connection.address,
            str(error).rstrip("."),
        )


def _write(connection: RedisConnection, command: str, status: str, deadline: float) -> None:
    while True:
        try:
            connection.call(command)
            break
        except RagAssetsError:
            if not _is_writing(connection):
                raise
            _wait_until_idle(connection, deadline)  # begun by another in the meantime
    _wait_until_idle(connection, deadline)
    if _persistence(connection).get(status) != "ok":
        raise _NotWrittenError(f"{command} failed, its log says why")


def _wait_until_idle(connection: RedisConnection, deadline: float) -> None:
    pause = _PAUSES_SECONDS[0]
    while _is_writing(connection):
        if time.monotonic() > deadline:
            raise _NotWrittenError(f"no end of its writing within {PATIENCE_SECONDS:.0f} s")
        time.sleep(pause)
        pause = min(2 * pause, _PAUSES_SECONDS[1])


def _is_writing(connection: RedisConnection) -> bool:
    found = _persistence(connection)
    return any(found.get(key) not in (None, "0") for key in _WRITING)


def _persistence(connection: RedisConnection) -> dict[str, str]:
    answer = connection.call("INFO", "persistence")
    if isinstance(answer, dict):  # as redis-py parses it
        return {str(key): str(value) for key, value in answer.items()}
    text = answer.decode() if isinstance(answer, bytes) else str(answer)
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
