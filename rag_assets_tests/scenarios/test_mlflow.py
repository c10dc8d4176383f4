"""One MLflow run for each refresh, whatever its outcome, compared with the metadata tables and Dagster's own events."""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from rag_assets.defs.metadata.plots import plotted
from rag_assets.defs.runs.facts import facts_of
from rag_assets.embedders import openai as openai_embedder
from rag_assets.errors import SupersededError
from rag_assets.tracking import mlflow_observer
from rag_assets.tracking import observer as observer_module
from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI
from rag_assets_tests.mlflow_servers import FoundRun, runs_in, wait_for_sender
from rag_assets_tests.optional_packages import require_unimported
from rag_assets_tests.pipeline import NUM_DOCUMENTS, Pipeline, Run, text_about, words
from rag_assets_tests.tracking.conftest import ask

require_unimported("mlflow", "dagster_mlflow")
CANARY = "the plumber keeps seventeen turquoise umbrellas"
TOKEN = "not-a-token-at-all"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for databases. MLflow takes seconds to create one, so the first test fills it for all."""
    return tmp_path_factory.mktemp("mlflow") / "mlflow.db"


@pytest.fixture
def tracked(
    empty: Pipeline, database: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Pipeline:
    """A knowledge base with documents, and an experiment of its own."""
    monkeypatch.setattr(observer_module, "DELIVERY_SECONDS", 120.0)  # on a busy machine
    monkeypatch.setattr(mlflow_observer, "SENDING_SECONDS", 120.0)
    empty.configure(
        MLFLOW_TRACKING_URI=f"sqlite:///{database}",
        MLFLOW_EXPERIMENT_NAME=request.node.name,
        MLFLOW_TRACKING_TOKEN=TOKEN,
        RAG_DAGSTER_URL="https://dagster.example.com",
    )
    return empty


@pytest.fixture
def openai() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as running:
        yield running


@pytest.fixture
def runs(database: Path, request: pytest.FixtureRequest, tracked: Pipeline) -> Any:
    def sent() -> list[FoundRun]:
        wait(tracked)
        return runs_in(database, request.node.name)

    return sent


def wait(tracked: Pipeline) -> None:
    """Wait for the process that sends to MLflow."""
    [lock] = tracked.state_dir.glob("tracking/*/mlflow/lock")
    wait_for_sender(lock.parent)


def outcomes(runs: list[FoundRun]) -> list[str]:
    return [run.outcome for run in runs]


def assert_numbers_of(found: FoundRun, run: Run) -> None:
    """Compare an MLflow run with the events of the run in Dagster."""
    told = run.metadata
    assert found.metrics["documents_processed"] == told["raw_documents"]["num_documents"]
    assert found.metrics["chunks_created"] == told["chunks"]["num_chunks"]
    assert found.metrics["recall_at_5"] == pytest.approx(
        told["eval_report"][plotted("recall_at_5")], abs=1e-4
    )
    assert found.params["generation"] == told["eval_report"]["generation"]
    assert (found.params["chunk_size"], found.params["chunk_overlap"]) == ("64", "8")
    assert (found.params["chunker"], found.params["sources"]) == ("token_window", "filesystem")
    assert len(json.loads(found.files["benchmark_queries.json"])) == NUM_DOCUMENTS + 1
    assert len(json.loads(found.files["eval_results.json"])["questions"]) == NUM_DOCUMENTS + 1


def assert_same_runs_as_in_the_tables(pipeline: Pipeline, found: list[FoundRun]) -> None:
    stored = ask(pipeline.state_dir / "metadata.sqlite", "SELECT run_id, outcome FROM rag_refreshes")
    assert {row["run_id"]: row["outcome"] for row in stored} == {
        run.tags["dagster_run_id"]: run.outcome for run in found
    }
    assert len(found) == len(stored)
    assert {run.tags["is_complete"] for run in found} == {"yes"}
    assert pipeline.status()["mlflow"] is None


@pytest.mark.timeout(900)
def test_refreshes_that_get_to_the_gate_are_runs_with_its_numbers(tracked: Pipeline, runs: Any) -> None:
    tracked.configure(RAG_MLFLOW_URL="https://mlflow.example.com")
    measured = [tracked.refresh().checked(), tracked.refresh().checked()]
    tracked.write("new.md", text_about("new"))
    tracked.configure(RAG_EVAL_THRESHOLD="0.999")
    blocked = tracked.refresh()
    assert not blocked.success
    tracked.configure(RAG_EVAL_THRESHOLD="0.5")
    measured += [blocked, tracked.refresh().checked()]
    tracked.succeed("rollback", "--by", "Ada", "--reason", "wrong answers")
    measured.append(tracked.refresh().checked())
    found = runs()
    assert outcomes(found) == ["live", "unchanged", "blocked", "live", "held"]
    assert_same_runs_as_in_the_tables(tracked, found)
    for mine, run in zip(found, measured, strict=True):
        assert_numbers_of(mine, run)
        assert mine.tags["dagster_run_url"] == f"https://dagster.example.com/runs/{run.run_id}"
        [in_dagster] = tracked.instance.get_run_records(dg.RunsFilter(run_ids=[run.run_id]))
        assert in_dagster.dagster_run.tags["mlflow/run_id"] == mine.run_id
        link = facts_of(tracked.instance, in_dagster).mlflow_url  # in messages
        assert link.startswith("https://mlflow.example.com/#/experiments/")
        assert link.endswith(f"/runs/{mine.run_id}")
    assert [run.params["threshold"] for run in found] == ["0.5", "0.5", "0.999", "0.5", "0.5"]
    assert "below the threshold" in found[2].tags["reason"]
    assert "below the threshold" in found[2].files["report.html"]


@pytest.mark.timeout(900)
def test_refreshes_that_end_before_the_gate_are_runs(
    tracked: Pipeline, runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError(CANARY)

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    assert tracked.materialize("raw_documents", "deduped_documents").success
    for step in (broken, interrupted):
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["rag_assets.defs.assets.chunks"], "plan_staging", step)
            assert not tracked.refresh().success
    tracked.refresh().checked()
    tracked.remove(*(f"topic{number:02}.md" for number in range(12)))
    assert not tracked.refresh().success
    found = runs()
    assert outcomes(found) == ["partial", "failed", "died", "live", "refused"]
    assert_same_runs_as_in_the_tables(tracked, found)
    failed, died = found[1:3]
    assert (failed.status, failed.tags["step"]) == ("FAILED", "chunks")
    assert (died.status, died.tags["step"]) == ("KILLED", "chunks")
    assert died.params["chunk_size"] == "64"
    assert CANARY not in repr(found)


def test_a_superseded_refresh_is_a_run(tracked: Pipeline, runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaken(*_: Any, **__: Any) -> Any:
        raise SupersededError("another refresh promoted first")

    monkeypatch.setattr(sys.modules["rag_assets.defs.assets.production_collection"], "promote", overtaken)
    assert not tracked.refresh().success
    [run] = runs()
    assert (run.outcome, run.status) == ("superseded", "FAILED")


def test_a_refresh_that_did_not_begin_is_a_run(tracked: Pipeline, runs: Any) -> None:
    (tracked.home / "dagster.yaml").write_text("{ not yaml")
    code, _, _ = tracked.command("refresh")
    assert code != 0
    [run] = runs()
    assert (run.outcome, run.tags["step"]) == ("failed", "refresh")
    assert "dagster.yaml" in run.tags["reason"]


@pytest.mark.parametrize("is_price_known", [True, False])
def test_costs_are_those_of_the_tables(
    is_price_known: bool, tracked: Pipeline, runs: Any, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked.configure(
        RAG_EMBEDDING_MODEL="text-embedding-3-small", OPENAI_API_KEY=API_KEY, OPENAI_BASE_URL=openai.base_url
    )
    if is_price_known:
        monkeypatch.setattr(openai_embedder, "OPENAI_BASE_URL", openai.base_url)
        monkeypatch.setattr(openai_embedder, "KNOWN_DIMENSIONS", {})
    tracked.refresh().checked()
    [row] = ask(
        tracked.state_dir / "metadata.sqlite",
        "SELECT SUM(num_tokens) AS tokens, SUM(cost_usd) AS usd FROM rag_costs",
    )
    [run] = runs()
    assert run.metrics["tokens"] == row["tokens"] > 0
    if is_price_known:
        assert run.metrics["cost_usd"] == pytest.approx(row["usd"])
        assert row["usd"] > 0
    else:
        assert "cost_usd" not in run.metrics
        assert run.tags["cost_usd"] == "unknown"


def test_no_document_text_and_no_secret_is_in_mlflow(
    tracked: Pipeline, database: Path, openai: FakeOpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    webhook = "https://hooks.slack.com/services/not-a-webhook-at-all"
    tracked.configure(
        RAG_EMBEDDING_MODEL="text-embedding-3-small", OPENAI_API_KEY=API_KEY, OPENAI_BASE_URL=openai.base_url,
        SLACK_WEBHOOK_URL=webhook,
    )  # fmt: skip
    tracked.write("canary.md", f"# {CANARY}\n\n{' '.join(words('x', 60))} {CANARY}.\n")
    tracked.write("canary.html", f"<html><head><title>{CANARY}</title></head><body><h1>{CANARY}</h1>"
                  f"<p>{CANARY} {' '.join(words('y', 80))}</p></body></html>")  # fmt: skip
    tracked.write("torn.pdf", b"%PDF-1.7\n" + CANARY.encode())
    tracked.refresh().checked()
    tracked.configure(RAG_EVAL_THRESHOLD="0.9999")
    tracked.write("canary.md", f"changed {CANARY} {' '.join(words('z', 60))}")
    tracked.refresh()
    wait(tracked)
    everything = b"".join(path.read_bytes() for path in database.parent.rglob("*") if path.is_file()).decode(
        errors="replace"
    )
    assert "eval_results.json" in str(list(database.parent.rglob("*")))
    assert "canary.md" in everything
    for secret in (CANARY, "turquoise", TOKEN, API_KEY, webhook):
        assert secret not in everything
    assert TOKEN not in caplog.text
