"""The totals of the metrics, over SQLite and PostgreSQL: each run counts once, and no total ever falls."""

import threading
from pathlib import Path

from sqlalchemy import delete

from rag_assets.latencies import BOUNDS_SECONDS, Latencies
from rag_assets.tracking.connections import Deadline
from rag_assets.tracking.contributions import parts, series
from rag_assets.tracking.database import MetadataDatabase
from rag_assets.tracking.dump import dump, load
from rag_assets.tracking.tables import METADATA, VERSION_TABLE, costs, metric_totals, refreshes
from rag_assets.tracking.totals import totals
from rag_assets_tests.tracking.conftest import OpenDatabase, Query
from rag_assets_tests.tracking.sample_records import cost, rollback, run_record

TOKENS = series("rag_embedding_tokens", model="small", purpose="documents")
USD = series("rag_embedding_cost_usd", model="small", purpose="documents")
UNPRICED = series("rag_embedding_unpriced_tokens", model="small", purpose="documents")
LIVE, DIED = series("rag_refreshes", outcome="live"), series("rag_refreshes", outcome="died")


def totals_of(database: MetadataDatabase) -> dict[str, float]:
    with database.transaction() as connection:
        return totals(connection, database.knowledge_base)


def test_a_run_and_a_decision_count_once(database: MetadataDatabase) -> None:
    run = run_record("r1", 1, costs=[cost("r1", 10, 0.25)], num_added=3, num_updated=1, num_chunks=7)
    for record in (run, run, rollback(), rollback()):
        database.put(record)
    assert totals_of(database) == {
        LIVE: 1,
        TOKENS: 10,
        USD: 0.25,
        series("rag_documents_deduplicated_new"): 4,
        series("rag_chunks_created"): 7,
        series("rag_promotions"): 1,
        series("rag_rollbacks"): 1,
    }


def test_tokens_without_a_price_are_counted_apart(database: MetadataDatabase) -> None:
    database.put(run_record("r1", 1, costs=[cost("r1", 10, None)]))
    found = totals_of(database)
    assert (found[TOKENS], found[UNPRICED]) == (10, 10)
    assert USD not in found


def test_a_later_record_of_a_run_adds_the_difference(database: MetadataDatabase) -> None:
    for tokens in (5, 3, 9):
        database.put(run_record("r1", 1, "canceled", costs=[cost("r1", tokens, None)]))
    assert totals_of(database)[TOKENS] == 9


def test_a_late_record_of_a_run_taken_for_dead_adds_its_work_only(database: MetadataDatabase) -> None:
    database.put(run_record("r1", 1, "died", costs=[cost("r1", 5, None)]))
    database.put(run_record("r1", 2, "live", costs=[cost("r1", 8, None)], num_chunks=4))
    found = totals_of(database)
    assert (found[TOKENS], found[series("rag_chunks_created")], found[LIVE], found[DIED]) == (8, 4, 1, 1)


def test_deleted_rows_leave_the_totals(database: MetadataDatabase) -> None:
    database.put(run_record("r1", 1, costs=[cost("r1", 5, 0.5)]))
    with database.transaction() as connection:
        for table in (refreshes, costs):
            connection.execute(delete(table))
    database.put(run_record("r2", 2, costs=[cost("r2", 1, 0.5)]))
    found = totals_of(database)
    assert (found[TOKENS], found[USD], found[LIVE]) == (6, 1.0, 2)


def test_knowledge_bases_count_apart(open_database: OpenDatabase) -> None:
    open_database("a").put(run_record("r1", 1))
    open_database("b").put(run_record("r1", 1, "blocked"))
    assert totals_of(open_database("b"))[series("rag_gate_failures")] == 1
    assert LIVE not in totals_of(open_database("b"))


def test_writers_at_once_lose_no_count(open_database: OpenDatabase) -> None:
    databases = [open_database() for _ in range(4)]

    def write(number: int) -> None:
        for run in range(5):
            databases[number].put(
                run_record(f"r{number}-{run}", run, costs=[cost(f"r{number}-{run}", 1, 0.5)])
            )

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = totals_of(databases[0])
    assert (found[LIVE], found[TOKENS], found[USD]) == (20, 20, 10.0)


def test_a_restored_dump_never_lowers_a_total(database: MetadataDatabase, tmp_path: Path) -> None:
    database.put(run_record("r1", 1, costs=[cost("r1", 5, 0.5)]))
    dump(database, tmp_path / "dump")
    database.put(run_record("r2", 2, costs=[cost("r2", 7, 0.5)]))
    load(database, tmp_path / "dump")
    assert totals_of(database)[TOKENS] == 12


def test_a_dump_brings_its_totals_into_an_empty_database(
    database: MetadataDatabase, tmp_path: Path, postgres_url: str
) -> None:
    database.put(run_record("r1", 1, costs=[cost("r1", 5, 0.5)]))
    before = totals_of(database)
    dump(database, tmp_path / "dump")
    other = MetadataDatabase(postgres_url, "kb", Deadline(60))
    other.prepare()
    load(other, tmp_path / "dump")
    assert totals_of(other) == before
    other.close()


def test_tables_of_version_1_keep_their_rows_and_count_them(database: MetadataDatabase, query: Query) -> None:
    database.put(run_record("r1", 1, costs=[cost("r1", 5, 0.5)], num_chunks=3))
    database.put(run_record("r2", 2, "blocked", costs=[cost("r2", 4, None)], num_chunks=2))
    before = totals_of(database)
    _back_to_version_1(database)
    database.prepare()
    assert totals_of(database) == before
    assert [row["num_chunks"] for row in query("SELECT num_chunks FROM rag_refreshes ORDER BY run_id")] == [
        3,
        2,
    ]
    # A record of version 1 that was delivered, and not removed from the waiting ones.
    database.put(run_record("r1", 1, costs=[cost("r1", 5, 0.5)], num_chunks=3))
    database.put(run_record("r3", 3, costs=[cost("r3", 1, 0.5)]))
    assert (totals_of(database)[TOKENS], totals_of(database)[LIVE]) == (10, 2)


def _back_to_version_1(database: MetadataDatabase) -> None:
    new = ("num_left_out", "cached_tokens", "kept_tokens", "upsert_seconds", "usd_saved_by_cache")
    new += ("usd_saved_by_deduplication", "extraction_latency", "embedding_latency", "counted")
    with database.transaction() as connection:
        METADATA.tables[metric_totals.name].drop(connection)
        for column in new:
            connection.exec_driver_sql(f"ALTER TABLE rag_refreshes DROP COLUMN {column}")
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num='1'")


def test_durations_fall_into_their_classes() -> None:
    latencies = Latencies()
    for seconds in (0.001, BOUNDS_SECONDS[0], 0.006, 1000.0):
        latencies.add(seconds)
    assert latencies.to_counts() == {"0.005": 2, "0.01": 1, "+Inf": 1, "sum": 1000.012}
    assert Latencies().to_counts() == {}


def test_a_series_is_read_back_with_its_labels() -> None:
    assert parts(series("rag_x", model='a "b" {c}', purpose="ü")) == (
        "rag_x",
        {"model": 'a "b" {c}', "purpose": "ü"},
    )
    assert parts(series("rag_x")) == ("rag_x", {})
