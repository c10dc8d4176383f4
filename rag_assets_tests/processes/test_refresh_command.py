"""`rag-assets refresh` as a person and as cron start it: what it prints, how it ends, and what Dagster has of it."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import DefaultRunLauncher

from rag_assets.inspection.status import describe, status
from rag_assets_tests.processes.conftest import Story
from rag_assets_tests.processes.refresh_command import (
    Printed,
    StuckModel,
    child_of,
    finished,
    run_command,
    start_command,
    stuck_model,
)
from rag_assets_tests.processes.scene import Scene, assert_same_end, dagster_instance, new_scene
from rag_assets_tests.slack_receiver import SlackReceiver

STEPS = [
    "raw_documents",
    "deduped_documents",
    "chunks",
    "embeddings",
    "staging_collection",
    "eval_report",
    "recall_gate",
    "production_collection",
]
_NOISE = re.compile(r"Traceback|Stack Trace|Warning:|[0-9a-f]{64}|\x1b")


def steps(printed: Printed) -> list[tuple[str, str]]:
    """Return the sign and the name of each line about a step."""
    found = (re.match(r"([✓✗!]) (\w+) +[\d.]+ s  ", line) for line in printed.lines)
    return [(match[1], match[2]) for match in found if match]


def assert_plain(printed: Printed) -> None:
    assert _NOISE.search(printed.output + printed.errors) is None, printed.output + printed.errors


def last_run(scene: Scene) -> tuple[dg.DagsterRun, list[str]]:
    """Return the last run of a scene, and the messages of its event log."""
    with dagster_instance(scene) as instance:
        run = instance.get_runs(limit=1)[0]
        return run, [entry.message for entry in instance.all_logs(run.run_id)]


@pytest.fixture
def fresh(tmp_path: Path) -> Scene:
    return new_scene(tmp_path)


@pytest.fixture
def stuck() -> Iterator[StuckModel]:
    with stuck_model() as model:
        yield model


def test_a_refresh_goes_live_and_is_recorded_as_any_other_run(scene: Scene, story: Story) -> None:
    before = scene.production()
    printed = run_command(scene, "refresh")
    assert printed.code == 0, printed.output + printed.errors
    assert_plain(printed)
    assert printed.lines[0].startswith("refreshing knowledge_base in .rag from filesystem (")
    assert printed.lines[0].endswith(f"; production: {before} (7 documents)")
    assert steps(printed) == [("✓", step) for step in STEPS]
    assert re.fullmatch(r"in [\d.]+ s", printed.labeled("LIVE"))
    assert printed.labeled("changes") == "1 added, 1 updated, 1 moved, 1 duplicate, 1 deleted, 4 unchanged"
    assert re.fullmatch(r"[\d,]+ tokens, free", printed.labeled("cost"))
    assert re.fullmatch(rf"{scene.production()}: \d documents, \d+ chunks", printed.labeled("production"))
    assert_same_end(scene, story.after)

    run, messages = last_run(scene)
    assert (run.job_name, run.status) == ("refresh", dg.DagsterRunStatus.SUCCESS)
    origin = run.remote_job_origin
    assert origin is not None
    assert origin.repository_origin.get_label() == "__repository__@rag_assets"
    assert any(message.startswith("live: ") for message in messages)

    again = run_command(scene, "refresh", "--json")
    assert again.code == 0
    assert again.json["outcome"] == "unchanged"
    assert again.json["exit_code"] == 0
    assert again.json["run_id"] == last_run(scene)[0].run_id
    assert again.json["production_before"] == again.json["production"] == scene.production()
    assert again.json["changes"]["num_unchanged"] == 8
    assert "raw_documents" in again.errors


def test_a_blocked_refresh_ends_with_its_verdict_and_an_alert(scene: Scene) -> None:
    before = scene.production()
    with SlackReceiver() as slack:
        printed = run_command(scene, "refresh", RAG_EVAL_THRESHOLD="0.999", SLACK_WEBHOOK_URL=slack.url)
    assert printed.code == 3
    assert_plain(printed)
    assert steps(printed)[-1] == ("✗", "recall_gate")
    assert "is below the threshold 0.999" in printed.output
    assert "the gate stopped the candidate" in printed.labeled("BLOCKED")
    assert printed.labeled("production").endswith(", unchanged")
    assert printed.labeled("alert") == "posted to Slack"
    assert printed.labeled("next") == "rag-assets status"
    assert scene.production() == before
    (text,) = slack.texts
    run, _ = last_run(scene)
    assert run.run_id[:8] in text
    assert "is below the threshold 0.999" in text


def test_a_refused_refresh_names_the_command_to_approve_it(tmp_path: Path) -> None:
    scene = new_scene(tmp_path)
    for number in range(40):
        (scene.documents / f"note{number:02}.md").write_text(
            f"# Note {number}\n\nThis is note number {number}.\n"
        )
    assert run_command(scene, "refresh").code == 0
    for number in range(30):
        (scene.documents / f"note{number:02}.md").unlink()
    (scene.documents / "broken.pdf").write_bytes(b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog")
    refused = run_command(scene, "refresh")
    assert refused.code == 4
    assert_plain(refused)
    assert steps(refused)[-1] == ("✗", "deduped_documents")
    first, _, then = refused.labeled("next").partition(", then ")
    assert first == "rag-assets plan"
    assert re.fullmatch(r"rag-assets approve [0-9a-f]{16}", then)
    assert run_command(scene, "plan").code == 4

    assert run_command(scene, *then.split()[1:]).code == 0
    degraded = run_command(scene, "refresh")
    assert degraded.code == 7, degraded.output
    assert degraded.labeled("DEGRADED") == "1 document quarantined"
    assert degraded.labeled("next") == "rag-assets quarantine"


@pytest.mark.parametrize(
    ("number", "executor"),
    [(signal.SIGINT, "in_process"), (signal.SIGTERM, "multiprocess")],
    ids=["SIGINT", "SIGTERM with one process per step"],
)
def test_a_signal_cancels_the_run_and_leaves_production_unchanged(
    fresh: Scene, stuck: StuckModel, number: signal.Signals, executor: str
) -> None:
    process = start_command(fresh, "refresh", RAG_EXECUTOR=executor, **stuck.environment)
    stuck.wait_for_a_request()
    process.send_signal(number)
    printed = finished(process)
    assert printed.code == 130, printed.output + printed.errors
    assert_plain(printed)
    assert printed.labeled("production") == "nothing yet"
    assert printed.labeled("next") == "rag-assets refresh"
    run, _ = last_run(fresh)
    assert run.status is dg.DagsterRunStatus.CANCELED
    assert fresh.production() is None
    knowledge_base = fresh.knowledge_base()
    try:
        assert knowledge_base.ledger.lease_holder() is None
        assert "canceled by hand during embeddings" in describe(status(knowledge_base))
    finally:
        knowledge_base.close()


def test_a_run_terminated_in_the_ui_ends(fresh: Scene, stuck: StuckModel) -> None:
    process = start_command(fresh, "refresh", **stuck.environment)
    stuck.wait_for_a_request()
    with dagster_instance(fresh) as instance:
        (run,) = instance.get_runs()
        instance.report_run_canceling(run)
        instance.report_run_canceled(run)
    assert finished(process).code == 130
    assert last_run(fresh)[0].status is dg.DagsterRunStatus.CANCELED


def test_a_held_refresh_ends_without_touching_the_decision_of_a_person(scene: Scene) -> None:
    assert run_command(scene, "rollback", "--reason", "wrong prices", "--by", "ada").code == 0
    before = scene.production()
    printed = run_command(scene, "refresh")
    assert printed.code == 5, printed.output + printed.errors
    assert_plain(printed)
    assert steps(printed)[-1] == ("!", "production_collection")
    assert printed.lines[0].endswith(", held")
    assert "the candidate passed the gate and waits" in printed.labeled("HELD")
    assert re.search(r", unchanged, held since \S+ by ada: wrong prices$", printed.labeled("production"))
    assert printed.labeled("next") == "rag-assets status"
    assert "resume" not in printed.output, "nobody is reported to undo the decision of a colleague"
    assert scene.production() == before


@pytest.mark.parametrize("both", [True, False], ids=["to both processes", "to the process of the run"])
def test_sigterm_to_the_process_of_the_run_cancels_it_too(
    fresh: Scene, stuck: StuckModel, both: bool
) -> None:
    """As a service manager stops everything that a service has started."""
    process = start_command(fresh, "refresh", **stuck.environment)
    stuck.wait_for_a_request()
    os.kill(child_of(process.pid), signal.SIGTERM)
    if both:
        process.terminate()
    printed = finished(process)
    assert printed.code == 130, printed.output + printed.errors
    assert last_run(fresh)[0].status is dg.DagsterRunStatus.CANCELED


def test_a_signal_before_the_run_leaves_no_run(fresh: Scene) -> None:
    process = start_command(fresh, "refresh")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("refreshing ")
    process.send_signal(signal.SIGINT)
    assert finished(process).code == 130
    with dagster_instance(fresh) as instance:
        assert instance.get_runs() == []


def test_a_killed_process_of_the_run_is_recorded_and_alerted(fresh: Scene, stuck: StuckModel) -> None:
    with SlackReceiver() as slack:
        process = start_command(fresh, "refresh", SLACK_WEBHOOK_URL=slack.url, **stuck.environment)
        stuck.wait_for_a_request()
        os.kill(child_of(process.pid), signal.SIGKILL)
        printed = finished(process)
    assert printed.code == 1
    assert_plain(printed)
    assert "its process was killed by SIGKILL" in printed.labeled("FAILED")
    run, _ = last_run(fresh)
    assert run.status is dg.DagsterRunStatus.FAILURE
    (text,) = slack.texts
    assert "its process was killed by SIGKILL" in text
    assert "its process was killed by SIGKILL" in run_command(fresh, "status").labeled("FAILED")


def test_a_killed_run_knows_what_served_before_it(scene: Scene) -> None:
    before = scene.production()
    process = start_command(scene, "refresh", "--json")
    assert process.stderr is not None
    assert any("raw_documents" in line for line in iter(process.stderr.readline, ""))
    os.kill(child_of(process.pid), signal.SIGKILL)
    result = json.loads(finished(process).output)
    assert result["outcome"] == "failed"
    assert result["production_before"] == result["production"] == before is not None


def test_the_run_is_canceled_if_the_command_itself_is_killed(fresh: Scene, stuck: StuckModel) -> None:
    process = start_command(fresh, "refresh", **stuck.environment)
    stuck.wait_for_a_request()
    process.kill()
    process.wait()
    deadline = time.monotonic() + 180
    while last_run(fresh)[0].status is not dg.DagsterRunStatus.CANCELED:
        assert time.monotonic() < deadline, "the run was not canceled"
        time.sleep(0.2)


def test_a_second_signal_kills_a_run_that_does_not_end(fresh: Scene, stuck: StuckModel) -> None:
    process = start_command(fresh, "refresh", **stuck.environment)
    stuck.wait_for_a_request()
    os.kill(child_of(process.pid), signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)  # two signals at once are one
    process.send_signal(signal.SIGINT)
    printed = finished(process)
    assert printed.code == 130, printed.output + printed.errors
    assert last_run(fresh)[0].status is dg.DagsterRunStatus.CANCELED


def test_a_refresh_waits_for_its_turn_in_the_run_queue(fresh: Scene) -> None:
    with (fresh.home / "dagster.yaml").open("a") as configuration:
        configuration.write("concurrency:\n  runs:\n    max_concurrent_runs: 1\n")
    with dagster_instance(fresh) as instance:
        other = instance.create_run_for_job(job_of_another_project, status=dg.DagsterRunStatus.STARTED)
        process = start_command(fresh, "refresh")
        assert process.stdout is not None
        said = [process.stdout.readline(), process.stdout.readline()]
        assert said[1].startswith("waiting: Dagster's run queue allows 1 run at once; in progress: ")
        assert f"{other.run_id[:8]} (job_of_another_project)" in said[1]
        assert len(instance.get_runs()) == 1
        instance.report_run_canceled(other)
        printed = finished(process)
    assert printed.code == 0, printed.output + printed.errors
    assert fresh.production() is not None


def test_a_refresh_that_could_not_begin_names_production(scene: Scene) -> None:
    before = scene.production()
    printed = run_command(scene, "refresh", "--json", DAGSTER_HOME="not a path")
    assert printed.code == 1, printed.output + printed.errors
    assert printed.json["run_id"] == ""
    assert (printed.json["production_before"], printed.json["production"]) == (before, before)
    assert re.search(
        rf"^production  {before}: \d documents, \d+ chunks, unchanged$", printed.errors, re.MULTILINE
    )
    health = run_command(scene, "status", "--nagios")
    assert health.code == 2, health.output
    assert "DAGSTER_HOME" in health.output


def test_an_instance_that_would_declare_the_run_dead_is_refused(fresh: Scene) -> None:
    with (fresh.home / "dagster.yaml").open("a") as configuration:
        configuration.write(
            "run_monitoring:\n  enabled: true\nrun_launcher:\n"
            "  module: rag_assets_tests.processes.test_refresh_command\n  class: LauncherOfContainers\n"
        )
    printed = run_command(fresh, "refresh", PYTHONPATH=str(Path(__file__).parents[2]))
    assert printed.code == 1
    assert "monitors its runs through LauncherOfContainers" in printed.labeled("FAILED")


def test_an_unusable_instance_is_named(fresh: Scene, tmp_path: Path) -> None:
    absent = run_command(fresh, "refresh", DAGSTER_HOME=str(tmp_path / "absent"))
    assert absent.code == 1
    assert re.search(r"Dagster: .*absent.* is not a directory", absent.labeled("FAILED"))
    (fresh.home / "dagster.yaml").write_text("storage: [\n")
    invalid = run_command(fresh, "refresh")
    assert invalid.code == 1
    assert "dagster.yaml is no valid YAML" in invalid.labeled("FAILED")
    assert_plain(invalid)


@pytest.mark.parametrize(
    "variables",
    [{"RAG_CHUNK_OVERLAP": "many"}, {"DAGSTER_HOME": "not a path"}],
    ids=lambda found: next(iter(found)),
)
def test_a_refresh_that_could_not_begin_rings_once_where_no_one_looks(
    scene: Scene, variables: dict[str, str]
) -> None:
    with SlackReceiver() as slack:
        for _ in range(2):
            printed = run_command(scene, "refresh", SLACK_WEBHOOK_URL=slack.url, **variables)
            assert printed.code == 1
        [text] = slack.texts
        assert "*Refresh failed before its first step*" in text
        assert next(iter(variables)) in text
        assert "run not-" not in text
        assert run_command(scene, "refresh", SLACK_WEBHOOK_URL=slack.url).code == 0
        assert "*Recovered: refreshes work again*" in slack.texts[-1]


def test_a_person_at_a_terminal_sees_why_a_refresh_did_not_begin(scene: Scene) -> None:
    with SlackReceiver() as slack:
        master, terminal = pty.openpty()
        environment = scene.environment(SLACK_WEBHOOK_URL=slack.url, RAG_CHUNK_OVERLAP="many")
        command = [Path(sys.executable).with_name("rag-assets"), "refresh"]
        done = subprocess.run(
            command, cwd=scene.home, env=environment, stdin=terminal, capture_output=True, check=False
        )
        os.close(master)
        os.close(terminal)
    assert done.returncode == 1
    assert b"RAG_CHUNK_OVERLAP" in done.stderr
    assert slack.num_requests == 0


@dg.op
def works() -> None:
    """Do nothing."""


@dg.job
def job_of_another_project() -> None:
    works()


class LauncherOfContainers(DefaultRunLauncher):
    """Asks for the containers of runs, as the launchers for Docker and Kubernetes do."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True
