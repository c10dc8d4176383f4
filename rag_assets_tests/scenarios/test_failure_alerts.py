"""Alerts for the kinds of failure: the reason in words, and only the type of an unexpected error."""

import importlib
from collections.abc import Iterator

import dagster as dg
import pytest

from rag_assets.defs.resources import KnowledgeBaseResource
from rag_assets.defs.runs.alerts import ALERTED_BY_TAG, BY_COMMAND, post_alerts
from rag_assets.defs.sensors import slack_on_failure
from rag_assets.errors import SupersededError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import load_settings
from rag_assets_tests.alerting import sensor_context
from rag_assets_tests.pipeline import Pipeline, job_named, text_about
from rag_assets_tests.slack_receiver import SlackReceiver


@pytest.fixture
def slack(promoted: Pipeline) -> Iterator[SlackReceiver]:
    with SlackReceiver() as receiver:
        promoted.configure(SLACK_WEBHOOK_URL=receiver.url)
        yield receiver


DEDUPED = importlib.import_module("rag_assets.defs.assets.deduped_documents")


def alert_about_failed_run(pipeline: Pipeline, slack: SlackReceiver) -> str:
    """Evaluate the sensor for the last run as the daemon does, and return the only message."""
    evaluate_alert(pipeline)
    (text,) = slack.texts
    return text


def evaluate_alert(pipeline: Pipeline) -> None:
    run_id = pipeline.instance.get_runs(limit=1)[0].run_id
    with sensor_context(pipeline, run_id, slack_on_failure.name, dg.DagsterEventType.RUN_FAILURE) as context:
        slack_on_failure(context.for_run_failure())


def test_three_superseded_refreshes_in_a_row_are_alerted_once_and_shown(
    promoted: Pipeline, slack: SlackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(*_: object) -> None:
        raise SupersededError("another refresh was faster")

    with monkeypatch.context() as patched:
        patched.setattr(DEDUPED, "require_current_reading", overtaken)
        for number in range(1, 5):
            assert promoted.refresh().outcomes["deduped_documents"] == "superseded"
            evaluate_alert(promoted)
            assert len(slack.texts) == (number >= 3)
            failure = promoted.status()["last_failure"]
            assert (failure is not None) == (number >= 3)
    assert "3 refreshes in a row ended superseded" in slack.texts[0]
    assert "another refresh was faster" in slack.texts[0]
    assert "4 refreshes in a row ended superseded" in promoted.succeed("status")
    promoted.refresh().checked()
    assert promoted.status()["last_failure"] is None
    with monkeypatch.context() as patched:
        patched.setattr(DEDUPED, "require_current_reading", overtaken)
        promoted.refresh()
    assert promoted.status()["last_failure"] is None, "the count begins again"


def test_the_same_refusal_is_alerted_once(promoted: Pipeline, slack: SlackReceiver) -> None:
    paths = [f"topic{number:02}.md" for number in range(4, 20)]
    promoted.remove(*paths)
    for _ in range(2):
        assert promoted.refresh().outcomes["deduped_documents"] == "refused"
        evaluate_alert(promoted)
    assert len(slack.texts) == 1
    promoted.remove("topic03.md")
    promoted.refresh()
    evaluate_alert(promoted)
    assert len(slack.texts) == 2, "another set"
    for number in range(3, 20):
        promoted.write(f"topic{number:02}.md", text_about(number))
    promoted.refresh().checked()
    promoted.remove(*paths)
    promoted.refresh()
    evaluate_alert(promoted)
    assert len(slack.texts) == 3, "the files were back in between"


def test_an_unexpected_error_is_named_by_its_own_type(
    promoted: Pipeline, slack: SlackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(knowledge_base: KnowledgeBase) -> None:
        raise ZeroDivisionError("text of a document")

    monkeypatch.setattr(KnowledgeBase, "ingestion", fail)
    assert not promoted.refresh().success
    text = alert_about_failed_run(promoted, slack)
    assert "`raw_documents` failed" in text
    assert "unexpected ZeroDivisionError; see the log of the run in the Dagster UI" in text
    assert "text of a document" not in text
    assert "DagsterExecution" not in text


def test_invalid_settings_are_explained(
    promoted: Pipeline, slack: SlackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KnowledgeBaseResource, "values_for_run", lambda resource: {"chunk_size": -2})
    with pytest.raises(dg.DagsterError):
        promoted.refresh()
    text = alert_about_failed_run(promoted, slack)
    assert "\nRAG_CHUNK_SIZE: " in text
    assert "-2" in text
    assert "resource" not in text


def test_a_refused_refresh_is_reported_in_its_own_words(promoted: Pipeline, slack: SlackReceiver) -> None:
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    promoted.write("topic03.md", text_about("changed"))
    run = promoted.refresh()
    assert not run.success
    text = alert_about_failed_run(promoted, slack)
    assert "recall_gate` failed" in text
    assert "is below the threshold 0.999" in text


def test_a_run_alerted_by_its_command_is_not_alerted_again(promoted: Pipeline, slack: SlackReceiver) -> None:
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    promoted.write("topic03.md", text_about("changed"))
    run_id = promoted.refresh().run_id
    promoted.instance.add_run_tags(run_id, {ALERTED_BY_TAG: BY_COMMAND})
    with promoted.knowledge_base() as knowledge_base:
        assert post_alerts(promoted.instance, run_of(promoted, run_id), knowledge_base) == (1, "")
    evaluate_alert(promoted)
    assert len(slack.texts) == 1


def test_an_alert_that_its_command_could_not_post_is_left_to_the_sensor(promoted: Pipeline) -> None:
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    promoted.write("topic03.md", text_about("changed"))
    run_id = promoted.refresh().run_id
    promoted.instance.add_run_tags(run_id, {ALERTED_BY_TAG: BY_COMMAND})
    with SlackReceiver(status=500) as broken:
        promoted.configure(SLACK_WEBHOOK_URL=broken.url)
        posted, problem = post_alerts(
            promoted.instance, run_of(promoted, run_id), KnowledgeBase(load_settings())
        )
    assert (posted, "status 500" in problem) == (0, True)
    with SlackReceiver() as slack:
        promoted.configure(SLACK_WEBHOOK_URL=slack.url)
        assert "is below the threshold 0.999" in alert_about_failed_run(promoted, slack)


def test_a_run_marked_as_failed_from_outside_is_alerted_with_the_message(
    promoted: Pipeline, slack: SlackReceiver
) -> None:
    """As by the monitoring of Dagster, after the death of a process."""
    job = job_named("refresh")
    run = promoted.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    promoted.instance.report_run_failed(run, "the process of the run died")
    assert "the process of the run died" in alert_about_failed_run(promoted, slack)


def run_of(pipeline: Pipeline, run_id: str) -> dg.DagsterRun:
    run = pipeline.instance.get_run_by_id(run_id)
    assert run is not None
    return run
