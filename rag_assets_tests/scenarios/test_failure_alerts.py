"""Alerts for the kinds of failure: the reason in words, and only the type of an unexpected error."""

import importlib
import re
from collections.abc import Iterator

import dagster as dg
import pytest

from rag_assets.defs.resources import KnowledgeBaseResource
from rag_assets.errors import SupersededError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets_tests.alerting import AlertSensor
from rag_assets_tests.pipeline import Pipeline, job_named, text_about
from rag_assets_tests.slack_receiver import SlackReceiver


@pytest.fixture
def slack(promoted: Pipeline) -> Iterator[SlackReceiver]:
    with SlackReceiver() as receiver:
        promoted.configure(SLACK_WEBHOOK_URL=receiver.url)
        yield receiver


@pytest.fixture
def sensor(promoted: Pipeline, slack: SlackReceiver) -> AlertSensor:
    return AlertSensor(promoted, slack)


DEDUPED = importlib.import_module("rag_assets.defs.assets.deduped_documents")


def test_three_superseded_refreshes_in_a_row_are_alerted_once_and_shown(
    promoted: Pipeline, sensor: AlertSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(*_: object) -> None:
        raise SupersededError("another refresh was faster")

    with monkeypatch.context() as patched:
        patched.setattr(DEDUPED, "require_current_reading", overtaken)
        for number in range(1, 5):
            assert promoted.refresh().outcomes["deduped_documents"] == "superseded"
            texts = sensor.tick()
            assert len(texts) == (number == 3)
            if texts:
                assert "3 refreshes in a row ended superseded" in texts[0]
                assert "another refresh was faster" in texts[0]
            failure = promoted.status()["last_failure"]
            assert (failure is not None) == (number >= 3)
    assert "4 refreshes in a row ended superseded" in promoted.succeed("status")
    promoted.refresh().checked()
    assert "Recovered" in sensor.only()
    assert promoted.status()["last_failure"] is None
    with monkeypatch.context() as patched:
        patched.setattr(DEDUPED, "require_current_reading", overtaken)
        promoted.refresh()
    assert promoted.status()["last_failure"] is None, "the count begins again"
    assert sensor.tick() == []


def test_the_same_refusal_is_alerted_once(promoted: Pipeline, sensor: AlertSensor) -> None:
    paths = [f"topic{number:02}.md" for number in range(4, 20)]
    promoted.remove(*paths)
    assert promoted.refresh().outcomes["deduped_documents"] == "refused"
    assert "rag-assets approve" in sensor.only()
    promoted.refresh()
    assert sensor.tick() == []
    promoted.remove("topic03.md")
    promoted.refresh()
    assert "rag-assets approve" in sensor.only(), "another set"
    for number in range(3, 20):
        promoted.write(f"topic{number:02}.md", text_about(number))
    promoted.refresh().checked()
    assert "Recovered" in sensor.only()
    promoted.remove(*paths)
    promoted.refresh()
    assert "rag-assets approve" in sensor.only(), "the files were back in between"


def test_an_unexpected_error_is_named_by_its_own_type(
    promoted: Pipeline, sensor: AlertSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(knowledge_base: KnowledgeBase) -> None:
        raise ZeroDivisionError("text of a document")

    monkeypatch.setattr(KnowledgeBase, "ingestion", fail)
    assert not promoted.refresh().success
    text = sensor.only()
    assert "Refresh failed at raw_documents" in text
    assert "unexpected ZeroDivisionError; see the log of the run in the Dagster UI" in text
    assert "text of a document" not in text
    assert "DagsterExecution" not in text


def test_invalid_settings_are_explained(
    promoted: Pipeline, sensor: AlertSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KnowledgeBaseResource, "values_for_run", lambda resource: {"chunk_size": -2})
    with pytest.raises(dg.DagsterError):
        promoted.refresh()
    text = sensor.only()
    assert "RAG_CHUNK_SIZE: " in text
    assert "-2" in text
    assert "resource" not in text


def test_a_failed_gate_is_reported_with_its_numbers_and_its_end(
    promoted: Pipeline, sensor: AlertSensor
) -> None:
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    promoted.write("topic03.md", text_about("changed"))
    assert not promoted.refresh().success
    text = sensor.only()
    assert "Refresh blocked by the quality gate" in text
    assert "`eval_report_recall_gate`: " in text
    assert "is below the threshold 0.999" in text
    assert "(threshold 0.999); MRR " in text
    assert "1 updated, 19 unchanged" in text
    assert f"Production is unchanged by this run and serves `{promoted.production().production}`" in text
    promoted.refresh()
    assert sensor.tick() == []
    promoted.configure(RAG_EVAL_THRESHOLD="0.5")
    promoted.refresh().checked()
    text = sensor.only()
    assert "Recovered: refreshes work again" in text
    assert f"A new generation is live: `{promoted.production().production}`" in text


@pytest.mark.parametrize("selection", [("eval_report",), ()])
def test_a_run_that_only_measures_and_fails_is_reported(
    promoted: Pipeline, sensor: AlertSensor, selection: tuple[str, ...]
) -> None:
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    promoted.write("topic03.md", text_about("changed"))
    promoted.materialize("raw_documents", "deduped_documents", "chunks", "embeddings", "staging_collection")
    if not selection:
        promoted.materialize("eval_report", with_checks=False)
        check_alone(promoted)
    else:
        promoted.materialize(*selection)
    assert "Refresh blocked by the quality gate" in sensor.only()


def check_alone(pipeline: Pipeline) -> None:
    """Evaluate the check as *Execute* on its page does."""
    job = job_named("refresh")
    subset = job.get_subset(asset_selection=set(), asset_check_selection={GATE_KEY})
    subset.execute_in_process(instance=pipeline.instance, raise_on_error=False)


GATE_KEY = dg.AssetCheckKey(dg.AssetKey("eval_report"), "recall_gate")


def test_a_summary_is_posted_when_something_went_live(promoted: Pipeline, sensor: AlertSensor) -> None:
    promoted.configure(RAG_DAGSTER_URL="https://dagster.example.com", RAG_DEPLOYMENT="staging")
    promoted.write("topic03.md", text_about("changed"))
    run = promoted.refresh().checked()
    text = sensor.only()
    assert "A new generation is live" in text
    assert "20 documents processed; 1 updated, 19 unchanged" in text
    assert re.search(r"Recall@5 0\.9\d\d \(threshold 0\.5\); MRR 0\.9\d\d;", text)
    assert "staging" in text
    assert f"<https://dagster.example.com/runs/{run.run_id}|run {run.run_id[:8]}>" in text
    promoted.refresh().checked()
    assert sensor.tick() == [], "unchanged"


def test_a_lost_cursor_replays_no_history(
    promoted: Pipeline, slack: SlackReceiver, sensor: AlertSensor
) -> None:
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    promoted.write("topic03.md", text_about("changed"))
    promoted.refresh()
    for cursor in (None, "{}"):
        sensor.cursor = cursor
        assert sensor.tick() == []
        assert sensor.tick() == []


def test_a_run_marked_as_failed_from_outside_is_alerted_with_the_message(
    promoted: Pipeline, sensor: AlertSensor
) -> None:
    """As by the monitoring of Dagster, after the death of a process."""
    job = job_named("refresh")
    run = promoted.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    promoted.instance.report_run_failed(run, "the process of the run died")
    assert "the process of the run died" in sensor.only()


def test_a_run_that_dagster_retries_by_itself_is_not_alerted(promoted: Pipeline, sensor: AlertSensor) -> None:
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    promoted.write("topic03.md", text_about("changed"))
    run = promoted.refresh()
    promoted.instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
    assert sensor.tick() == []


def test_runs_carry_their_outcome_and_score(promoted: Pipeline) -> None:
    def tags(run_id: str) -> dict[str, str]:
        run = promoted.instance.get_run_by_id(run_id)
        assert run is not None
        return {
            key.removeprefix("rag_assets/"): value for key, value in run.tags.items() if "rag_assets/" in key
        }

    promoted.write("empty.md", b"")
    assert tags(promoted.refresh().checked().run_id) == {
        "outcome": "unchanged",
        "recall_at_5": "0.9762",
        "degraded": "yes",
        "had_lease": "yes",
    }
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    promoted.write("topic03.md", text_about("changed"))
    found = tags(promoted.refresh().run_id)
    assert found["outcome"] == "blocked"


# Dead runs


def test_a_dead_run_is_ended_and_reported_and_a_waiting_one_is_left_alone(
    promoted: Pipeline, sensor: AlertSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance, job = promoted.instance, job_named("refresh")
    started = dg.DagsterRunStatus.STARTED
    dead = instance.create_run_for_job(job, status=started, tags={"rag_assets/had_lease": "yes"})
    waiting = instance.create_run_for_job(job, status=started)
    assert sensor.tick() == []
    monkeypatch.setattr("rag_assets.alerts.dead_runs.DEAD_AFTER_SECONDS", 0.0)
    text = sensor.only()
    assert "Refresh died: its process is gone" in text
    assert dead.run_id[:8] in text
    statuses = {run.run_id: run.status for run in instance.get_runs()}
    assert statuses[dead.run_id] is dg.DagsterRunStatus.FAILURE
    assert statuses[waiting.run_id] is started
    assert sensor.tick() == []
    promoted.refresh().checked()
    assert "Recovered: refreshes work again" in sensor.only()
