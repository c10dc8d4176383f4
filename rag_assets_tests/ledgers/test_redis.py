"""The keys and values of the ledger on Redis, and what happens to it when Redis loses some of them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from rag_assets.errors import LedgerUnavailable
from rag_assets.ledgers import redis_keys
from rag_assets.ledgers.base import Ledger, ParseRecord, Spending
from rag_assets.ledgers.redis_keys import Keys, sealed
from rag_assets.ledgers.registry import build_ledger, build_read_only_ledger
from rag_assets.records import Refusal
from rag_assets.settings import load_settings
from rag_assets_tests.documents import corpus, vector_of
from rag_assets_tests.ledgers.redis_page import documented, measured
from rag_assets_tests.redis_servers import RedisServer

KEY, OTHER = b"k" * 32, b"o" * 32
PARSE = ParseRecord("file:///a.md", "1", "raw", "markdown", "1", "content", "Title")
SECOND = ParseRecord("file:///b.md", "1", "raw", "markdown", "1", "content", "Title")
BAD = ParseRecord("file:///c.pdf", "1", "raw3", "pdf", "1", None, "", "corrupt", "It is torn.")
REFUSAL = Refusal("0" * 16, "deletion", "the deletion of 12 of 20 documents", ("one",), ("one:a",))
DOCUMENTS = corpus({f"{number:05}": "text" for number in range(2500)})
KEYS = Keys("kb")


@pytest.fixture
def ledger(redis: RedisServer, client: Any) -> Iterator[Ledger]:
    found = build_ledger(load_settings(redis_url=redis.url), "kb")
    yield found
    found.close()


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    ledger.put_parses([PARSE, SECOND, BAD])
    ledger.put_documents("g1", DOCUMENTS)
    ledger.put_vectors({KEY: vector_of("a"), OTHER: vector_of("b")})
    ledger.put_signatures({KEY: b"a" * 512, OTHER: b"b" * 512})
    ledger.put_refusals([REFUSAL])
    ledger.approve(REFUSAL.token)
    ledger.add_spending("run", Spending("documents", "model", 10, 0.5))
    ledger.acquire_lease("run", "host", 1)
    return ledger


# Keys


def test_every_key_is_below_the_id_of_the_knowledge_base(filled: Ledger, client: Any) -> None:
    keys = [key.decode() for key in client.keys("*")]
    assert all(key.startswith("rag:kb:") for key in keys)


def test_the_page_lists_every_key_with_its_type_and_lifetime(tmp_path: Path) -> None:
    assert [row[:4] for row in measured(tmp_path)] == [row[:4] for row in documented()]


def test_results_expire_and_decisions_do_not(filled: Ledger, client: Any) -> None:
    lasting = {key.decode().removeprefix("rag:kb:") for key in client.keys("*") if client.ttl(key) == -1}
    assert lasting == {"approvals", "refusals", "lease", "generations", "spending"}


def test_reading_keeps_an_entry_from_expiring(filled: Ledger, client: Any, redis: RedisServer) -> None:
    expiring = [key for key in client.keys("*") if client.ttl(key) != -1]
    for key in expiring:
        client.expire(key, 1000)
    reader = build_read_only_ledger(load_settings(redis_url=redis.url), "kb")
    _read_all(reader)
    reader.close()
    assert all(client.ttl(key) <= 1000 for key in expiring), "a report is no use of an entry"
    _read_all(filled)
    assert [key for key in expiring if client.ttl(key) <= 1000] == []


def _read_all(ledger: Ledger) -> None:
    assert len(ledger.parses([PARSE.source_uri, SECOND.source_uri, BAD.source_uri])) == 3
    assert ledger.documents("g1") == DOCUMENTS
    assert ledger.vectors([KEY, OTHER]).keys() == {KEY, OTHER}
    assert ledger.signatures([KEY, OTHER]).keys() == {KEY, OTHER}


def test_the_lifetime_is_that_of_the_setting(redis: RedisServer, client: Any) -> None:
    ledger = build_ledger(load_settings(redis_url=redis.url, cache_ttl_seconds=77), "kb")
    ledger.put_vectors({KEY: vector_of("a")})
    assert 0 < client.ttl(KEYS.vector(KEY)) <= 77
    ledger.close()


def test_a_removed_generation_leaves_no_key_behind(filled: Ledger, client: Any) -> None:
    filled.put_documents("g1", DOCUMENTS[:1500])
    assert len(client.keys("rag:kb:documents:*")) == 2, "the parts of the list before are gone"
    filled.prune([])
    assert client.keys("rag:kb:documents:*") == []


def test_a_large_ledger_takes_few_round_trips(redis: RedisServer, ledger: Ledger, client: Any) -> None:
    records = [replace(PARSE, source_uri=f"file:///{number}", raw_hash=str(number)) for number in range(3000)]
    vectors = {number.to_bytes(32, "big"): vector_of(str(number)) for number in range(3000)}
    sent: list[int] = []
    from redis.connection import Connection

    original = Connection.send_packed_command

    def counting(connection: Any, command: Any, check_health: bool = True) -> Any:
        sent.append(1)
        return original(connection, command, check_health)

    with mock.patch.object(Connection, "send_packed_command", counting):
        for act, most in (
            (lambda: ledger.put_parses(records), 15),
            (lambda: ledger.parses([record.source_uri for record in records]), 10),
            (lambda: ledger.put_vectors(vectors), 5),
            (lambda: ledger.vectors(list(vectors)), 5),
            (lambda: ledger.put_documents("g2", DOCUMENTS), 10),
            (lambda: ledger.documents("g2"), 5),
            (lambda: ledger.forget_quarantined([record.source_uri for record in records]), 10),
        ):
            sent.clear()
            act()
            assert len(sent) <= most


def test_a_read_only_ledger_writes_nothing(filled: Ledger, client: Any, redis: RedisServer) -> None:
    reader = build_read_only_ledger(load_settings(redis_url=redis.url), "kb")
    before = {key: client.dump(key) for key in client.keys("*")}
    writes: list[Callable[[], object]] = [
        lambda: reader.put_parses([PARSE]),
        lambda: reader.put_documents("g2", []),
        lambda: reader.put_vectors({KEY: vector_of("c")}),
        lambda: reader.put_signatures({KEY: b"c"}),
        lambda: reader.approve("1" * 16),
        lambda: reader.put_refusals([replace(REFUSAL, token="1" * 16)]),
        lambda: reader.end_approvals([REFUSAL.token]),
        lambda: reader.forget_quarantined([BAD.source_uri]),
        lambda: reader.forget_spending(["run"]),
        lambda: reader.erase(vectors=[KEY]),
        lambda: reader.acquire_lease("other", "host", 2),
        lambda: reader.renew_lease("run", 1),
        lambda: reader.release_lease("run"),
        lambda: reader.prune([]),
    ]
    for write in writes:
        with pytest.raises(LedgerUnavailable, match="for reading only"):
            write()
    assert {key: client.dump(key) for key in client.keys("*")} == before
    assert reader.refusals() == {REFUSAL.token: REFUSAL}
    assert reader.approved_tokens() == {REFUSAL.token}
    holder = reader.lease_holder()
    assert holder is not None
    assert holder.owner == "run"
    reader.close()


# Damaged and foreign values


def _of_another_type(client: Any, key: str) -> None:
    client.delete(key)
    client.xadd(key, {"foreign": "value"})


def _of_a_newer_version(client: Any, key: str) -> None:
    client.set(key, b"2" + client.get(key)[1:])


def _one_bit_flipped(client: Any, key: str) -> None:
    value = bytearray(client.get(key))
    value[len(value) // 2] ^= 1
    client.set(key, bytes(value))


def _cut_short(client: Any, key: str) -> None:
    client.set(key, client.get(key)[:-3])


def _empty(client: Any, key: str) -> None:
    client.set(key, b"")


def _text(client: Any, key: str) -> None:
    client.set(key, "what another program keeps here")


DAMAGES = [_of_another_type, _of_a_newer_version, _one_bit_flipped, _cut_short, _empty, _text]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_results_are_looked_up_again(
    filled: Ledger, client: Any, damage: Callable[[Any, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    part = next(key.decode() for key in client.keys("rag:kb:documents:*:1"))
    damaged = [KEYS.parse(PARSE.source_uri), KEYS.vector(KEY), KEYS.signature(KEY), part]
    for key in damaged:
        damage(client, key)
    assert filled.parses([PARSE.source_uri, SECOND.source_uri]) == {SECOND.source_uri: SECOND}
    assert filled.parse_of_bytes("raw", "markdown", "1") == SECOND
    assert filled.vectors([KEY, OTHER]).keys() == {OTHER}
    assert filled.signatures([KEY, OTHER]).keys() == {OTHER}
    assert filled.documents("g1") is None, "a part is not the whole"
    filled.close()
    for kind in ("parse", "vector", "signature", "document list"):
        assert f"1 remembered {kind} did not fit" in caplog.text or damage is _of_another_type
    # They are written again.
    again = [PARSE]
    filled.put_parses(again)
    filled.put_vectors({KEY: vector_of("a")})
    filled.put_signatures({KEY: b"a" * 512})
    filled.put_documents("g1", DOCUMENTS)
    _read_all(filled)


@pytest.mark.parametrize("kind", ["generations", "refusals", "approvals", "lease", "spending", "bytes"])
def test_a_foreign_value_in_place_of_a_whole_table_is_replaced(
    filled: Ledger, client: Any, kind: str
) -> None:
    key = KEYS.of_bytes("raw") if kind == "bytes" else f"rag:kb:{kind}"
    _of_another_type(client, key)
    assert (filled.parse_of_bytes("raw", "markdown", "1") is None) == (kind == "bytes")
    assert (filled.documents("g1") is None) == (kind == "generations")
    assert (filled.refusals() == {}) == (kind == "refusals")
    assert (filled.approved_tokens() == frozenset()) == (kind == "approvals")
    assert (filled.lease_holder() is None) == (kind == "lease")
    assert (filled.spending() == {}) == (kind == "spending")
    filled.put_parses([PARSE])
    filled.put_documents("g1", DOCUMENTS)
    filled.put_refusals([REFUSAL])
    filled.approve(REFUSAL.token)
    filled.add_spending("run", Spending("documents", "model", 10, 0.5))
    filled.acquire_lease("run", "host", 1)
    assert filled.parse_of_bytes("raw", "markdown", "1") in (PARSE, SECOND)
    assert filled.documents("g1") == DOCUMENTS
    assert filled.refusals() == {REFUSAL.token: REFUSAL}
    assert filled.approved_tokens() == {REFUSAL.token}
    assert filled.renew_lease("run", 1)
    assert filled.spending() == {"run": [Spending("documents", "model", 20, 1.0)]}
    filled.prune(["g1"])
    filled.forget_spending(["run"])
    filled.end_approvals([REFUSAL.token])
    assert filled.refusals() == {}


@pytest.mark.parametrize("field", ["pid", "renewed_at"])
def test_a_malformed_lease_is_free(filled: Ledger, client: Any, field: str) -> None:
    client.hset(KEYS.lease, field, "no number")
    assert filled.lease_holder() is None
    assert filled.acquire_lease("other", "host", 2) is None
    holder = filled.lease_holder()
    assert holder is not None
    assert holder.owner == "other"


def test_a_value_moved_to_another_key_is_not_believed(filled: Ledger, client: Any) -> None:
    client.rename(KEYS.vector(KEY), KEYS.vector(OTHER))
    client.rename(KEYS.parse(PARSE.source_uri), KEYS.parse("file:///z.md"))
    assert filled.vectors([KEY, OTHER]) == {}
    assert filled.parses(["file:///z.md"]) == {}
    client.hset(KEYS.generations, "g2", client.hget(KEYS.generations, "g1"))
    assert filled.documents("g2") is None


def test_a_damaged_refusal_is_forgotten(filled: Ledger, client: Any) -> None:
    client.hset(KEYS.refusals, REFUSAL.token, b"foreign")
    client.hset(KEYS.refusals, "1" * 16, sealed("1" * 16, json.dumps({"token": "other"}).encode()))
    assert filled.refusals() == {}
    filled.put_refusals([REFUSAL])
    assert filled.refusals() == {REFUSAL.token: REFUSAL}


def test_erasing_takes_lists_of_documents_that_were_left_behind(filled: Ledger, client: Any) -> None:
    client.delete(KEYS.generations)  # evicted
    filled.put_documents("g2", DOCUMENTS[:10])
    assert len(client.keys("rag:kb:documents:*")) == 4
    filled.erase(source_uris=[PARSE.source_uri])
    assert len(client.keys("rag:kb:documents:*")) == 1
    assert filled.documents("g2") == DOCUMENTS[:10]


def test_foreign_keys_are_no_entries(filled: Ledger, client: Any) -> None:
    client.set("rag:kb:vector:no-key", "foreign")
    client.set("rag:kb:parse:no-parse", "foreign")
    client.xadd("rag:kb:vector:00", {"foreign": "value"})
    assert sum(len(batch) for batch in filled.all_vectors()) == 2
    assert sum(len(batch) for batch in filled.all_parses()) == 3


# Evicted, expired, flushed


def test_a_list_with_an_evicted_part_is_unknown(filled: Ledger, client: Any) -> None:
    parts = client.keys("rag:kb:documents:*")
    assert len(parts) == 3
    for part in parts:
        value = client.getdel(part)
        assert filled.documents("g1") is None
        client.set(part, value)
    assert filled.documents("g1") == DOCUMENTS


def test_a_list_replaced_while_it_is_read_is_never_mixed(filled: Ledger, redis: RedisServer) -> None:
    other = build_ledger(load_settings(redis_url=redis.url), "kb")
    unpacked, replaced = redis_keys.unpacked, False

    def replacing(part: bytes | None) -> Any:
        nonlocal replaced
        if not replaced:
            replaced = True
            other.put_documents("g1", DOCUMENTS[:1200])
        return unpacked(part)

    with mock.patch("rag_assets.ledgers.redis.unpacked", replacing):
        assert filled.documents("g1") in (DOCUMENTS, None)
    assert filled.documents("g1") == DOCUMENTS[:1200]
    other.close()


def test_a_lost_index_of_bytes_costs_a_parse_and_no_more(filled: Ledger, client: Any) -> None:
    client.delete(KEYS.of_bytes("raw"))
    assert filled.parse_of_bytes("raw", "markdown", "1") is None
    assert filled.parses([PARSE.source_uri]) == {PARSE.source_uri: PARSE}
    filled.put_parses([PARSE])
    client.delete(KEYS.parse(PARSE.source_uri))
    assert filled.parse_of_bytes("raw", "markdown", "1") is None, "an index without its parse"


def test_an_emptied_server_is_an_empty_ledger(filled: Ledger, client: Any) -> None:
    client.flushall()
    assert filled.documents("g1") is None
    assert filled.approved_tokens() == frozenset()
    assert filled.lease_holder() is None
    assert not filled.renew_lease("run", 1)
    filled.prune(["g1"])
    filled.end_approvals([REFUSAL.token])
    filled.release_lease("run")


def test_two_knowledge_bases_on_one_server_never_meet(filled: Ledger, redis: RedisServer) -> None:
    other = build_ledger(load_settings(redis_url=redis.url), "kb2")
    assert other.parses([PARSE.source_uri]) == {}
    assert other.parse_of_bytes("raw", "markdown", "1") is None
    assert other.vectors([KEY]) == {}
    assert other.signatures([KEY]) == {}
    assert other.forget_quarantined([BAD.source_uri]) == set()
    other.prune([])
    other.forget_spending(["run"])
    other.release_lease("run")
    _read_all(filled)
    assert filled.approved_tokens() == {REFUSAL.token}
    assert filled.renew_lease("run", 1)
    other.close()


def test_a_vector_of_the_largest_models_comes_back(ledger: Ledger) -> None:
    sent = {number.to_bytes(32, "big"): vector_of(str(number), 4096) for number in range(1500)}
    ledger.put_vectors(sent)
    found = ledger.vectors(list(sent))
    assert all(np.array_equal(found[key], vector) for key, vector in sent.items())


# Spending


def test_spending_written_twice_counts_once(ledger: Ledger, redis: RedisServer, client: Any) -> None:
    ledger.add_spending("run", Spending("documents", "model", 10, 0.5))
    value = client.hgetall(KEYS.spending)
    ledger.add_spending("run", Spending("documents", "model", 5, 0.25))
    client.hset(
        KEYS.spending, mapping={"no": "field of ours", **value}
    )  # an answer was lost, and an older sum is sent again
    ledger.add_spending("run", Spending("documents", "model", 1, 0.25))
    other = build_ledger(load_settings(redis_url=redis.url), "kb")
    other.add_spending("run", Spending("documents", "model", 100, 1.0))
    assert other.spending() == {"run": [Spending("documents", "model", 116, 2.0)]}
    other.close()


def test_old_spending_is_forgotten(filled: Ledger, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.prune([])
    assert filled.spending().keys() == {"run"}
    import time

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 2_592_100)
    filled.prune([])
    assert filled.spending() == {}
