"""A hold is a state: green runs, skipped ticks, plain words, and a right end for every race with a person."""

import importlib
import logging
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from rag_assets.definitions import build_definitions
from rag_assets.errors import VectorStoreUnavailable
from rag_assets.operations import decisions
from rag_assets.settings import load_settings
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets_tests.alerting import AlertSensor
from rag_assets_tests.pipeline import Pipeline, Run, text_about
from rag_assets_tests.slack_receiver import SlackReceiver

PRODUCTION = importlib.import_module("rag_assets.defs.assets.production_collection")


def hold(pipeline: Pipeline) -> str:
    """Roll back, and return the words about the hold."""
    pipeline.succeed("rollback", "--by", "ana", "--reason", "prices are wrong")
    return pipeline.production().hold_in_words


def launch(pipeline: Pipeline, job: str, op: str, tags: dict[str, str] | None = None, **config: str) -> Any:
    """Execute a job of the code location, as the Launchpad does."""
    definition = build_definitions(load_settings()).resolve_job_def(job)
    run_config = {"ops": {op: {"config": config}}} if config else None
    return definition.execute_in_process(
        run_config, instance=pipeline.instance, tags=tags, raise_on_error=False
    )


def said(pipeline: Pipeline, run_id: str) -> str:
    return "\n".join(entry.user_message for entry in pipeline.instance.all_logs(run_id))


def outcome(run: Run) -> str:
    return str(run.checked().metadata["production_collection"]["outcome"])


# Schedule and sensors


def tick(pipeline: Pipeline, name: str) -> Any:
    definitions = build_definitions(load_settings())
    repository = definitions.get_repository_def()
    if name == "refresh_on_schedule":
        with dg.build_schedule_context(pipeline.instance, resources=definitions.resources) as context:
            return repository.get_schedule_def(name).evaluate_tick(context)
    with dg.build_sensor_context(pipeline.instance, resources=definitions.resources) as context:
        return repository.get_sensor_def(name).evaluate_tick(context)


@pytest.mark.parametrize("name", ["refresh_on_schedule", "refresh_on_changed_documents"])
def test_schedule_and_sensors_skip_with_the_reason_until_the_hold_is_lifted(
    promoted: Pipeline, name: str
) -> None:
    words = hold(promoted)
    promoted.write("new.md", text_about("new"))
    skipped = tick(promoted, name)
    assert not skipped.run_requests
    assert skipped.skip_message == f"{words}; `rag-assets resume` lifts the hold"
    assert "by ana: prices are wrong" in skipped.skip_message
    promoted.succeed("resume")
    assert len(tick(promoted, name).run_requests or ()) == 1


def test_a_schedule_without_an_answer_of_the_vector_store_starts_a_refresh_that_can_fail_and_be_alerted(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: object) -> None:
        raise VectorStoreUnavailable("no answer")

    monkeypatch.setattr(EmbeddedVectorStore, "production_state", silent)
    assert len(tick(promoted, "refresh_on_schedule").run_requests or ()) == 1


def test_after_resume_the_sensor_requests_a_run_for_what_the_rollback_took_back(promoted: Pipeline) -> None:
    """Same production, same files, same hours as before the refresh: Dagster ignores a key seen before."""
    promoted.write("new.md", text_about("new"))
    (before,) = tick(promoted, "refresh_on_changed_documents").run_requests
    promoted.refresh().checked()
    hold(promoted)
    promoted.succeed("resume")
    (after,) = tick(promoted, "refresh_on_changed_documents").run_requests
    (again,) = tick(promoted, "refresh_on_changed_documents").run_requests
    assert after.run_key != before.run_key
    assert again.run_key == after.run_key, "one request for one change"


def test_a_refresh_by_hand_says_at_its_start_that_it_will_wait(promoted: Pipeline) -> None:
    words = hold(promoted)
    run = promoted.refresh().checked()
    warnings = [
        (entry.step_key, entry.user_message)
        for entry in promoted.instance.all_logs(run.run_id)
        if entry.level == logging.WARNING
    ]
    assert warnings == [
        ("raw_documents", f"{words}. This refresh builds and evaluates a candidate, and it waits")
    ]


# Alerts


@pytest.fixture
def slack(promoted: Pipeline) -> Any:
    with SlackReceiver() as receiver:
        promoted.configure(SLACK_WEBHOOK_URL=receiver.url)
        yield receiver


def test_a_held_refresh_is_not_alerted(promoted: Pipeline, slack: SlackReceiver) -> None:
    hold(promoted)
    promoted.write("topic04.md", text_about("new"))
    sensor = AlertSensor(promoted, slack)
    promoted.refresh().checked()
    assert sensor.tick() == []


def test_a_failed_gate_is_alerted_also_during_a_hold_and_does_not_ask_to_undo_it(
    promoted: Pipeline, slack: SlackReceiver
) -> None:
    words = hold(promoted)
    promoted.write("topic04.md", text_about("new"))
    promoted.configure(RAG_EVAL_THRESHOLD="0.999")
    sensor = AlertSensor(promoted, slack)
    run = promoted.refresh()
    assert (run.success, run.gate_passed) == (False, False)
    text = sensor.only()
    assert "below the threshold 0.999" in text
    assert f"It is held by a decision: {words.partition(' is held at ')[2].partition(' ')[2]}" in text
    assert "resume" not in text
    status = promoted.status()
    assert (status["last_outcome"]["outcome"], status["last_outcome"]["step"]) == (
        "blocked",
        "eval_report_recall_gate",
    )
    assert "GATE FAILED" in promoted.succeed("status")


def test_production_stays_fresh_while_it_is_held(
    promoted: Pipeline, slack: SlackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def latest() -> Any:
        event = promoted.instance.get_latest_materialization_event(PRODUCTION.production_collection.key)
        assert event is not None
        return event

    sensor = AlertSensor(promoted, slack)
    monkeypatch.setattr("rag_assets.defs.runs.held_production._EVERY_SECONDS", 0.0)
    before = latest().timestamp
    sensor.tick()
    assert latest().timestamp == before, "not held"
    hold(promoted)
    assert sensor.tick() == []
    assert latest().timestamp > before
    metadata = latest().asset_materialization.metadata
    assert metadata["outcome"].value == "held"
    assert metadata["held_by"].value == "ana"


# Status


def test_status_says_held_and_after_resume_what_is_settled(promoted: Pipeline) -> None:
    hold(promoted)
    promoted.write("topic04.md", text_about("new"))
    run = promoted.refresh().checked()
    candidate = run.metadata["eval_report"]["generation"]
    hold_of_now = promoted.production().hold
    assert f"held {hold_of_now}. The candidate waits, production is unchanged" in said(promoted, run.run_id)
    shown = promoted.succeed("status")
    assert f"outcome        held: candidate {candidate} passed the gate and waits\n" in shown
    assert not any(word in shown for word in ("FAILED", "REFUSED", "UNFINISHED", "NOT LIVE"))
    promoted.succeed("resume", "--by", "ben", "--reason", "prices are mended")
    shown = promoted.succeed("status")
    assert "HELD" not in shown
    assert "The hold was lifted on " in shown
    assert " by ben (prices are mended): the next refresh goes live" in shown
    assert not any(word in shown for word in ("FAILED", "REFUSED", "UNFINISHED", "NOT LIVE"))
    assert outcome(promoted.refresh()) == "live"
    shown = promoted.succeed("status")
    assert "outcome        live\n" in shown
    assert "lifted" not in shown


def test_after_resume_the_waiting_candidate_goes_live_alone(promoted: Pipeline) -> None:
    hold(promoted)
    promoted.write("topic04.md", text_about("new"))
    candidate = promoted.refresh().metadata["eval_report"]["generation"]
    promoted.succeed("resume")
    run = promoted.materialize("production_collection")
    assert (outcome(run), promoted.production().production) == ("live", candidate)
    assert outcome(promoted.materialize("production_collection")) == "unchanged"


def test_a_rollback_after_a_live_refresh_is_not_unfinished(promoted: Pipeline) -> None:
    promoted.write("topic04.md", text_about("new"))
    promoted.refresh().checked()
    live = promoted.production().production
    hold(promoted)
    promoted.succeed("resume")
    shown = promoted.succeed("status")
    assert f"outcome        live, but {live} is not in production any more" in shown
    assert not any(word in shown for word in ("UNFINISHED", "NOT LIVE"))


@pytest.mark.parametrize("step", ["deduped_documents", "embeddings"])
def test_a_refusal_and_a_failure_have_their_own_words(
    promoted: Pipeline, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if step == "deduped_documents":
        promoted.remove(*(f"topic{number:02}.md" for number in range(4, 20)))
    else:
        promoted.configure(RAG_EMBEDDING_MODEL="text-embedding-3-small")
    run = promoted.refresh()
    assert not run.success
    word, other = ("REFUSED", "FAILED") if step == "deduped_documents" else ("FAILED", "REFUSED")
    shown = promoted.succeed("status")
    assert word in shown
    assert other not in shown
    assert promoted.status()["last_outcome"]["outcome"] == word.lower()


# Jobs


def test_the_jobs_of_decisions_record_who_and_why(promoted: Pipeline) -> None:
    before = promoted.production().production
    run = launch(promoted, "rollback", "roll_back_production", by="ana", reason="prices are wrong")
    assert run.success
    state = promoted.production()
    assert state.hold is not None
    assert (state.held, state.hold.by, state.hold.reason) == (before, "ana", "prices are wrong")
    assert state.hold_in_words in said(promoted, run.run_id)
    run = launch(promoted, "resume", "resume_production", {"user": "ben@example.org"}, reason="mended")
    assert run.success
    assert promoted.production().hold is None
    assert "by ana: prices are wrong" in said(promoted, run.run_id)
    shown = promoted.instance.get_latest_materialization_event(dg.AssetKey("production_collection"))
    assert shown is not None
    assert shown.asset_materialization is not None
    assert shown.asset_materialization.metadata["generation"].value == promoted.production().production
    assert "held_by" not in shown.asset_materialization.metadata
    last = promoted.status()["decisions"][0]
    assert (last["decision"], last["by"], last["reason"]) == ("resume", "ben@example.org", "mended")


def test_a_job_without_a_name_records_its_run(promoted: Pipeline) -> None:
    run = launch(promoted, "rollback", "roll_back_production")
    hold = promoted.production().hold
    assert hold is not None
    assert (hold.by, hold.reason) == (f"Dagster run {run.run_id[:8]}", "")
    assert launch(promoted, "resume", "resume_production").success
    nothing = launch(promoted, "resume", "resume_production")
    assert nothing.success
    assert "nothing was held" in said(promoted, nothing.run_id)


def test_a_second_rollback_job_fails_with_the_first_decision(promoted: Pipeline) -> None:
    hold(promoted)
    run = launch(promoted, "rollback", "roll_back_production", by="ben", reason="me too")
    assert not run.success
    (failure,) = [event for event in run.all_events if event.is_step_failure]
    assert "by ana: prices are wrong" in failure.step_failure_data.user_failure_data.description


def test_the_approve_job_admits_one_refusal_once(promoted: Pipeline) -> None:
    promoted.write_benchmark_for(range(4))
    promoted.remove(*(f"topic{number:02}.md" for number in range(4, 20)))
    assert promoted.refresh().outcomes["deduped_documents"] == "refused"
    (refusal,) = promoted.status()["pending_approvals"]
    assert (refusal["approved_by"], refusal["approved_at"]) == (None, None)
    mistyped = launch(promoted, "approve", "approve_refusal", token="0123456789abcdef")
    assert not mistyped.success
    assert promoted.status()["pending_approvals"] == [refusal]
    run = launch(
        promoted, "approve", "approve_refusal", token=refusal["token"], by="ana", reason="moved away"
    )
    assert run.success
    (approved,) = promoted.status()["pending_approvals"]
    assert (approved["is_approved"], approved["approved_by"]) == (True, "ana")
    assert approved["approval_reason"] == "moved away"
    assert ", by ana, for the next refresh" in promoted.succeed("status")
    assert outcome(promoted.refresh()) == "live"


# Races


def between_evaluation_and_promotion(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    promote = PRODUCTION.promote

    def later(*arguments: Any, **options: Any) -> Any:
        act()
        return promote(*arguments, **options)

    monkeypatch.setattr(PRODUCTION, "promote", later)


def test_a_rollback_between_evaluation_and_promotion_leaves_a_held_refresh(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = promoted.production()
    promoted.write("topic04.md", text_about("new"))
    between_evaluation_and_promotion(monkeypatch, lambda: hold(promoted))
    assert outcome(promoted.refresh()) == "held"
    state = promoted.production()
    assert (state.production, state.held) == (before.previous, before.production)


@pytest.mark.parametrize(
    ("step", "noticed_by"),
    [
        ("chunks", "chunks"),
        ("embeddings", "staging_collection"),
        ("staging_collection", "staging_collection"),
    ],
)
def test_a_rollback_before_the_candidate_is_built_ends_the_refresh_as_superseded_by_a_person(
    promoted: Pipeline, slack: SlackReceiver, monkeypatch: pytest.MonkeyPatch, step: str, noticed_by: str
) -> None:
    sensor = AlertSensor(promoted, slack)
    module = importlib.import_module(f"rag_assets.defs.assets.{step}")
    asset_step = module.asset_step

    def later(context: Any, knowledge_base: Any, **options: Any) -> Any:
        decisions.roll_back(knowledge_base, by="ana", reason="prices are wrong")
        return asset_step(context, knowledge_base, **options)

    promoted.write("topic04.md", text_about("new"))
    with monkeypatch.context() as patched:
        patched.setattr(module, "asset_step", later)
        run = promoted.refresh()
    assert run.outcomes == {noticed_by: "superseded"}
    assert "a rollback came first: production is held at" in run.message
    assert "by ana: prices are wrong" in run.message
    assert sensor.tick() == []
    assert promoted.status()["last_failure"] is None
    assert "outcome        superseded: a rollback came first" in promoted.succeed("status")
    assert outcome(promoted.refresh()) == "held"


def test_resume_in_the_middle_of_a_held_refresh_lets_it_go_live(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(promoted)
    promoted.write("topic04.md", text_about("new"))
    between_evaluation_and_promotion(monkeypatch, lambda: promoted.succeed("resume"))
    run = promoted.refresh()
    assert outcome(run) == "live"
    assert promoted.production().production == run.metadata["eval_report"]["generation"]


def test_a_rollback_and_its_end_during_a_refresh_supersede_it(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The candidate contains what was taken out of service, so it must not go live unseen."""

    def there_and_back() -> None:
        hold(promoted)
        promoted.succeed("resume")

    promoted.write("topic04.md", text_about("new"))
    with monkeypatch.context() as patched:
        between_evaluation_and_promotion(patched, there_and_back)
        run = promoted.refresh()
    assert run.outcomes == {"production_collection": "superseded"}
    assert outcome(promoted.refresh()) == "live"
