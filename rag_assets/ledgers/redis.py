"""The ledger on a Redis server, shared by all machines with its URL.

Redis may forget anything at any moment: an entry expires or is evicted, and `FLUSHALL` takes all. Then something is
looked up again. It may also be full, or away for a while. Then these rules hold:

- A refresh needs its ledger to begin, and for each lookup: without the cache it would parse and pay for everything again.
- Results that cannot be written are used all the same. They are looked up again next time. The log says so once.
- A lease that cannot be written for lack of memory is done without: two refreshes might then do the same work, and one
  of them is promoted.
- A decision of a person that cannot be written is an error.
"""

import json
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict

from rag_assets.backports import batched
from rag_assets.errors import LedgerNotWritable, LedgerUnavailable
from rag_assets.ledgers.base import LeaseHolder, ParseRecord, Spending
from rag_assets.ledgers.redis_connection import BATCH, Command, RedisConnection
from rag_assets.ledgers.redis_entries import RedisEntries
from rag_assets.ledgers.redis_keys import (
    DocumentList,
    Keys,
    json_in,
    packed_parts,
    parse_id,
    sealed,
    unpacked,
    unsealed,
)
from rag_assets.ledgers.redis_lease import RedisLease
from rag_assets.ledgers.redis_server import describe_server
from rag_assets.ledgers.redis_spending import SpentHere, added_up, fields_of, unused_fields
from rag_assets.ledgers.rows import (
    Misfits,
    checksum_of_documents,
    document_row,
    documents_of,
    parse_of,
    parse_row,
    refusal_of,
    vector_of_bytes,
)
from rag_assets.records import DocumentState, Refusal, Vector

_logger = logging.getLogger(__name__)
_PARSES_OF_BYTES = 20
"""How many parses of the same bytes are looked at, to find one of the wanted parser."""
_PAUSE_SECONDS = 30.0
"""After a failed write, none is tried for this time: a server that hangs would cost its timeout each time."""
_PRUNE_APPROVALS = """
local known = {}
for _, token in ipairs(redis.call('HKEYS', KEYS[2])) do known[token] = true end
for _, token in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if not known[token] then redis.call('SREM', KEYS[1], token) end
end
return 0
"""


class RedisLedger(RedisEntries):
    """See `rag_assets.ledgers.base.Ledger`.

    Args:
        knowledge_base_id: part of the name of every key.
        ttl_seconds: lifetime of an unused entry.
    """

    def __init__(self, connection: RedisConnection, knowledge_base_id: str, ttl_seconds: int) -> None:
        self._connection = connection
        self._keys = Keys(knowledge_base_id)
        self._ttl_seconds = ttl_seconds
        self._lease = RedisLease(connection, self._keys.lease)
        self._misfits = Misfits(f"Redis at {connection.address}", "Look for other programs that write there")
        self._spent = SpentHere()
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
        for answer in self._connection.call_all(commands):
            ids.update(one.decode(errors="replace") for one in answer or () if isinstance(one, bytes))
        names = [self._keys.parse_by_id(one) for one in sorted(ids)]
        return self._parses_in(names)

    def _parses_in(self, names: Sequence[str]) -> list[ParseRecord]:
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
        self._connection.call_all(commands)

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

    # Documents of a generation

    def documents(self, generation: str) -> list[DocumentState] | None:
        value = self._field(self._keys.generations, generation)
        if value is None:
            return None
        listed = DocumentList.of(generation, value)
        found = None if listed is None else self._documents(listed, generation)
        if found is None and value == self._field(self._keys.generations, generation):
            self._misfits.count("document list", 1)
        return found

    def _documents(self, listed: DocumentList, generation: str) -> list[DocumentState] | None:
        """Return the documents, or None if a part of the list is gone: a part never passes for the whole."""
        names = listed.keys(self._keys, generation)
        rows: list[tuple[object, ...]] = []
        for name, value in zip(names, self._read(names), strict=True):
            part = unpacked(unsealed(name, value))
            if part is None:
                return None
            rows.extend(part)
        return documents_of(rows, listed.checksum)

    def put_documents(self, generation: str, documents: Iterable[DocumentState]) -> None:
        rows = sorted(document_row(state) for state in documents)
        self._remember("document list", lambda: self._put_documents(generation, rows))

    def _put_documents(self, generation: str, rows: Sequence[tuple[str, str | None, str]]) -> None:
        parts = packed_parts(rows)
        listed = DocumentList(secrets.token_hex(4), len(parts), checksum_of_documents(rows))
        before = DocumentList.of(generation, self._field(self._keys.generations, generation))
        names = listed.keys(self._keys, generation)
        # The parts first: until the list names them, they are no part of it.
        self._connection.call_all(
            ("SET", name, sealed(name, part), "EX", self._ttl_seconds)
            for name, part in zip(names, parts, strict=True)
        )
        self._put_field(self._keys.generations, generation, listed.seal(generation))
        if before is not None:
            self._forget(before.keys(self._keys, generation))

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
            content = unsealed(name, value, key)
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
                yield ("SET", name, sealed(name, value, key), "EX", self._ttl_seconds)

        for batch in batched(values, BATCH):
            self._remember(what, lambda batch=batch: self._connection.call_all(commands(batch)))

    # Approvals and cleanup

    def put_refusals(self, refusals: Iterable[Refusal]) -> None:
        self._connection.call_all(
            ("HSETNX", self._keys.refusals, one.token, sealed(one.token, json.dumps(asdict(one)).encode()))
            for one in refusals
        )

    def refusals(self) -> dict[str, Refusal]:
        found: dict[str, Refusal] = {}
        for token, value in self._fields(self._keys.refusals).items():
            content = unsealed(token, value)
            refusal = None if content is None else refusal_of(content.decode())
            if refusal is not None and refusal.token == token:
                found[token] = refusal
            else:
                self._misfits.count("refusal", 1)
        return found

    def end_approvals(self, tokens: Iterable[str]) -> None:
        if tokens := list(tokens):
            # The approvals first: one without its refusal is forgotten by the next cleanup.
            commands = [("SREM", self._keys.approvals, *tokens), ("HDEL", self._keys.refusals, *tokens)]
            self._connection.call_all(commands)

    def approve(self, token: str) -> None:
        self._connection.call_all([("SADD", self._keys.approvals, token)])

    def approved_tokens(self) -> frozenset[str]:
        [answer] = self._connection.call_all([("SMEMBERS", self._keys.approvals)])
        return frozenset(token.decode(errors="replace") for token in answer or ())

    def add_spending(self, run_id: str, spent: Spending) -> None:
        self._spent.add(run_id, spent)
        self._write_spending()

    def _write_spending(self) -> None:
        commands = self._spent.commands(self._keys.spending)

        def write() -> None:
            self._connection.call_all(commands)
            self._spent.was_written(commands)

        self._remember("spending", write)

    def spending(self) -> dict[str, list[Spending]]:
        found, num_misfits = added_up(self._fields(self._keys.spending))
        self._misfits.count("cost", num_misfits)
        return found

    def forget_spending(self, run_ids: Iterable[str]) -> None:
        run_ids = list(run_ids)
        self._spent.forget(run_ids)
        self._forget_fields(
            self._keys.spending, fields_of(self._fields(self._keys.spending), run_ids) if run_ids else []
        )

    def prune(self, keep_generations: Iterable[str]) -> None:
        keep = set(keep_generations)
        for generation, value in self._fields(self._keys.generations).items():
            if generation not in keep:
                listed = DocumentList.of(generation, value)
                self._connection.call("HDEL", self._keys.generations, generation)
                if listed is not None:
                    self._forget(listed.keys(self._keys, generation))
        # Given in an earlier version, or recorded in a ledger that was lost.
        self._connection.call("EVAL", _PRUNE_APPROVALS, 2, self._keys.approvals, self._keys.refusals)
        spending = self._fields(self._keys.spending)
        self._forget_fields(self._keys.spending, unused_fields(spending, time.time() - self._ttl_seconds))

    # Lease

    def acquire_lease(
        self, owner: str, host: str, pid: int, dead: LeaseHolder | None = None
    ) -> LeaseHolder | None:
        try:
            return self._lease.acquire(owner, host, pid, dead)
        except LedgerNotWritable as error:
            _logger.warning(
                "%s. The refresh goes on without a lease: another one at the same time would do the same work, and only one "
                "is promoted",
                error,
            )
            return None

    def renew_lease(self, owner: str, pid: int | None) -> bool:
        try:
            return self._lease.renew(owner, pid)
        except LedgerNotWritable:
            # Without a renewal it ends after a while, and a waiting refresh begins: see `acquire_lease`.
            holder = self._lease.holder()
            return holder is not None and holder.owner == owner

    def release_lease(self, owner: str) -> None:
        with suppress(LedgerNotWritable):  # it frees itself
            self._lease.release(owner)

    def lease_holder(self) -> LeaseHolder | None:
        return self._lease.holder()

    def describe_server(self) -> list[str]:
        return describe_server(self._connection)

    def close(self) -> None:
        self._misfits.log_rest()
        if self._spent.has_unwritten():
            self._write_spending()
        self._connection.close()

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
        self._connection.call_all(("HDEL", name, field) for field in fields)

    def _field(self, name: str, field: str) -> object:
        return self._connection.call_all([("HGET", name, field)])[0]

    def _fields(self, name: str) -> dict[str, object]:
        [answer] = self._connection.call_all([("HGETALL", name)])
        return {field.decode(errors="replace"): value for field, value in (answer or {}).items()}

    def _put_field(self, name: str, field: str, value: bytes) -> None:
        self._connection.call("HSET", name, field, value)

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
