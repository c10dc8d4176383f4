"""A report that was changed after its measurement lets nothing through."""

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_assets.artifacts import rows
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets_tests.pipeline import Pipeline, text_about

# By name, because the package exports the asset under the name of its module.
_ASSET = importlib.import_module("rag_assets.defs.assets.eval_report")
MEASURE = ("raw_documents", "deduped_documents", "chunks", "embeddings", "staging_collection", "eval_report")


def report_folder(pipeline: Pipeline, run_id: str) -> Path:
    (folder,) = (pipeline.state_dir / "artifacts").glob(f"*/eval_report/{run_id}")
    return folder


def edit_header(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    header = json.loads((folder / "header.json").read_text())
    edit(header["details"]["report"])
    (folder / "header.json").write_text(json.dumps(header))


def with_a_bad_candidate(pipeline: Pipeline) -> None:
    """Take away the answers to most questions. Too few documents for the deletion guard to stop it."""
    for number in range(9):
        pipeline.write(f"topic{number:02}.md", text_about(f"another {number}"))
    pipeline.configure(RAG_EVAL_THRESHOLD="0.75")


def assert_nothing_went_live(pipeline: Pipeline, production: object, message: str) -> None:
    assert pipeline.production() == production
    assert "materialize eval_report" in message
    failure = pipeline.status()["last_failure"]
    assert failure is not None
    assert "eval_report" in failure["message"]


@pytest.mark.parametrize("mean", [0.99, True])
def test_an_edited_mean_is_refused_by_the_gate(
    promoted: Pipeline, mean: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def details(report: Any) -> dict[str, Any]:
        found = rows.report_details(report)
        found["scores"]["means"]["recall_at_5"] = mean
        return found

    before = promoted.production()
    with_a_bad_candidate(promoted)
    monkeypatch.setattr(_ASSET, "report_details", details)
    assert_nothing_went_live(promoted, before, promoted.refresh().message)


def test_edited_rows_with_their_mean_are_refused_by_the_gate(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def row(query: Any) -> dict[str, Any]:
        return rows.query_row(query) | {"recall_at_5": 1.0}

    def details(report: Any) -> dict[str, Any]:
        found = rows.report_details(report)
        found["scores"]["means"]["recall_at_5"] = 1.0
        return found

    before = promoted.production()
    with_a_bad_candidate(promoted)
    monkeypatch.setattr(_ASSET, "query_row", row)
    monkeypatch.setattr(_ASSET, "report_details", details)
    assert_nothing_went_live(promoted, before, promoted.refresh().message)


def test_an_older_report_that_names_the_new_candidate_is_refused_at_promotion(promoted: Pipeline) -> None:
    before = promoted.production()
    promoted.configure(RAG_EVAL_THRESHOLD="0.75")
    older = promoted.materialize("eval_report", with_checks=False).checked()
    with_a_bad_candidate(promoted)
    measured = promoted.materialize(*MEASURE, with_checks=False).checked()
    folder = report_folder(promoted, measured.run_id)
    new = json.loads((folder / "header.json").read_text())
    shutil.copytree(report_folder(promoted, older.run_id), folder, dirs_exist_ok=True)
    about = {key: new["details"]["report"][key] for key in ("generation", "digest", "points_count")}
    edit_header(folder, lambda report: report.update(about))
    run = promoted.materialize("production_collection")
    assert_nothing_went_live(promoted, before, run.message)
    # The candidate is still there: a new measurement tells the truth about it.
    again = promoted.materialize("eval_report", "production_collection")
    assert again.gate_passed is False
    assert "below the threshold" in again.gate_description


def test_a_benchmark_edited_during_the_measurement_is_not_believed(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report names the hash of the file, but its rows answer questions that stood there for a moment."""
    before = promoted.production()
    promoted.write("topic03.md", text_about("changed"))
    real = KnowledgeBase.verdict_configuration
    benchmark = promoted.benchmark
    accepted = benchmark.read_bytes()

    def verdict_configuration(knowledge_base: KnowledgeBase) -> dict[str, Any]:
        is_first = benchmark.read_bytes() == accepted
        benchmark.write_bytes(accepted)
        configuration = real(knowledge_base)
        if is_first:
            promoted.write_benchmark_for(range(5, 20))
        return configuration

    monkeypatch.setattr(KnowledgeBase, "verdict_configuration", verdict_configuration)
    assert_nothing_went_live(promoted, before, promoted.refresh().message)
