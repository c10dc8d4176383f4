"""The contract of every ledger."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from rag_assets.document_metadata.values import Metadata
from rag_assets.ledgers.base import LeaseHolder, Ledger, ParseRecord, Spending
from rag_assets.records import DocumentState
from rag_assets_tests.documents import corpus, document, vector_of
from rag_assets_tests.ledgers.conftest import OpenLedger

PARSE = ParseRecord("file:///a.md", "12-345", "raw", "markdown", "1", "content", "Größe 東京")
BAD = ParseRecord("file:///b.pdf", "9-9", "raw2", "pdf", "1", None, "", "encrypted", "It has a password.")


def keys(*numbers: int) -> list[bytes]:
    return [number.to_bytes(32, "big") for number in numbers]


# Parses


def test_parses_are_remembered_including_quarantined_ones(ledger: Ledger) -> None:
    assert ledger.parses([PARSE.source_uri]) == {}
    ledger.put_parses([PARSE, BAD])
    assert ledger.parses([PARSE.source_uri, BAD.source_uri, "file:///unknown"]) == {
        PARSE.source_uri: PARSE,
        BAD.source_uri: BAD,
    }


def test_the_last_parse_of_a_document_counts(ledger: Ledger) -> None:
    ledger.put_parses([PARSE])
    newer = replace(PARSE, version_token="13-346", raw_hash="raw3", content_hash="content3")
    ledger.put_parses([newer])
    assert ledger.parses([PARSE.source_uri]) == {PARSE.source_uri: newer}
    assert ledger.parse_of_bytes("raw", "markdown", "1") is None


def test_metadata_are_remembered_by_who_said_them(ledger: Ledger) -> None:
    of_document = Metadata.of(
        {"year": 2024, "share": 0.25, "draft": True, "tags": ("a", "ü"), "date": "2024-01-31T00:00:00Z"}
    )
    of_source = Metadata.of({"year": 2023}, left_out=("secret: api_key",))
    record = replace(PARSE, metadata=of_document, reading_metadata=of_source)
    ledger.put_parses([record, BAD])
    found = ledger.parses([PARSE.source_uri])[PARSE.source_uri]
    assert found == record
    assert found.reading_metadata.left_out == ("secret: api_key",)
    assert ledger.parse_of_bytes("raw", "markdown", "1") == record


def test_many_documents_are_looked_up_at_once(ledger: Ledger) -> None:
    records = [replace(PARSE, source_uri=f"file:///{number}") for number in range(1201)]
    ledger.put_parses(iter(records))
    uris = [record.source_uri for record in records]
    assert ledger.parses([*uris, *uris]) == dict(zip(uris, records, strict=True))
    assert ledger.parses([]) == {}


def test_the_same_bytes_of_another_document_are_known(ledger: Ledger) -> None:
    ledger.put_parses([PARSE, BAD])
    assert ledger.parse_of_bytes("raw", "markdown", "1") == PARSE
    assert ledger.parse_of_bytes("raw2", "pdf", "1") == BAD
    for other in (("raw", "markdown", "2"), ("raw", "html", "1"), ("raw2", "markdown", "1")):
        assert ledger.parse_of_bytes(*other) is None


def test_a_forgotten_outcome_is_forgotten_for_all_documents_with_the_same_bytes(ledger: Ledger) -> None:
    copy = replace(BAD, source_uri="file:///copy.pdf")
    other = replace(BAD, source_uri="file:///c.pdf", raw_hash="raw3")
    paid = replace(BAD, source_uri="raw2 1")
    ledger.put_parses([PARSE, BAD, copy, other, paid])
    uris = [PARSE.source_uri, BAD.source_uri, "file:///unknown"]
    assert ledger.forget_quarantined(uris) == {BAD.source_uri}
    assert ledger.parse_of_bytes("raw2", "pdf", "1") is None
    assert ledger.parses([*uris, copy.source_uri, paid.source_uri, other.source_uri]) == {
        PARSE.source_uri: PARSE,
        other.source_uri: other,
    }
    assert ledger.forget_quarantined(uris) == set()
    assert ledger.forget_quarantined([]) == set()


def test_outcomes_of_many_documents_are_forgotten_at_once(ledger: Ledger) -> None:
    records = [replace(BAD, source_uri=f"file:///{number}", raw_hash=f"{number}") for number in range(1201)]
    ledger.put_parses(records)
    uris = [record.source_uri for record in records]
    assert ledger.forget_quarantined(uris) == set(uris)
    assert ledger.parses(uris) == {}


def test_a_result_of_the_same_bytes_without_a_quarantine_stays(ledger: Ledger) -> None:
    by_another_parser = replace(PARSE, raw_hash=BAD.raw_hash)
    ledger.put_parses([BAD, by_another_parser])
    ledger.forget_quarantined([BAD.source_uri])
    assert ledger.parses([PARSE.source_uri]) == {PARSE.source_uri: by_another_parser}


# Documents


def test_documents_of_a_generation_come_back_sorted_by_id(ledger: Ledger) -> None:
    documents = [
        document("b", "1", title="B", access=("hr", "it")),
        document("a", "1", access=()),
        document("ä 東京", "2", modified_at=None),
    ]
    ledger.put_documents("g1", iter(documents))
    assert ledger.documents("g1") == sorted(documents, key=lambda state: state.document_id)


def test_an_unknown_generation_is_not_an_empty_one(ledger: Ledger) -> None:
    ledger.put_documents("g1", [])
    assert ledger.documents("g1") == []
    assert ledger.documents("g2") is None


def test_documents_are_recorded_all_or_none(ledger: Ledger) -> None:
    def torn() -> Iterator[DocumentState]:
        yield from corpus({"new": "1"})
        raise RuntimeError("killed")

    for generation in ("g1", "g2"):
        if generation == "g1":
            ledger.put_documents("g1", corpus({"old": "1"}))
        with pytest.raises(RuntimeError, match="killed"):
            ledger.put_documents(generation, torn())
    assert ledger.documents("g1") == corpus({"old": "1"})
    assert ledger.documents("g2") is None
    # The ledger still works.
    ledger.put_documents("g2", corpus({"new": "1"}))
    assert ledger.documents("g2") == corpus({"new": "1"})


def test_documents_recorded_again_replace_the_old_ones(ledger: Ledger) -> None:
    ledger.put_documents("g1", corpus({"a": "1", "b": "2"}))
    ledger.put_documents("g1", corpus({"b": "3"}))
    assert ledger.documents("g1") == corpus({"b": "3"})


# Vectors


def test_vectors_come_back_bit_for_bit(ledger: Ledger) -> None:
    sent = {key: vector_of(key.hex(), 32) for key in keys(*range(1201))}
    ledger.put_vectors(sent)
    found = ledger.vectors([*sent, *keys(9999)])
    assert found.keys() == sent.keys()
    assert all(
        found[key].dtype == np.float32 and np.array_equal(found[key], vector) for key, vector in sent.items()
    )
    assert ledger.vectors([]) == {}
    ledger.put_vectors({})


def test_signatures_survive_the_round_trip(ledger: Ledger) -> None:
    sent = {key: bytes([number % 256]) * 512 for number, key in enumerate(keys(*range(1201)))}
    ledger.put_signatures(sent)
    assert ledger.signatures([*sent, *keys(9999)]) == sent
    ledger.put_signatures({keys(1)[0]: b"another"})
    assert ledger.signatures(keys(1)) == {keys(1)[0]: b"another"}
    assert ledger.signatures([]) == {}
    assert ledger.vectors(keys(1)) == {}


def test_returned_vectors_may_be_modified(ledger: Ledger) -> None:
    ledger.put_vectors({keys(1)[0]: vector_of("a")})
    [vector] = ledger.vectors(keys(1)).values()
    vector[0] = 7
    [again] = ledger.vectors(keys(1)).values()
    assert np.array_equal(again, vector_of("a"))


# Approvals and cleanup


def test_an_approval_holds_until_the_next_promotion_prunes_it(ledger: Ledger) -> None:
    assert ledger.approved_tokens() == frozenset()
    for token in ("t1", "t2", "t1"):
        ledger.approve(token)
    assert ledger.approved_tokens() == {"t1", "t2"}
    ledger.prune([])
    assert ledger.approved_tokens() == frozenset()


def test_pruning_forgets_other_generations_and_keeps_used_entries(ledger: Ledger) -> None:
    for generation in ("g1", "g2", "g3"):
        ledger.put_documents(generation, corpus({"a": generation}))
    ledger.put_parses([PARSE])
    ledger.put_vectors({keys(1)[0]: vector_of("a")})
    ledger.prune(["g2", "g3"])
    assert ledger.documents("g1") is None
    assert ledger.documents("g2") == corpus({"a": "g2"})
    assert ledger.parses([PARSE.source_uri])
    assert ledger.vectors(keys(1))


def test_two_knowledge_bases_in_one_ledger_are_separate(open_ledger: OpenLedger) -> None:
    mine, theirs = open_ledger("mine"), open_ledger("theirs")
    mine.put_documents("g1", corpus({"a": "1"}))
    theirs.put_documents("g1", corpus({"b": "2"}))
    mine.approve("token")
    assert mine.acquire_lease("run", "host", 1) is None
    assert theirs.documents("g1") == corpus({"b": "2"})
    assert theirs.approved_tokens() == frozenset()
    assert theirs.lease_holder() is None
    assert theirs.acquire_lease("other", "host", 2) is None
    theirs.prune([])
    assert mine.documents("g1") == corpus({"a": "1"})
    assert mine.approved_tokens() == {"token"}


def test_one_process_reads_the_writes_of_another(open_ledger: OpenLedger) -> None:
    open_ledger().put_documents("g1", corpus({"a": "1"}))
    assert open_ledger().documents("g1") == corpus({"a": "1"})


# Spending


def test_spending_of_a_run_adds_up_by_purpose_and_model(ledger: Ledger) -> None:
    assert ledger.spending() == {}
    ledger.add_spending("r1", Spending("documents", "small", 100, 0.25))
    ledger.add_spending("r1", Spending("documents", "small", 50, 0.5))
    ledger.add_spending("r1", Spending("documents", "large", 1, 0.0))
    ledger.add_spending("r1", Spending("questions", "small", 2**40, 1.0))
    ledger.add_spending("r2", Spending("media", "whisper-1", 0, 0.125))
    assert ledger.spending() == {
        "r1": [
            Spending("documents", "large", 1, 0.0),
            Spending("documents", "small", 150, 0.75),
            Spending("questions", "small", 2**40, 1.0),
        ],
        "r2": [Spending("media", "whisper-1", 0, 0.125)],
    }


def test_an_unknown_cost_stays_unknown(ledger: Ledger) -> None:
    for usd in (0.5, None, 0.25):
        ledger.add_spending("r1", Spending("documents", "own", 10, usd))
    assert ledger.spending() == {"r1": [Spending("documents", "own", 30, None)]}


def test_spending_is_seen_by_other_processes_and_kept_by_cleanup(open_ledger: OpenLedger) -> None:
    mine, other_base = open_ledger(), open_ledger("theirs")
    mine.add_spending("r1", Spending("probe", "small", 30, 0.5))
    assert open_ledger().spending() == {"r1": [Spending("probe", "small", 30, 0.5)]}
    assert other_base.spending() == {}
    other_base.forget_spending(["r1"])
    mine.prune([])
    assert mine.spending().keys() == {"r1"}


def test_spending_recorded_elsewhere_is_forgotten(ledger: Ledger) -> None:
    for run in ("r1", "r2", "r3"):
        ledger.add_spending(run, Spending("documents", "small", 1, 0.0))
    ledger.forget_spending(["r1", "r3", "unknown"])
    assert ledger.spending().keys() == {"r2"}
    ledger.forget_spending([])


def test_no_spending_is_lost_between_threads(open_ledger: OpenLedger) -> None:
    ledgers = [open_ledger() for _ in range(4)]

    def spend(number: int) -> None:
        for _ in range(25):
            ledgers[number].add_spending("r1", Spending("documents", "small", 1, 0.25))

    threads = [threading.Thread(target=spend, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledgers[0].spending() == {"r1": [Spending("documents", "small", 100, 25.0)]}


# The lease


def held_by(holder: LeaseHolder | None) -> str | None:
    return holder.owner if holder else None


def test_one_refresh_at_a_time_has_the_lease(open_ledger: OpenLedger) -> None:
    mine, theirs = open_ledger(), open_ledger()
    assert mine.lease_holder() is None
    assert mine.acquire_lease("r1", "host", 11) is None
    refused = theirs.acquire_lease("r2", "elsewhere", 22)
    assert refused is not None
    assert (refused.owner, refused.host, refused.pid) == ("r1", "host", 11)
    assert 0 <= refused.age_seconds < 20
    assert held_by(mine.lease_holder()) == "r1"
    # Its owner may take it again, in another process.
    assert theirs.acquire_lease("r1", "host", 12) is None
    holder = theirs.lease_holder()
    assert holder is not None
    assert (holder.owner, holder.pid) == ("r1", 12)


def test_only_a_lease_not_renewed_since_its_holder_was_found_dead_is_free(ledger: Ledger) -> None:
    ledger.acquire_lease("r1", "host", 1)
    found_dead = ledger.lease_holder()
    assert held_by(ledger.acquire_lease("r2", "host", 2)) == "r1"
    assert ledger.renew_lease("r1", 1)
    assert held_by(ledger.acquire_lease("r2", "host", 2, found_dead)) == "r1"
    assert ledger.acquire_lease("r2", "host", 2, ledger.lease_holder()) is None
    assert held_by(ledger.acquire_lease("r3", "host", 3, found_dead)) == "r2"


def test_only_its_owner_renews_or_releases_a_lease(ledger: Ledger) -> None:
    assert not ledger.renew_lease("r1", 1)
    ledger.acquire_lease("r1", "host", 1)
    assert not ledger.renew_lease("r2", 2)
    ledger.release_lease("r2")
    assert held_by(ledger.lease_holder()) == "r1"
    assert ledger.renew_lease("r1", None)
    holder = ledger.lease_holder()
    assert holder is not None
    assert holder.pid is None
    ledger.release_lease("r1")
    assert ledger.lease_holder() is None
    assert not ledger.renew_lease("r1", 1)


def test_only_one_of_many_simultaneous_requests_gets_the_lease(open_ledger: OpenLedger) -> None:
    ledgers = [open_ledger() for _ in range(8)]
    results: list[LeaseHolder | None] = []
    barrier = threading.Barrier(8)

    def ask(number: int) -> None:
        barrier.wait()
        results.append(ledgers[number].acquire_lease(f"r{number}", "host", number))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(None) == 1
    winner = held_by(ledgers[0].lease_holder())
    assert {held_by(result) for result in results} == {None, winner}


def test_several_threads_may_use_one_ledger(ledger: Ledger) -> None:
    problems: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for number in range(first, first + 20):
                ledger.put_vectors({keys(number)[0]: vector_of(str(number))})
                assert ledger.vectors(keys(number))
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(100 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(ledger.vectors(keys(*range(400)))) == 80


# All entries, and erasure


def test_all_entries_are_listed_for_a_backup(ledger: Ledger) -> None:
    records = [replace(PARSE, source_uri=f"file:///{number:04}") for number in range(1201)]
    ledger.put_parses(iter(records))
    vectors = {key: vector_of(f"{number}", 4) for number, key in enumerate(keys(*range(1201)))}
    ledger.put_vectors(vectors)
    ledger.put_signatures({key: key * 2 for key in keys(1, 2)})
    listed = {record.source_uri: record for batch in ledger.all_parses() for record in batch}
    assert listed == {record.source_uri: record for record in records}
    found = {key: vector for batch in ledger.all_vectors() for key, vector in batch.items()}
    assert found.keys() == vectors.keys()
    assert all((found[key] == vector).all() for key, vector in vectors.items())
    assert {key: one for batch in ledger.all_signatures() for key, one in batch.items()} == {
        key: key * 2 for key in keys(1, 2)
    }


def test_erased_entries_are_forgotten_and_the_others_stay(ledger: Ledger) -> None:
    moved = replace(PARSE, source_uri="file:///moved.md")
    other = replace(PARSE, source_uri="file:///other.md", content_hash="other content")
    ledger.put_parses([PARSE, BAD, moved, other])
    ledger.put_vectors({key: vector_of("x", 4) for key in keys(1, 2)})
    ledger.put_signatures(dict.fromkeys(keys(1, 2), b"signature"))
    ledger.erase(source_uris=[BAD.source_uri], contents=["content"], vectors=keys(1, 7), signatures=keys(2))
    assert [record for batch in ledger.all_parses() for record in batch] == [other]
    assert ledger.vectors(keys(1, 2)).keys() == set(keys(2))
    assert ledger.signatures(keys(1, 2)).keys() == set(keys(1))
