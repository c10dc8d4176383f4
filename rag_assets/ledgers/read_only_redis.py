"""The ledger on Redis for dry runs and reports: it is only read, and reading does not count as use."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rag_assets.errors import LedgerUnavailable
from rag_assets.ledgers.redis import RedisLedger
from rag_assets.ledgers.redis_connection import Command, RedisConnection

_READS = frozenset({"HGET", "HGETALL", "HMGET", "INFO", "MGET", "SCAN", "SMEMBERS", "SRANDMEMBER", "TIME"})


class ReadOnlyConnection(RedisConnection):
    """Sends commands that only read. Others are refused here, not by the server."""

    def call(self, *command: Any) -> Any:
        self._check(command)
        return super().call(*command)

    def call_all(self, commands: Iterable[Command]) -> list[Any]:
        def checked() -> Iterable[Command]:
            for command in commands:
                self._check(command)
                yield command

        return super().call_all(checked())

    def _check(self, command: Command) -> None:
        if command[0] not in _READS:
            raise LedgerUnavailable(f"the ledger, Redis at {self.address}, is opened for reading only")


class ReadOnlyRedisLedger(RedisLedger):
    """See `RedisLedger`. An ACL user without rights to write is enough."""

    def _read(self, names: Sequence[str]) -> list[object]:
        return self._read_only(names)

    def _touch(self, names: Iterable[str]) -> None:
        """Do nothing: reading here does not count as use."""

    def _remember(self, what: str, write: Callable[[], object]) -> None:
        del what
        write()  # refused, and that is no outage to go on after
