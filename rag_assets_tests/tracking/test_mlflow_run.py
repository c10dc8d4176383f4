"""What an MLflow run holds, as plain data, for every outcome."""

import json
import re
from typing import Any

import pytest

from rag_assets.refresh.outcome import Outcome
from rag_assets.tracking.mlflow_run import COMPLETE_TAG, mlflow_run
from rag_assets.tracking.records import DIED, PARTIAL, Record, Row
from rag_assets_tests.plain_english import ROOT
from rag_assets_tests.tracking.sample_records import cost, question, run_record

SCORES = {"recall_at_1": 0.5, "recall_at_5": 0.75, "recall_at_10": 1.0, "mrr": 0.625, "ndcg_at_10": 0.7}


def measured(
    run_id: str = "r1", outcome: str = "live", costs: list[Row] | None = None, **columns: Any
) -> Record:
    """Return the record of a run with an evaluation of two questions."""
    questions = [
        question(run_id, position, "filesystem:<b>.md") | SCORES | {"latency_seconds": position / 100}
        for position in (1, 2)
    ]
    record = run_record(
        run_id,
        5,
        outcome,
        questions=questions,
        costs=costs,
        num_listed=7,
        num_chunks=30,
        candidate="g1",
        **columns,
    )
    record.rows["rag_evaluations"] = [
        {
            "run_id": run_id,
            "subject": "candidate",
            "benchmark_hash": "b1",
            "eval_threshold": 0.7,
            "is_passed": True,
            **SCORES,
        },
        {"run_id": run_id, "subject": "production", **SCORES, "recall_at_5": 0.25},
    ]
    record.rows["rag_refresh_sources"] = [{"source": "filesystem"}, {"source": "wiki"}]
    record.parameters.update(
        chunk_size=64,
        chunk_overlap=8,
        chunker="token_window",
        embedding_model="small",
        index_fingerprint="f1",
    )
    return record


def test_names_are_those_that_users_know() -> None:
    run = mlflow_run(measured(costs=[cost("r1", 100, 0.5), cost("r1", 20, 0.25)]), "docs")
    assert run.params == {
        "chunk_size": "64",
        "chunk_overlap": "8",
        "chunker": "token_window",
        "embedding_model": "small",
        "sources": "filesystem, wiki",
        "fingerprint": "f1",
        "generation": "g1",
        "benchmark_hash": "b1",
        "threshold": "0.7",
    }
    expected = {
        **SCORES,
        "documents_processed": 7,
        "chunks_created": 30,
        "avg_query_latency_ms": 15,
        "tokens": 120,
        "cost_usd": 0.75,
        "production_recall_at_5": 0.25,
    }
    assert {name: run.metrics[name] for name in expected} == pytest.approx(expected)
    assert run.files.keys() == {"benchmark_queries.json", "eval_results.json", "report.html"}
    assert json.loads(run.files["benchmark_queries.json"])[0] == {
        "query": "question 1?",
        "expected_docs": ["a.md"],
    }
    results = json.loads(run.files["eval_results.json"])
    assert results["candidate"]["recall_at_5"] == 0.75
    assert results["production"]["recall_at_5"] == 0.25
    assert [one["retrieved_documents"] for one in results["questions"]] == [["filesystem:<b>.md"]] * 2


@pytest.mark.parametrize("outcome", [*Outcome, DIED, PARTIAL])
def test_every_outcome_has_a_status_and_is_a_tag(outcome: str) -> None:
    run = mlflow_run(run_record("r1", 5, outcome, reason="because ``` of it"), "docs")
    green = outcome == PARTIAL or (outcome in list(Outcome) and Outcome(outcome).is_success)
    assert (run.status == "FINISHED") == green
    assert run.status in ("FINISHED", "FAILED", "KILLED")
    assert (run.tags["outcome"], run.tags["dagster_run_id"]) == (outcome, "r1")
    assert run.tags["reason"] == "because ``` of it"
    assert run.tags["mlflow.note.content"].count("```") == 2
    assert run.files == {}
    assert "recall_at_5" not in run.metrics


def test_an_unknown_price_is_no_cost_of_zero() -> None:
    run = mlflow_run(measured(costs=[cost("r1", 100, 0.5), cost("r1", 20, None)]), "docs")
    assert "cost_usd" not in run.metrics
    assert run.tags["cost_usd"] == "unknown"
    assert run.metrics["tokens"] == 120


def test_a_run_links_to_dagster() -> None:
    run = mlflow_run(measured(), "docs", "https://dagster.example.com")
    assert run.tags["dagster_run_url"] == "https://dagster.example.com/runs/r1"
    assert "(https://dagster.example.com/runs/r1)" in run.tags["mlflow.note.content"]
    assert "dagster_run_url" not in mlflow_run(measured(), "docs").tags


def test_the_report_shows_texts_and_no_markup_of_others() -> None:
    record = measured(outcome="blocked")
    record.rows["rag_evaluation_questions"][0]["question"] = "<script>alert(1)</script>"
    page = mlflow_run(record, "docs").files["report.html"]
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert "filesystem:&lt;b&gt;.md" in page
    assert "http" not in page
    assert page.count("<rect") == 2 * (len(SCORES) + 2)


def test_a_record_waits_as_json() -> None:
    record = measured()
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record
    older = {name: value for name, value in record.to_json().items() if name != "parameters"}
    assert Record.from_json(older).parameters == {}


def test_the_page_explains_every_name() -> None:
    page = (ROOT / "docs" / "mlflow.md").read_text(encoding="utf-8")
    run = mlflow_run(
        measured("r1", "blocked", [cost("r1", 1, 0.5)], reason="r", step="s", refresh_id="x"),
        "docs",
        "https://d",
    )
    names = [*run.params, *run.metrics, *run.tags, *run.files, COMPLETE_TAG]
    explained = set(re.findall(r"`(\w[\w.]*)`", page))
    ours = {name for name in names if not name.startswith(("num_", "mlflow.", "production_"))}
    assert sorted(ours - explained) == []
