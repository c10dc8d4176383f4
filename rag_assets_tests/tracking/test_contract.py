"""The contract of the metadata tables, over SQLite and PostgreSQL: records in, exactly once, and a purged document out."""

import json
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from rag_assets.fingerprint import name_hash
from rag_assets.records import DocumentState
from rag_assets.tracking import served
from rag_assets.tracking.connections import Deadline, OutOfTime
from rag_assets.tracking.database import MetadataDatabase
from rag_assets.tracking.dump import dump, load
from rag_assets.tracking.records import Row
from rag_assets.tracking.served import Served, bring_to_production
from rag_assets_tests.documents import corpus, document, hashed
from rag_assets_tests.tracking.conftest import OpenDatabase, Query
from rag_assets_tests.tracking.sample_records import at, cost, forget, question, rollback, run_record


def moment(value: Any) -> datetime:
    return (value if isinstance(value, datetime) else datetime.fromisoformat(value)).replace(tzinfo=None)


# Records


def test_a_run_is_one_row_with_its_costs_and_its_promotion(database: MetadataDatabase, query: Query) -> None:
    database.put(run_record("r1", 1, costs=[cost("r1", 2**40, 0.25)], num_listed=7, candidate="g-r1"))
    [row] = query("SELECT * FROM rag_refreshes")
    assert (row["knowledge_base"], row["run_id"], row["outcome"], row["num_listed"]) == (
        "kb",
        "r1",
        "live",
        7,
    )
    assert moment(row["ended_at"]) == datetime(2026, 5, 1, 0, 1)
    assert row["num_read"] is None
    [spent] = query("SELECT num_tokens, cost_usd FROM rag_costs")
    assert spent == {"num_tokens": 2**40, "cost_usd": 0.25}
    assert [one["kind"] for one in query("SELECT kind FROM rag_promotions")] == ["promotion"]


def test_a_record_delivered_twice_counts_once(database: MetadataDatabase, query: Query) -> None:
    records = [
        run_record("r1", 1, "blocked", costs=[cost("r1", 10, 0.5)], questions=[question("r1", 1, "fs:a.md")]),
        run_record("r2", 2, costs=[cost("r2", 5, 0.25)]),
        rollback(),
    ]
    for record in records:
        database.put(record)
    before = everything(query)
    for record in records:
        database.put(record)
    assert everything(query) == before
    assert query("SELECT SUM(num_tokens) AS tokens, SUM(cost_usd) AS usd FROM rag_costs") == [
        {"tokens": 15, "usd": 0.75}
    ]


def everything(query: Query) -> list[Any]:
    tables = ("refreshes", "costs", "evaluation_questions", "promotions", "incidents")
    return [sorted(map(str, query(f"SELECT * FROM rag_{table}"))) for table in tables]


def test_a_later_record_of_a_run_replaces_the_earlier_one(database: MetadataDatabase, query: Query) -> None:
    database.put(run_record("r1", 1, "failed", reason="unexpected", costs=[cost("r1", 1, 0.1)]))
    database.put(run_record("r1", 2, "canceled", costs=[cost("r1", 2, 0.2), cost("r1", 3, None, "large")]))
    assert [row["outcome"] for row in query("SELECT outcome FROM rag_refreshes")] == ["canceled"]
    assert query("SELECT num_tokens, cost_usd FROM rag_costs ORDER BY num_tokens") == [
        {"num_tokens": 2, "cost_usd": 0.2},
        {"num_tokens": 3, "cost_usd": None},
    ]
    assert query("SELECT * FROM rag_incidents") == []


def test_a_run_taken_for_dead_keeps_its_own_record(database: MetadataDatabase, query: Query) -> None:
    database.put(run_record("r1", 2))
    database.put(run_record("r1", 1, "died"))
    assert [row["outcome"] for row in query("SELECT outcome FROM rag_refreshes")] == ["live"]
    database.put(run_record("r2", 3, "died"))
    database.put(run_record("r2", 4))
    assert query("SELECT outcome FROM rag_refreshes WHERE run_id='r2'") == [{"outcome": "live"}]
    assert query("SELECT * FROM rag_incidents") == []


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_an_incident_ends_with_the_first_success_after_it_in_any_order_of_delivery(
    database: MetadataDatabase, query: Query, order: tuple[int, ...]
) -> None:
    records = [
        run_record("r1", 10, "blocked", reason="Recall@5 0.250 is below the threshold 0.75"),
        run_record("r2", 20, "failed"),
        run_record("r3", 30, "unchanged"),
        run_record("r4", 40),
    ]
    for number in order:
        database.put(records[number])
    rows = query(
        "SELECT run_id, kind, reason, recall_at_5, eval_threshold, resolved_at FROM rag_incidents ORDER BY run_id"
    )
    assert [(row["run_id"], row["kind"]) for row in rows] == [("r1", "blocked"), ("r2", "failed")]
    assert (rows[0]["recall_at_5"], rows[0]["eval_threshold"]) == (0.25, 0.75)
    assert rows[0]["reason"].startswith("Recall@5")
    assert {moment(row["resolved_at"]) for row in rows} == {datetime(2026, 5, 1, 0, 30)}


def test_an_incident_is_open_until_a_success(database: MetadataDatabase, query: Query) -> None:
    for outcome, minute in (("live", 1), ("blocked", 2), ("superseded", 3), ("canceled", 4), ("partial", 5)):
        database.put(run_record(f"r{minute}", minute, outcome))
    assert query("SELECT run_id, resolved_at FROM rag_incidents") == [{"run_id": "r2", "resolved_at": None}]


def test_a_decision_says_who_and_why(database: MetadataDatabase, query: Query) -> None:
    database.put(rollback(reason="wrong 'answers'; -- really"))
    [row] = query("SELECT * FROM rag_promotions")
    assert (row["kind"], row["decided_by"], row["reason"]) == (
        "rollback",
        "Ada",
        "wrong 'answers'; -- really",
    )
    assert (row["generation_before"], row["generation_after"], row["run_id"]) == ("g2", "g1", None)


def test_names_that_no_database_takes_are_escaped(database: MetadataDatabase, query: Query) -> None:
    torn = question("r1", 1, "fs:a\0b.md", "fs:\udcff.md", "fs:東京 🗼.md")
    database.put(run_record("r1", 1, questions=[torn], reason="\0"))
    [row] = query("SELECT retrieved_documents FROM rag_evaluation_questions")
    found = row["retrieved_documents"]
    assert (json.loads(found) if isinstance(found, str) else found) == [
        "fs:a\\x00b.md",
        "fs:\\udcff.md",
        "fs:東京 🗼.md",
    ]


def test_a_record_that_does_not_fit_leaves_no_part_of_it(database: MetadataDatabase, query: Query) -> None:
    record = run_record("r1", 1, costs=[cost("r1", 1, 0.5), cost("r1", 2, 0.5)])
    with pytest.raises(IntegrityError):
        database.put(record)
    assert query("SELECT * FROM rag_refreshes") == []


def test_two_knowledge_bases_in_one_database_never_mix(open_database: OpenDatabase, query: Query) -> None:
    mine, theirs = open_database("mine"), open_database("theirs")
    mine.put(run_record("r1", 1, "blocked"))
    theirs.put(run_record("r1", 2, "blocked", costs=[cost("r1", 5, 0.5)]))
    mine.put(run_record("r2", 3))
    bring_to_production(mine, serving("g1", {"a": "1"}))
    bring_to_production(theirs, serving("g1", {"a": "2"}))
    mine.put(forget("filesystem:a", hashed("1")))
    bring_to_production(mine, serving("g2", {}))
    assert query("SELECT knowledge_base, document_id FROM rag_documents") == [
        {"knowledge_base": "theirs", "document_id": "filesystem:a"}
    ]
    assert query("SELECT knowledge_base, resolved_at IS NULL AS open FROM rag_incidents ORDER BY 1") == [
        {"knowledge_base": "mine", "open": False},
        {"knowledge_base": "theirs", "open": True},
    ]
    assert len(query("SELECT * FROM rag_costs WHERE knowledge_base='theirs'")) == 1


# Documents and chunks of production


def chunk_rows(contents: Any) -> list[Row]:
    return [
        {
            "content_hash": content_hash,
            "chunk_index": index,
            "total_chunks": 2,
            "start_character": index * 10,
            "end_character": index * 10 + 12,
            "num_tokens": 3,
            "flags": [],
        }
        for content_hash in contents
        for index in range(2)
    ]


def serving(
    generation: str | None,
    texts: dict[str, str],
    *,
    fingerprint: str = "index-1",
    hold: tuple[str, str, str] | None = None,
    chunks: Callable[[Any], list[Row]] = chunk_rows,
    more: tuple[DocumentState, ...] = (),
) -> Served:
    documents = [*corpus(texts), *more]
    return Served("handbook", generation, fingerprint, "small", hold, lambda: documents, lambda _: chunks)


def documents_in(query: Query) -> dict[str, str]:
    rows = query("SELECT document_id, content_hash FROM rag_documents")
    return {row["document_id"].partition(":")[2]: row["content_hash"] for row in rows}


def contents_in(query: Query) -> list[str]:
    rows = query("SELECT content_hash, COUNT(*) AS n FROM rag_chunks GROUP BY content_hash")
    assert {row["n"] for row in rows} <= {2}
    return sorted(row["content_hash"] for row in rows)


def hashes(texts: dict[str, str]) -> dict[str, str]:
    return {path: hashed(text) for path, text in texts.items()}


@pytest.mark.parametrize("is_large", [False, True])
def test_the_tables_follow_production_in_any_direction(
    database: MetadataDatabase, query: Query, monkeypatch: pytest.MonkeyPatch, is_large: bool
) -> None:
    if is_large:
        monkeypatch.setattr(served, "_SMALL", 0)
        monkeypatch.setattr(served, "_PART", 2)
    first = {"a": "1", "b": "2", "c": "3", "d": "3", "e": "5"}
    second = {"a": "1", "b": "changed", "c": "3", "f": "new"}
    for generation, texts in (("g1", first), ("g2", second), ("g1", first), ("g3", {})):
        bring_to_production(database, serving(generation, texts))
        assert documents_in(query) == hashes(texts)
        assert contents_in(query) == sorted(set(hashes(texts).values()))
        [state] = query("SELECT name, generation, is_complete FROM rag_knowledge_bases")
        assert (state["name"], state["generation"], bool(state["is_complete"])) == (
            "handbook",
            generation,
            True,
        )


def test_unchanged_documents_are_not_written_again(database: MetadataDatabase, query: Query) -> None:
    bring_to_production(database, serving("g1", {"a": "1", "b": "2"}))
    before = query("SELECT * FROM rag_documents WHERE path='a'")
    asked: list[str] = []

    def recording(contents: Any) -> list[Row]:
        asked.extend(contents)
        return chunk_rows(contents)

    bring_to_production(database, serving("g2", {"a": "1", "b": "3"}, chunks=recording))
    assert query("SELECT * FROM rag_documents WHERE path='a'") == before
    assert asked == [hashed("3")]
    bring_to_production(database, serving("g2", {"a": "read by nothing"}, chunks=recording))
    assert documents_in(query) == hashes({"a": "1", "b": "3"})


def test_a_moved_document_keeps_its_chunks(database: MetadataDatabase, query: Query) -> None:
    bring_to_production(database, serving("g1", {"a": "1"}))
    bring_to_production(database, serving("g2", {"z": "1"}, chunks=lambda _: pytest.fail("asked")))
    assert documents_in(query) == hashes({"z": "1"})
    assert contents_in(query) == [hashed("1")]


def test_chunks_of_another_index_are_replaced(database: MetadataDatabase, query: Query) -> None:
    bring_to_production(database, serving("g1", {"a": "1", "b": "2"}))
    one_chunk = lambda contents: [row for row in chunk_rows(contents) if not row["chunk_index"]]  # noqa: E731
    bring_to_production(database, serving("g2", {"a": "1"}, fingerprint="index-2", chunks=one_chunk))
    assert query("SELECT content_hash, index_fingerprint FROM rag_chunks") == [
        {"content_hash": hashed("1"), "index_fingerprint": "index-2"}
    ]


def test_what_did_not_fit_into_the_time_goes_on_the_next_time(
    database: MetadataDatabase, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "_SMALL", 0)
    monkeypatch.setattr(served, "_PART", 2)
    texts = {str(number): str(number) for number in range(9)}

    def out_of_time(contents: Any) -> list[Row]:
        if contents_of_all[5] in contents:
            raise OutOfTime
        return chunk_rows(contents)

    contents_of_all = sorted(hashes(texts).values())
    with pytest.raises(OutOfTime):
        bring_to_production(database, serving("g1", texts, chunks=out_of_time))
    [state] = query("SELECT generation, is_complete FROM rag_knowledge_bases")
    assert (state["generation"], bool(state["is_complete"])) == ("g1", False)
    written = contents_in(query)
    assert 0 < len(written) < 9
    asked: list[str] = []

    def recording(contents: Any) -> list[Row]:
        asked.extend(contents)
        return chunk_rows(contents)

    bring_to_production(database, serving("g1", texts, chunks=recording))
    assert sorted([*asked, *written]) == contents_of_all
    assert documents_in(query) == hashes(texts)
    [state] = query("SELECT is_complete FROM rag_knowledge_bases")
    assert bool(state["is_complete"])


def test_the_time_of_all_work_is_limited(place_of_tables: Path | str) -> None:
    database = MetadataDatabase(place_of_tables, "kb", Deadline(60))
    database.prepare()
    database.deadline.at = 0.0
    with pytest.raises(OutOfTime):
        database.put(run_record("r1", 1))
    database.close()


def test_quarantined_documents_are_not_served(database: MetadataDatabase, query: Query) -> None:
    bring_to_production(database, serving("g1", {"a": "1"}, more=(document("torn.pdf", None),)))
    assert documents_in(query) == hashes({"a": "1"})


def test_the_hold_is_shown_while_it_lasts(database: MetadataDatabase, query: Query) -> None:
    bring_to_production(database, serving("g1", {}, hold=(at(5), "Ada", "wrong answers")))
    [state] = query("SELECT held_since, held_by, hold_reason FROM rag_knowledge_bases")
    assert moment(state["held_since"]) == datetime(2026, 5, 1, 0, 5)
    assert (state["held_by"], state["hold_reason"]) == ("Ada", "wrong answers")
    bring_to_production(database, serving("g1", {}))
    assert query("SELECT held_since FROM rag_knowledge_bases") == [{"held_since": None}]


# Purged documents


def test_a_purged_document_leaves_every_table(database: MetadataDatabase, query: Query) -> None:
    bring_to_production(database, serving("g1", {"hr/pay.md": "secret", "b": "2"}))
    database.put(
        run_record(
            "r1",
            1,
            "refused",
            reason="the deletion of filesystem:hr/pay.md and of hr/pay.md",
            questions=[question("r1", 1, "filesystem:hr/pay.md", "filesystem:b", expected="hr/pay.md")],
        )
    )
    database.put(rollback(reason="hr/pay.md was public"))
    database.put(forget("filesystem:hr/pay.md", hashed("secret")))
    assert documents_in(query) == hashes({"b": "2"})
    assert contents_in(query) == [hashed("2")]
    assert "pay.md" not in str(everything(query))
    assert "filesystem:b" in str(everything(query))
    assert query("SELECT reason FROM rag_incidents") == [
        {"reason": "the deletion of a purged document and of a purged document"}
    ]


def test_a_late_record_does_not_bring_a_purged_document_back(
    database: MetadataDatabase, query: Query
) -> None:
    for _ in range(2):
        database.put(forget("filesystem:hr/pay.md", hashed("secret")))
    asked = question("r1", 1, "filesystem:hr/pay.md", "filesystem:b", expected="hr/pay.md")
    database.put(run_record("r1", 1, questions=[asked]))
    bring_to_production(database, serving("g1", {"hr/pay.md": "secret", "b": "2"}))
    assert documents_in(query) == hashes({"b": "2"})
    assert contents_in(query) == [hashed("2")]
    assert "pay.md" not in str([everything(query), query("SELECT * FROM rag_forgotten_documents")])


def test_a_purge_that_a_person_has_ended_is_forgotten(database: MetadataDatabase, query: Query) -> None:
    database.put(forget("filesystem:a", hashed("1")))
    database.readmit_document([name_hash("filesystem:a"), name_hash("a")])
    bring_to_production(database, serving("g1", {"a": "1"}))
    assert documents_in(query) == hashes({"a": "1"})


# Backup


def filled(database: MetadataDatabase) -> None:
    database.put(run_record("r1", 1, "blocked", questions=[question("r1", 1, "filesystem:a")]))
    database.put(run_record("r2", 2, costs=[cost("r2", 7, 0.125)], started_at=at(1)))
    database.put(rollback())
    bring_to_production(database, serving("g1", {"a": "1", "b": "2"}, hold=(at(5), "Ada", "why")))


def all_rows(query: Query) -> list[Any]:
    names = ("knowledge_bases", "documents", "chunks")
    return [*everything(query), *(sorted(map(str, query(f"SELECT * FROM rag_{name}"))) for name in names)]


def test_a_dump_brings_every_row_back(database: MetadataDatabase, query: Query, tmp_path: Path) -> None:
    filled(database)
    before = all_rows(query)
    counts = dump(database, tmp_path / "dump")
    assert (counts["rag_refreshes"], counts["rag_documents"], counts["rag_chunks"]) == (2, 2, 4)
    database.put(run_record("r9", 9))
    bring_to_production(database, serving("g9", {"z": "9"}))
    load(database, tmp_path / "dump")
    assert all_rows(query) == before


def test_a_dump_is_the_same_for_every_database(
    database: MetadataDatabase, query: Query, tmp_path: Path, postgres_url: str
) -> None:
    filled(database)
    dump(database, tmp_path / "dump")
    for number, place in enumerate((tmp_path / "other.sqlite", postgres_url)):
        other = MetadataDatabase(place, "kb", Deadline(60))
        other.prepare()
        load(other, tmp_path / "dump")
        dump(other, tmp_path / f"again-{number}")
        other.close()
        for path in (tmp_path / "dump").iterdir():
            assert (tmp_path / f"again-{number}" / path.name).read_text() == path.read_text()


def test_a_dump_does_not_bring_a_purged_document_back(
    open_database: OpenDatabase, query: Query, tmp_path: Path
) -> None:
    database, other = open_database(), open_database("other")
    filled(database)
    dump(database, tmp_path / "dump")
    database.put(forget("filesystem:a", hashed("1")))
    load(database, tmp_path / "dump")
    assert documents_in(query) == hashes({"b": "2"})
    assert "filesystem:a" not in str(query("SELECT * FROM rag_evaluation_questions"))
    assert other.forgotten is not None


def test_a_damaged_dump_changes_nothing(database: MetadataDatabase, query: Query, tmp_path: Path) -> None:
    filled(database)
    dump(database, tmp_path / "dump")
    path = tmp_path / "dump" / "rag_documents.jsonl"
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    database.put(run_record("r9", 9))
    before = all_rows(query)
    with pytest.raises(ValueError, match="rag_documents has 1 row instead of 2"):
        load(database, tmp_path / "dump")
    assert all_rows(query) == before


def test_writers_at_once_lose_nothing(open_database: OpenDatabase, query: Query) -> None:
    databases = [open_database() for _ in range(4)]
    problems: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for minute in range(5):
                databases[number].put(run_record(f"r{number}-{minute}", minute, "failed"))
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert query("SELECT COUNT(*) AS n FROM rag_refreshes") == [{"n": 20}]
