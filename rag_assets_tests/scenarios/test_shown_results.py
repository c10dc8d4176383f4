"""The results of a refresh in the UI and in the log."""

import logging
from pathlib import Path

import dagster as dg
import pytest

from rag_assets.definitions import build_definitions
from rag_assets.defs.metadata.artifact import COLUMN_SCHEMA_KEY, ROW_COUNT_KEY, URI_KEY
from rag_assets.defs.metadata.plots import plotted
from rag_assets.settings import load_settings
from rag_assets_tests.pipeline import NUM_DOCUMENTS, Pipeline, Run, question_about, text_about
from rag_assets_tests.scenarios.conftest import CHANGED


@pytest.fixture
def changed(promoted: Pipeline) -> Run:
    promoted.write(CHANGED, text_about("third version"))
    return promoted.refresh().checked()


def test_counts_are_numbers_for_the_plots(changed: Run) -> None:
    counts = {
        f"{asset} {key}": value
        for asset, metadata in changed.metadata.items()
        for key, value in metadata.items()
        if key[0].isdigit() or key.startswith("num_") or "cost" in key
    }
    assert len(counts) > 30
    assert {key: value for key, value in counts.items() if type(value) not in (int, float)} == {}


def test_the_report_compares_with_production_in_total_and_per_question(
    promoted: Pipeline,
) -> None:
    promoted.remove("topic05.md")
    shown = promoted.refresh().checked().metadata["eval_report"]
    scores = {record.data["metric"]: record.data for record in shown["scores"].records}
    assert scores["recall_at_5"]["change"].startswith("▼")
    worst = shown["worst_queries"].records[0].data
    assert (worst["query"], worst["recall_at_5"], worst["before"]) == (question_about(5), 0, 1)
    assert "topic05.md (absent)" in shown["worst_queries"].records[1].data["query"]


def test_every_asset_with_a_file_shows_its_path(changed: Run) -> None:
    shown = {asset: metadata[URI_KEY] for asset, metadata in changed.metadata.items() if URI_KEY in metadata}
    assert changed.metadata.keys() - shown.keys() == {"production_collection"}
    assert all(Path(path).is_file() and changed.run_id in path for path in shown.values())


def test_every_asset_with_a_file_shows_its_rows_and_columns(changed: Run) -> None:
    shown = {asset: metadata for asset, metadata in changed.metadata.items() if URI_KEY in metadata}
    assert shown["raw_documents"][ROW_COUNT_KEY] == NUM_DOCUMENTS
    assert shown["chunks"][ROW_COUNT_KEY] == changed.metadata["chunks"]["num_chunks"]
    columns = {
        asset: [one.name for one in metadata[COLUMN_SCHEMA_KEY].columns] for asset, metadata in shown.items()
    }
    assert {"document_id", "content_hash"} <= set(columns["raw_documents"])
    assert columns["embeddings"] == ["text_hash", "vector"]
    undescribed = {
        one.name
        for metadata in shown.values()
        for one in metadata[COLUMN_SCHEMA_KEY].columns
        if not one.description
    }
    assert undescribed == set()


def test_a_changed_benchmark_is_a_step_in_a_plot(promoted: Pipeline) -> None:
    key = plotted("benchmark")
    first = promoted.refresh().checked().metadata["eval_report"]
    promoted.write_benchmark({"query": question_about(2), "expected_docs": ["topic02.md"]})
    second, third = (promoted.refresh().checked().metadata["eval_report"] for _ in range(2))
    assert [one[key] for one in (first, second, third)] == [1, 2, 2]
    assert "changed" in second["benchmark"]
    assert "changed" not in first["benchmark"] + third["benchmark"]


def test_parts_of_a_whole_add_up(changed: Run) -> None:
    documents = changed.metadata["deduped_documents"]["documents"].records
    assert sum(record.data["count"] for record in documents) == NUM_DOCUMENTS
    points = {
        r.data["points"]: r.data["count"] for r in changed.metadata["staging_collection"]["points"].records
    }
    kept = sum(count for part, count in points.items() if part != "deleted")
    assert kept == changed.metadata["staging_collection"]["num_points"]


@pytest.mark.parametrize("threshold", ["0.999", "0.5"])
def test_the_log_of_a_run_contains_the_verdict(promoted: Pipeline, threshold: str) -> None:
    promoted.write(CHANGED, text_about("third version"))
    promoted.configure(RAG_EVAL_THRESHOLD=threshold)
    run = promoted.refresh()
    gate = "eval_report_recall_gate"
    (said,) = [
        entry.user_message
        for entry in promoted.instance.all_logs(run.run_id)
        if entry.dagster_event is None and entry.step_key == gate
    ]
    assert "candidate" in said
    assert run.gate_description == run.failures.get(gate, said.rpartition("; ")[0])
    candidate = str(promoted.gate_of(run).metadata["candidate"].value)
    assert not candidate.startswith("candidate"), "the key already says so"


@pytest.mark.parametrize(
    ("asset", "benchmark", "problem"),
    [
        ("raw_documents", None, "no benchmark file"),
        ("raw_documents", "no JSON\n", "line 1: not JSON"),
        ("deduped_documents", '{"query": "Which?", "expected_docs": ["elsewhere.md"]}\n', "does not fit"),
    ],
)
def test_an_unusable_benchmark_is_reported_before_anything_is_embedded(
    empty: Pipeline, asset: str, benchmark: str | None, problem: str
) -> None:
    if benchmark is None:
        empty.benchmark.unlink()
    else:
        empty.benchmark.write_text(benchmark)
    run = empty.refresh()
    warnings = [
        (entry.step_key, entry.user_message)
        for entry in empty.instance.all_logs(run.run_id)
        if entry.level == logging.WARNING and "the gate will block" in entry.user_message
    ]
    assert problem in run.gate_description
    assert warnings == [(asset, f"the gate will block this refresh: {run.gate_description}")]


def test_after_the_rollback_job_the_production_asset_names_the_served_generation(promoted: Pipeline) -> None:
    job = build_definitions(load_settings()).resolve_job_def("rollback")
    assert job.execute_in_process(instance=promoted.instance).success
    shown = promoted.instance.get_latest_materialization_event(dg.AssetKey("production_collection"))
    assert shown is not None
    assert shown.asset_materialization is not None
    metadata = shown.asset_materialization.metadata
    state = promoted.production()
    assert metadata["generation"].value == state.production
    assert metadata["held_generation"].value == state.held
    assert metadata["num_documents"].value == len(promoted.served())
