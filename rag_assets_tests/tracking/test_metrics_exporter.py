"""The exporter over SQLite and PostgreSQL: exact, never backwards, there before the first run, and honest without a database."""

import json
import re
import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rag_assets.latencies import Latencies
from rag_assets.refresh.outcome import Outcome
from rag_assets.settings import Settings
from rag_assets.tracking.database import MetadataDatabase
from rag_assets.tracking.prometheus_metrics import METRICS, OUTCOMES
from rag_assets.tracking.records import DIED, PARTIAL, Row
from rag_assets.tracking.served import bring_to_production
from rag_assets.tracking.tables import METADATA, VERSION_TABLE
from rag_assets_tests.metrics_page import PAGE, with_table
from rag_assets_tests.optional_packages import require
from rag_assets_tests.tracking.conftest import OpenDatabase
from rag_assets_tests.tracking.sample_records import at, cost, rollback, run_record
from rag_assets_tests.tracking.test_contract import serving

require("prometheus_client")
from prometheus_client import generate_latest  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

from rag_assets.tracking.metrics_exporter import TablesCollector, registry_of  # noqa: E402

Samples = dict[str, float]


def settings_for(place: Path | str, tmp_path: Path, **values: Any) -> Settings:
    url = place if isinstance(place, str) else None
    state = place.parent if isinstance(place, Path) else tmp_path / "state"
    fields = {"RAG_STATE_DIR": str(state), "RAG_METADATA_URL": url, "RAG_COLLECTION": "handbook", **values}
    return Settings.model_validate({name: value for name, value in fields.items() if value is not None})


@pytest.fixture
def settings(place_of_tables: Path | str, tmp_path: Path) -> Settings:
    return settings_for(place_of_tables, tmp_path)


def scrape(settings: Settings) -> Samples:
    """Return `name{label="value"}` without the knowledge base -> value, as Prometheus reads the text."""
    registry, _ = registry_of(settings)
    return samples_in(generate_latest(registry).decode())


def samples_in(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("knowledge_base") == "handbook"
            inner = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
            name = f"{sample.name}{{{inner}}}" if inner else sample.name
            assert name not in found
            found[name] = sample.value
    return found


def evaluation(run_id: str, subject: str, generation: str, recall: float) -> Row:
    scores = dict.fromkeys(("recall_at_1", "recall_at_5", "recall_at_10", "mrr", "ndcg_at_10"), recall)
    latencies = {"latency_p50_seconds": 0.001, "latency_p95_seconds": 0.002, "latency_p99_seconds": 0.5}
    return {"run_id": run_id, "subject": subject, "generation": generation, **scores, **latencies}


def latencies(*seconds: float) -> dict[str, float]:
    found = Latencies()
    for one in seconds:
        found.add(one)
    return found.to_counts()


def refreshed(database: MetadataDatabase) -> None:
    """A first refresh, one stopped by the gate, and production of the first."""
    first = run_record(
        "r1",
        1,
        costs=[cost("r1", 1000, 0.25), cost("r1", 50, None, "other")],
        started_at=at(0),
        num_listed=10,
        num_parsed=10,
        num_quarantined=1,
        num_added=9,
        num_unchanged=0,
        num_chunks=40,
        num_embedded=30,
        num_cached=10,
        num_points_added=40,
        upsert_seconds=0.5,
        cached_tokens=100,
        usd_saved_by_cache=0.125,
        extraction_latency=latencies(0.004, 0.2, 100.0),
        embedding_latency=latencies(0.3),
        production_after="g1",
        num_documents=9,
        num_points=40,
    )
    first.rows["rag_promotions"][0]["generation_after"] = "g1"
    first.rows["rag_evaluations"] = [evaluation("r1", "candidate", "g1", 0.75)]
    first.rows["rag_refresh_steps"] = [
        {"run_id": "r1", "step": step, "started_at": at(0), "duration_seconds": seconds}
        for step, seconds in (
            ("raw_documents", 30.0),
            ("chunks", 1.0),
            ("embeddings", 3.0),
            ("staging_collection", 4.0),
        )
    ]
    blocked = run_record(
        "r2",
        2,
        "blocked",
        started_at=at(1),
        num_listed=10,
        num_quarantined=3,
        num_added=1,
        num_updated=1,
        num_unchanged=5,
        num_moved=1,
        num_skipped_files=4,
        num_left_out=2,
        kept_tokens=900,
        usd_saved_by_deduplication=0.5,
        production_after="g1",
    )
    blocked.rows["rag_evaluations"] = [
        evaluation("r2", "candidate", "g2", 0.25),
        evaluation("r2", "production", "g1", 0.8125),
    ]
    blocked.rows["rag_refresh_sources"] = [
        {"run_id": "r2", "source": "wiki", "is_complete": False, "problem": "timeout"},
        {"run_id": "r2", "source": "filesystem", "is_complete": True, "problem": ""},
    ]
    for record in (first, blocked):
        database.put(record)
    bring_to_production(database, serving("g1", {"a": "1"}))


@pytest.mark.parametrize("prepared", [False, True])
def test_every_counter_is_there_before_the_first_run(
    prepared: bool, settings: Settings, open_database: OpenDatabase
) -> None:
    if prepared:
        open_database()
    found = scrape(settings)
    assert found.pop("rag_metrics_up") == 1
    assert found.pop("rag_eval_threshold") == 0.75
    assert set(found.values()) == {0.0}
    names = {re.sub(r"_(bucket|sum|count)$", "", name.partition("{")[0]) for name in found}
    assert {metric.exported_name for metric in METRICS if metric.kind != "gauge"} <= names
    assert 'rag_refreshes_total{outcome="died"}' in found
    assert 'rag_embedding_tokens_total{model="l2_supercat_256",purpose="documents"}' in found
    assert not any(name.startswith("rag_eval_recall") for name in found)
    if settings.metadata_url is None and not prepared:
        assert not (settings.state_dir / "metadata.sqlite").exists(), "a scrape creates nothing"


def test_the_rows_are_exported_as_they_are(database: MetadataDatabase, settings: Settings) -> None:
    refreshed(database)
    found = scrape(settings)
    expected = {
        "rag_documents_extracted_total": 10,
        "rag_documents_deduplicated_new_total": 11,
        "rag_documents_deduplicated_skipped_total": 6,
        "rag_deduplication_cache_hit_rate": 6 / 8,
        "rag_documents_quarantined": 3,
        'rag_files_left_out{reason="no_parser"}': 4,
        'rag_files_left_out{reason="no_model"}': 2,
        'rag_source_complete{source="wiki"}': 0,
        'rag_source_complete{source="filesystem"}': 1,
        "rag_documents_per_minute": 20,
        "rag_chunks_created_total": 40,
        "rag_chunks_embedded_total": 30,
        "rag_chunks_cached_total": 10,
        "rag_chunks_per_minute": 300,
        'rag_embedding_tokens_total{model="small",purpose="documents"}': 1000,
        'rag_embedding_cost_usd_total{model="small",purpose="documents"}': 0.25,
        'rag_embedding_unpriced_tokens_total{model="other",purpose="documents"}': 50,
        'rag_tokens_saved_total{by="cache"}': 100,
        'rag_tokens_saved_total{by="deduplication"}': 900,
        'rag_usd_saved_total{by="cache"}': 0.125,
        'rag_usd_saved_total{by="deduplication"}': 0.5,
        "rag_points_upserted_total": 40,
        "rag_upsert_seconds_total": 0.5,
        "rag_upsert_points_per_second": 80,
        "rag_production_documents": 9,
        "rag_production_points": 40,
        "rag_generation_timestamp_seconds": moment(1),
        'rag_eval_recall_at_5{generation="candidate"}': 0.25,
        'rag_eval_recall_at_5{generation="production"}': 0.8125,
        'rag_eval_mrr{generation="production"}': 0.8125,
        'rag_eval_ndcg_at_10{generation="candidate"}': 0.25,
        'rag_eval_query_latency_ms{quantile="0.5"}': 1,
        'rag_eval_query_latency_ms{quantile="0.99"}': 500,
        'rag_refreshes_total{outcome="blocked"}': 1,
        "rag_gate_failures_total": 1,
        "rag_promotions_total": 1,
        "rag_rollbacks_total": 0,
        'rag_last_outcome{outcome="blocked"}': 1,
        'rag_last_outcome{outcome="live"}': 0,
        "rag_last_run_timestamp_seconds": moment(2),
        "rag_last_success_timestamp_seconds": moment(1),
        "rag_held": 0,
        'rag_extraction_latency_seconds_bucket{le="0.005"}': 1,
        'rag_extraction_latency_seconds_bucket{le="0.25"}': 2,
        'rag_extraction_latency_seconds_bucket{le="60.0"}': 2,
        'rag_extraction_latency_seconds_bucket{le="+Inf"}': 3,
        "rag_extraction_latency_seconds_count": 3,
        "rag_extraction_latency_seconds_sum": 100.204,
        "rag_embedding_latency_seconds_count": 1,
    }
    assert {name: found.get(name) for name in expected} == expected


def moment(minute: int) -> float:
    return datetime.fromisoformat(at(minute)).timestamp()


def test_all_series_of_the_catalog_come_and_no_others(database: MetadataDatabase, settings: Settings) -> None:
    refreshed(database)
    settings.state_dir.mkdir(exist_ok=True)
    registry, _ = registry_of(settings)
    found = {family.name: family for family in registry.collect()}
    labels = {
        name: {key for sample in family.samples for key in sample.labels} - {"le"}
        for name, family in found.items()
    }
    assert labels == {metric.name: {"knowledge_base", *metric.labels} for metric in METRICS}
    assert {name: family.type for name, family in found.items()} == {
        metric.name: metric.kind for metric in METRICS
    }


def test_the_last_measurement_of_the_promoted_candidate_is_that_of_production(
    database: MetadataDatabase, settings: Settings
) -> None:
    refreshed(database)
    promoted = run_record("r3", 3)
    promoted.rows["rag_evaluations"] = [
        evaluation("r3", "candidate", "g3", 0.875),
        evaluation("r3", "production", "g1", 0.5),
    ]
    database.put(promoted)
    bring_to_production(database, serving("g3", {"a": "1"}))
    assert scrape(settings)['rag_eval_recall_at_5{generation="production"}'] == 0.875
    database.put(rollback())
    bring_to_production(database, serving("g1", {"a": "1"}))
    found = scrape(settings)
    assert found['rag_eval_recall_at_5{generation="production"}'] == 0.5
    assert found["rag_rollbacks_total"] == 1


def test_a_hold_is_shown(database: MetadataDatabase, settings: Settings) -> None:
    served = replace(serving("g1", {"a": "1"}), hold=(at(1), "Ada", "wrong"))
    bring_to_production(database, served)
    assert scrape(settings)["rag_held"] == 1


def test_deleted_rows_and_waiting_records_lower_nothing(
    database: MetadataDatabase, settings: Settings
) -> None:
    refreshed(database)
    before = scrape(settings)
    with database.transaction() as connection:
        for table in ("rag_refreshes", "rag_costs", "rag_refresh_steps", "rag_promotions", "rag_evaluations"):
            connection.execute(METADATA.tables[table].delete())
    after = scrape(settings)
    counted = [name for name in before if re.search(r"_(total|bucket|count|sum)\b", name)]
    assert {name: after[name] for name in counted} == {name: before[name] for name in counted}


def test_without_a_database_only_up_is_there(
    database: MetadataDatabase, settings: Settings, place_of_tables: Path | str, tmp_path: Path
) -> None:
    refreshed(database)
    if isinstance(place_of_tables, str):
        settings = settings_for("postgresql://rag:secret-of-the-url@127.0.0.1:9/x", tmp_path)
    else:
        database.close()
        place_of_tables.write_bytes(b"no database" * 1000)
    collector = TablesCollector(settings)
    [family] = list(collector.collect())
    assert [(sample.name, sample.value) for sample in family.samples] == [("rag_metrics_up", 0.0)]
    assert collector.problem
    assert "secret-of-the-url" not in collector.problem


def test_tables_of_a_newer_version_are_not_guessed_at(database: MetadataDatabase, settings: Settings) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num='99'")
    assert scrape(settings) == {"rag_metrics_up": 0}


def test_a_knowledge_base_is_found_by_its_name(
    open_database: OpenDatabase, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    refreshed(open_database("a"))
    assert scrape(settings)["rag_promotions_total"] == 1
    open_database("b").put(run_record("r9", 9, "failed"))
    bring_to_production(open_database("b"), serving("g9", {"z": "9"}))
    assert scrape(settings) == {"rag_metrics_up": 0}
    assert "2 knowledge bases named handbook share the database" in caplog.text
    folder = settings.state_dir / "tracking" / "handbook"
    folder.mkdir(parents=True)
    (folder / "knowledge_base.json").write_text(json.dumps({"id": "b"}))
    assert scrape(settings)['rag_refreshes_total{outcome="failed"}'] == 1


def test_a_scrape_during_a_delivery_shows_one_state_or_the_other(
    open_database: OpenDatabase, settings: Settings
) -> None:
    database = open_database()
    ended = threading.Event()

    def write() -> None:
        for number in range(30):
            run_id = f"r{number}"
            database.put(run_record(run_id, number, num_chunks=2, costs=[cost(run_id, 3, 0.5)]))
        ended.set()

    thread = threading.Thread(target=write)
    bring_to_production(database, serving("g1", {"a": "1"}))
    thread.start()
    seen: list[Samples] = []
    while not ended.is_set():
        seen.append(scrape(settings))
    thread.join()
    seen.append(scrape(settings))
    runs = [found['rag_refreshes_total{outcome="live"}'] for found in seen]
    assert runs == sorted(runs)
    assert runs[-1] == 30
    for found, number in zip(seen, runs, strict=True):
        tokens = found.get('rag_embedding_tokens_total{model="small",purpose="documents"}', 0.0)
        assert (found["rag_chunks_created_total"], tokens) == (2 * number, 3 * number)


def test_a_problem_is_logged_once_and_so_is_its_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = tmp_path / "metadata.sqlite"
    place.write_bytes(b"no database" * 1000)
    collector = TablesCollector(settings_for(place, tmp_path))
    for _ in range(3):
        list(collector.collect())
    place.unlink()
    list(collector.collect())
    told = [record.message for record in caplog.records]
    assert len(told) == 2
    assert "unavailable" in told[0]
    assert "available again" in told[1]


def test_every_outcome_has_its_series() -> None:
    assert set(OUTCOMES) == {*map(str, Outcome), DIED, PARTIAL}


def test_the_page_has_the_table_of_the_catalog() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page) == page, "run python -m rag_assets_tests.metrics_page"
