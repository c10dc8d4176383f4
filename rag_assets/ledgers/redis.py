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
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict

from rag_assets.errors import LedgerNotWritable
from rag_assets.ledgers.base import LeaseHolder, Spending
from rag_assets.ledgers.redis_connection import RedisConnection
from rag_assets.ledgers.redis_entries import RedisEntries
from rag_assets.ledgers.redis_keys import DocumentList, packed_parts, sealed, unpacked, unsealed
from rag_assets.ledgers.redis_lease import RedisLease
from rag_assets.ledgers.redis_server import describe_server
from rag_assets.ledgers.redis_spending import SpentHere, added_up, fields_of, unused_fields
from rag_assets.ledgers.rows import checksum_of_documents, document_row, documents_of, refusal_of
from rag_assets.records import DocumentState, Refusal

_logger = logging.getLogger(__name__)
_PRUNE_APPROVALS = """
for _, key in ipairs({{KEYS[1], 'set'}, {KEYS[2], 'hash'}}) do
  local kind = redis.call('TYPE', key[1]).ok
  if kind ~= key[2] and kind ~= 'none' then redis.call('DEL', key[1]) end
end
local known = {}
for _, token in ipairs(redis.call('HKEYS', KEYS[2])) do known[token] = true end
for _, token in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if not known[token] then redis.call('SREM', KEYS[1], token) end
end
return 0
"""


class RedisLedger(RedisEntries):
    """See `rag_assets.ledgers.base.Ledger`, and `RedisEntries` for the arguments."""

    def __init__(self, connection: RedisConnection, knowledge_base_id: str, ttl_seconds: int) -> None:
        super().__init__(connection, knowledge_base_id, ttl_seconds)
        self._lease = RedisLease(connection, self._keys.lease)
        self._spent = SpentHere()
        self._has_warned_of_lease = False

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
        self._write([("HSET", self._keys.generations, generation, listed.seal(generation))])
        if before is not None:
            self._forget(before.keys(self._keys, generation))

    # Approvals and cleanup

    def put_refusals(self, refusals: Iterable[Refusal]) -> None:
        known = self.refusals()
        self._write(
            ("HSET", self._keys.refusals, one.token, sealed(one.token, json.dumps(asdict(one)).encode()))
            for one in refusals
            if one.token not in known
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
            self._write([("SREM", self._keys.approvals, *tokens), ("HDEL", self._keys.refusals, *tokens)])

    def approve(self, token: str) -> None:
        self._write([("SADD", self._keys.approvals, token)])

    def approved_tokens(self) -> frozenset[str]:
        [tokens] = self._collections([("SMEMBERS", self._keys.approvals)])
        return frozenset(token.decode(errors="replace") for token in tokens)

    def add_spending(self, run_id: str, spent: Spending) -> None:
        self._spent.add(run_id, spent)
        self._write_spending()

    def _write_spending(self) -> None:
        commands = self._spent.commands(self._keys.spending)

        def write() -> None:
            self._write(commands)
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
                self._forget_fields(self._keys.generations, [generation])
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
            if not self._has_warned_of_lease:
                self._has_warned_of_lease = True
                _logger.warning(
                    "%s. The refresh goes on without a lease: another one at the same time would do the same work, and only "
                    "one is promoted",
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
