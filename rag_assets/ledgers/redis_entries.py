"""The cached results in Redis, each a key that expires: parses, vectors, signatures. And how everything is read and written."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from rag_assets.backports import batched
from rag_assets.errors import LedgerNotWritable, LedgerUnavailable
from rag_assets.ledgers.base import ParseRecord
from rag_assets.ledgers.redis_connection import BATCH, Command, RedisConnection
from rag_assets.ledgers.redis_errors import is_of_another_type
from rag_assets.ledgers.redis_files import rewrite_files
from rag_assets.ledgers.redis_keys import DocumentList, Keys, json_in, key_in, parse_id, sealed, unsealed
from rag_assets.ledgers.rows import Misfits, parse_of, parse_row, vector_of_bytes
from rag_assets.records import Vector

_logger = logging.getLogger(__name__)
_PARSES_OF_BYTES = 20
"""How many parses of the same bytes are looked at, to find one of the wanted parser."""
_PAUSE_SECONDS = 30.0
"""After a failed write, none is tried for this time: a server that hangs would cost its timeout each time."""


class RedisEntries:
    """The part of a `RedisLedger` with the cached results.

    Args:
        knowledge_base_id: part of the name of every key.
        ttl_seconds: lifetime of an unused entry.
    """

    def __init__(self, connection: RedisConnection, knowledge_base_id: str, ttl_seconds: int) -> None:
        self._connection = connection
        self._keys = Keys(knowledge_base_id)
        self._ttl_seconds = ttl_seconds
        self._misfits = Misfits(f"Redis at {connection.address}", "Look for other programs that write there")
        self._no_writes_until = 0.0
        self._has_warned = False

    # Parses

    def parses(self, source_uris: Sequence[str]) -> dict[str, ParseRecord]:
        uris = list(dict.fromkeys(source_uris))
        found = self._parses_at({uri: self._keys.parse(uri) for uri in uris})
        self._touch(self._keys.of_bytes(record.raw_hash) for record in found.values() if record.raw_hash)
        return found

    def _parses_at(self, names: Mapping[str, str]) -> dict[str, ParseRecord]:
        """Return the parses of documents with these keys in Redis, those with another document left out."""
        found: dict[str, ParseRecord] = {}
        num_misfits = 0
        for (uri, name), value in zip(names.items(), self._read(list(names.values())), strict=True):
            record = None if value is None else _parse_in(name, value)
            if record is not None and record.source_uri == uri:
                found[uri] = record
            elif value is not None:
                num_misfits += 1
        self._misfits.count("parse", num_misfits)
        return found

    def parse_of_bytes(self, raw_hash: str, parser: str, parser_version: str) -> ParseRecord | None:
        found = self._parses_of_bytes([raw_hash], _PARSES_OF_BYTES)
        return next(
            (
                one
                for one in found
                if (one.raw_hash, one.parser, one.parser_version) == (raw_hash, parser, parser_version)
            ),
            None,
        )

    def _parses_of_bytes(self, raw_hashes: Iterable[str], most: int | None = None) -> list[ParseRecord]:
        """Return the parses of these bytes, by all parsers."""
        ids: set[str] = set()
        commands: list[Command] = [
            ("SMEMBERS", self._keys.of_bytes(raw_hash))
            if most is None
            else ("SRANDMEMBER", self._keys.of_bytes(raw_hash), most)
            for raw_hash in raw_hashes
        ]
        for answer in self._collections(commands):
            ids.update(one.decode(errors="replace") for one in answer)
        names = [self._keys.parse_by_id(one) for one in sorted(ids)]
        values = zip(names, self._read(names), strict=True)
        return [record for name, value in values if (record := _parse_in(name, value)) is not None]

    def put_parses(self, records: Iterable[ParseRecord]) -> None:
        for batch in batched(records, BATCH):
            self._remember("parse results", lambda batch=batch: self._put_parses(batch))

    def _put_parses(self, records: Iterable[ParseRecord]) -> None:
        commands: list[Command] = []
        for record in records:
            name = self._keys.parse(record.source_uri)
            row = list(parse_row(record, 0.0))
            row[10] = None  # the value has a checksum of its own
            value = sealed(name, json.dumps(row).encode())
            commands.append(("SET", name, value, "EX", self._ttl_seconds))
            if record.raw_hash:
                of_bytes = self._keys.of_bytes(record.raw_hash)
                commands.append(("SADD", of_bytes, parse_id(record.source_uri)))
                commands.append(("EXPIRE", of_bytes, self._ttl_seconds))
        self._write(commands)

    def forget_quarantined(self, source_uris: Sequence[str]) -> set[str]:
        found = self._parses_at({uri: self._keys.parse(uri) for uri in source_uris})
        quarantined = {uri: one.raw_hash for uri, one in found.items() if one.content_hash is None}
        raw_hashes = set(quarantined.values())
        # Any of them would be found again by its bytes.
        same_bytes = {
            one.source_uri
            for one in self._parses_of_bytes(raw_hashes)
            if one.content_hash is None and one.raw_hash in raw_hashes
        }
        self._forget([self._keys.parse(uri) for uri in sorted(same_bytes | quarantined.keys())])
        return set(quarantined)

    # Vectors and signatures

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        found = self._values("vector", self._keys.vector, keys)
        return {key: vector for key, value in found.items() if (vector := vector_of_bytes(value)) is not None}

    def put_vectors(self, vectors: Mapping[bytes, Vector]) -> None:
        values = ((key, vector.astype("<f4").tobytes()) for key, vector in vectors.items())
        self._put_values("vectors", self._keys.vector, values)

    def signatures(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        return self._values("signature", self._keys.signature, keys)

    def put_signatures(self, signatures: Mapping[bytes, bytes]) -> None:
        self._put_values("signatures", self._keys.signature, signatures.items())

    def _values(
        self, kind: str, name_of: Callable[[bytes], str], keys: Sequence[bytes]
    ) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        num_misfits = 0
        keys = list(dict.fromkeys(keys))
        names = [name_of(key) for key in keys]
        for key, name, value in zip(keys, names, self._read(names), strict=True):
            content = unsealed(name, value)
            if content is not None:
                found[key] = content
            elif value is not None:
                num_misfits += 1
        self._misfits.count(kind, num_misfits)
        return found

    def _put_values(
        self, what: str, name_of: Callable[[bytes], str], values: Iterable[tuple[bytes, bytes]]
    ) -> None:
        def commands(batch: Iterable[tuple[bytes, bytes]]) -> Iterator[Command]:
            for key, value in batch:
                name = name_of(key)
                yield ("SET", name, sealed(name, value), "EX", self._ttl_seconds)

        for batch in batched(values, BATCH):
            self._remember(what, lambda batch=batch: self._connection.call_all(commands(batch)))

    # All entries, and erasure

    def all_parses(self) -> Iterator[list[ParseRecord]]:
        seen: set[str] = set()  # a scan may give a key twice
        for names, values in self._scan(self._keys.parse_by_id("*")):
            found = (
                _parse_in(name, value) for name, value in zip(names, values, strict=True) if name not in seen
            )
            yield [record for record in found if record is not None]
            seen.update(names)

    def all_vectors(self) -> Iterator[dict[bytes, Vector]]:
        for found in self._scan_values(self._keys.vectors):
            vectors = ((key, vector_of_bytes(value)) for key, value in found.items())
            yield {key: vector for key, vector in vectors if vector is not None}

    def all_signatures(self) -> Iterator[dict[bytes, bytes]]:
        return self._scan_values(self._keys.signatures)

    def erase(
        self,
        *,
        source_uris: Iterable[str] = (),
        contents: Iterable[str] = (),
        vectors: Iterable[bytes] = (),
        signatures: Iterable[bytes] = (),
    ) -> None:
        """Forget entries, and lists of documents that no generation names. See `Ledger.erase`."""
        wanted = set(contents)
        names = [self._keys.parse(uri) for uri in source_uris]
        if wanted:
            for records in self.all_parses():
                names += [self._keys.parse(one.source_uri) for one in records if one.content_hash in wanted]
        names += [*map(self._keys.vector, vectors), *map(self._keys.signature, signatures)]
        [generations] = self._collections([("HGETALL", self._keys.generations)])
        lists = {
            name
            for generation, value in generations.items()
            if (listed := DocumentList.of(generation.decode(), value)) is not None
            for name in listed.keys(self._keys, generation.decode())
        }
        for found, _ in self._scan(self._keys.documents("*", "*", "*")):
            names += [name for name in found if name not in lists]
        self._forget(names)
        rewrite_files(self._connection)

    def _scan_values(self, prefix: str) -> Iterator[dict[bytes, bytes]]:
        for names, values in self._scan(f"{prefix}*"):
            keys = [key_in(name, prefix) for name in names]
            found = zip(keys, names, values, strict=True)
            yield {
                key: content
                for key, name, value in found
                if key is not None and (content := unsealed(name, value)) is not None
            }

    def _scan(self, pattern: str) -> Iterator[tuple[list[str], list[object]]]:
        """Yield all keys of a pattern with their values, in batches. Looks at all keys of the server: no step of a refresh."""
        cursor: int | None = None
        while cursor != 0:
            cursor, found = self._connection.call("SCAN", cursor or 0, "MATCH", pattern, "COUNT", BATCH)
            if found:
                names = [name.decode(errors="replace") for name in found]
                yield names, self._read_only(names)

    # Reading and writing

    def _read(self, names: Sequence[str]) -> list[object]:
        """Return the values of keys, and keep them from expiring."""
        try:
            return self._connection.call_all(("GETEX", name, "EX", self._ttl_seconds) for name in names)
        except LedgerNotWritable:  # a replica, or after a failed snapshot
            return self._read_only(names)

    def _read_only(self, names: Sequence[str]) -> list[object]:
        batches = (names[start : start + BATCH] for start in range(0, len(names), BATCH))
        answers = self._connection.call_all(("MGET", *batch) for batch in batches)
        return [value for answer in answers for value in answer]

    def _touch(self, names: Iterable[str]) -> None:
        with suppress(LedgerNotWritable):
            self._connection.call_all(("EXPIRE", name, self._ttl_seconds) for name in set(names))

    def _forget(self, names: Sequence[str]) -> None:
        self._connection.call_all(("UNLINK", name) for name in names)

    def _forget_fields(self, name: str, fields: Sequence[str]) -> None:
        self._write(("HDEL", name, field) for field in fields)

    def _field(self, name: str, field: str) -> object:
        [value] = self._connection.call_all([("HGET", name, field)])
        return value

    def _fields(self, name: str) -> dict[str, object]:
        [found] = self._collections([("HGETALL", name)])
        return {field.decode(errors="replace"): value for field, value in found.items()}

    def _collections(self, commands: Iterable[Command]) -> list[Any]:
        """Return the contents of sets or hashes. A foreign value in place of one is empty."""
        answers = self._connection.call_all(commands)
        self._misfits.count("table", sum(map(is_of_another_type, answers)))
        return [{} if answer is None or is_of_another_type(answer) else answer for answer in answers]

    def _write(self, commands: Iterable[Command]) -> None:
        """Send commands that write. A foreign value in place of a set or hash is replaced."""
        commands = list(commands)
        answers = self._connection.call_all(commands)
        again = [
            command for command, answer in zip(commands, answers, strict=True) if is_of_another_type(answer)
        ]
        if again:
            self._forget([command[1] for command in again])
            self._connection.call_all(again)

    def _remember(self, what: str, write: Callable[[], object]) -> None:
        """Write results that can be looked up again. A failure costs only that, so it is a warning."""
        if time.monotonic() < self._no_writes_until:
            return
        try:
            write()
        except LedgerUnavailable as error:
            self._no_writes_until = time.monotonic() + _PAUSE_SECONDS
            if not self._has_warned:
                self._has_warned = True
                _logger.warning(
                    "%s. The refresh goes on, and does not remember its %s: the next one looks them up again",
                    error,
                    what,
                )


def _parse_in(name: str, value: object) -> ParseRecord | None:
    row = json_in(name, value)
    return parse_of(row) if isinstance(row, list) and len(row) > 11 else None
