"""The settings in effect are seen in the run, in `status` and in `settings`, as are values for one run only."""

import logging

import dagster as dg
import pytest

from rag_assets_tests.pipeline import Pipeline, Run

IN_FORCE = [
    "RAG_CHUNK_SIZE is 32 in place of 64 for this run only: the next refresh without it rebuilds the whole index",
    "RAG_EVAL_THRESHOLD is 0.1 in place of 0.5 for this run only",
]


def rows(table: dg.TableMetadataValue) -> list[dict[str, object]]:
    return [dict(record.data) for record in table.records]


def warnings(pipeline: Pipeline, run: Run) -> list[str]:
    log = pipeline.instance.all_logs(run.run_id)
    return [entry.user_message for entry in log if entry.level == logging.WARNING]


def check_metadata(pipeline: Pipeline, run: Run) -> dict[str, dg.MetadataValue]:
    return dict(pipeline.gate_of(run).metadata)


@pytest.fixture
def overridden(promoted: Pipeline) -> tuple[Pipeline, Run]:
    """A knowledge base after a refresh with another chunk size and threshold, for this run only."""
    run = promoted.materialize(launchpad={"chunk_size": 32, "chunk_overlap": 8, "eval_threshold": 0.1})
    return promoted, run.checked()


def test_overrides_are_in_the_run_the_check_and_the_reports(overridden: tuple[Pipeline, Run]) -> None:
    pipeline, run = overridden
    assert warnings(pipeline, run) == IN_FORCE
    in_force = [
        {"setting": "RAG_CHUNK_SIZE", "value": "32", "otherwise": "64"},
        {"setting": "RAG_EVAL_THRESHOLD", "value": "0.1", "otherwise": "0.5"},
    ]
    assert rows(run.metadata["raw_documents"]["overrides"]) == in_force  # type: ignore[arg-type]
    assert rows(check_metadata(pipeline, run)["overrides"].value) == in_force  # type: ignore[arg-type]
    status = pipeline.succeed("status")
    assert "OVERRIDE       RAG_EVAL_THRESHOLD was 0.1 in place of 0.5 for the last run only" in status
    assert (
        "WILL REBUILD   the next refresh rebuilds the whole index: RAG_CHUNK_SIZE was 32 and is 64 now"
        in status
    )
    settings = pipeline.json("settings", "--json")
    assert settings["last_run"]["run_id"] == run.run_id
    assert [one["variable"] for one in settings["last_run"]["overrides"]] == [
        "RAG_CHUNK_SIZE",
        "RAG_EVAL_THRESHOLD",
    ]
    assert "OVERRIDE" in pipeline.succeed("settings")


def test_overrides_end_with_the_next_run(overridden: tuple[Pipeline, Run]) -> None:
    pipeline, _ = overridden
    run = pipeline.refresh().checked()
    assert "overrides" not in run.metadata["raw_documents"]
    assert "overrides" not in check_metadata(pipeline, run)
    status = pipeline.succeed("status")
    assert "OVERRIDE" not in status
    assert "WILL REBUILD" not in status
    assert pipeline.json("settings", "--json")["last_run"]["overrides"] == []


def test_settings_unlike_their_default_are_in_the_metadata_of_a_refresh(empty: Pipeline) -> None:
    empty.configure(OPENAI_API_KEY="sk-word", RAG_EMBEDDING_MODEL="wordllama")
    (empty.home / ".env").write_text("RAG_CHUNK_OVERLAP=9\n", encoding="utf-8")
    run = empty.materialize("raw_documents", with_checks=False, launchpad={"dense_weight": 0.4}).checked()
    table = {
        str(row["setting"]): str(row["origin"]) for row in rows(run.metadata["raw_documents"]["settings"])
    }  # type: ignore[arg-type]
    assert table["RAG_CHUNK_SIZE = 64 (default 512)"] == "environment"
    assert table["RAG_CHUNK_OVERLAP = 9 (default 50)"].endswith(".env")
    assert table["RAG_DENSE_WEIGHT = 0.4 (default 0.3)"] == "Launchpad"
    assert any(setting.startswith("OPENAI_API_KEY = set, not shown") for setting in table)
    assert not any("RAG_EXECUTOR" in setting for setting in table)


def test_the_report_names_every_setting_and_its_origin(empty: Pipeline) -> None:
    empty.configure(RAG_S3_BUCKET="handbooks", RAG_NOTION_TOKEN="word")
    report = empty.json("settings", "--json")
    found = {row["variable"]: row for row in report["settings"]}
    assert found["RAG_CHUNK_SIZE"]["origin"] == "environment"
    assert found["RAG_EXECUTOR"] == {
        "variable": "RAG_EXECUTOR",
        "value": "in_process",
        "default": "in_process",
        "origin": "default",
    }
    assert found["RAG_S3_BUCKET"]["value"] == "handbooks"
    assert found["RAG_NOTION_TOKEN"]["value"] == "set, not shown"
    assert report["last_run"] is None
    assert "word" not in empty.succeed("settings")
