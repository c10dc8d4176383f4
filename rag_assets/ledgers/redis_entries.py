"""All parses of the Redis ledger, and entries erased from it.

Names of vectors and signatures hold a part of their key only, so these cannot be listed. A backup has the vectors of its
points anyway.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from rag_assets.errors import LedgerUnavailable
from rag_assets.ledgers.base import ParseRecord
from rag_assets.ledgers.redis_connection import RedisConnection
from rag_assets.ledgers.redis_keys import Keys
from rag_assets.records import Vector

_AT_ONCE = 1000


class RedisEntries(ABC):
    """The methods of `RedisLedger` on all entries."""

    _connection: RedisConnection
    _keys: Keys

    @abstractmethod
    def _parses_in(self, names: Sequence[str]) -> list[ParseRecord]: ...

    @abstractmethod
    def _forget(self, names: Sequence[str]) -> None: ...

    def all_parses(self) -> Iterator[list[ParseRecord]]:
        cursor = 0
        seen: set[str] = set()
        while True:
            [answer] = self._connection.call_all(
                [("SCAN", cursor, "MATCH", self._keys.parse_by_id("*"), "COUNT", _AT_ONCE)]
            )
            cursor, names = answer[0], {name.decode(errors="replace") for name in answer[1]}
            found = [one for one in self._parses_in(sorted(names - seen)) if one.source_uri]
            seen |= names
            if found:
                yield found
            if cursor == 0:
                return

    def all_vectors(self) -> Iterator[dict[bytes, Vector]]:
        return iter(())

    def all_signatures(self) -> Iterator[dict[bytes, bytes]]:
        return iter(())

    def erase(
        self,
        *,
        source_uris: Iterable[str] = (),
        contents: Iterable[str] = (),
        vectors: Iterable[bytes] = (),
        signatures: Iterable[bytes] = (),
    ) -> None:
        names = {self._keys.parse(uri) for uri in source_uris}
        if contents := set(contents):
            for batch in self.all_parses():
                names |= {self._keys.parse(one.source_uri) for one in batch if one.content_hash in contents}
        names |= {self._keys.vector(key) for key in vectors}
        names |= {self._keys.signature(key) for key in signatures}
        self._forget(sorted(names))
        # So that the dump on the disk of the server does not hold them either. A user of the cache alone may not.
        for command in ("BGSAVE", "BGREWRITEAOF"):
            with suppress(LedgerUnavailable):
                self._connection.call(command)
