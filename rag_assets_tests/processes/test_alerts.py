"""A daemon on the same Dagster home sends one message for a failed refresh, one for its end, and none for a superseded one."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from rag_assets.cli.exit_codes import ExitCode
from rag_assets_tests.processes.kill_points import presume_others_dead
from rag_assets_tests.processes.refresh_command import run_command
from rag_assets_tests.processes.refresh_process import RefreshProcess, StoppedRefresh
from rag_assets_tests.processes.scene import Scene, dagster_instance
from rag_assets_tests.slack_receiver import SlackReceiver

SENSOR = "slack_alerts"
API_KEY = "sk-a-key-to-keep-secret"


def wait_until(happened: Callable[[], bool], what: str, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:.0f} s"
        time.sleep(0.2)


class Daemon:
    """`dagster-daemon run` in a Dagster home."""

    def __init__(self, scene: Scene, **environment: str) -> None:
        self._scene = scene
        self._log = (scene.home / "daemon.log").open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            [Path(sys.executable).with_name("dagster-daemon"), "run", "-m", "rag_assets.definitions"],
            cwd=scene.home,
            env=scene.environment(**environment),
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def num_ticks(self, instance: dg.DagsterInstance) -> int:
        """Number of finished ticks of the alerting sensor."""
        assert self._process.poll() is None, (self._scene.home / "daemon.log").read_text(encoding="utf-8")
        states = [state for state in instance.all_instigator_state() if state.name == SENSOR]
        ticks = [
            tick
            for state in states
            for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id)
        ]
        assert not [tick.error for tick in ticks if tick.error]
        return sum(tick.status is not dg_tick_started() for tick in ticks)

    def wait_for_ticks(self, instance: dg.DagsterInstance, count: int) -> None:
        before = self.num_ticks(instance)
        wait_until(lambda: self.num_ticks(instance) >= before + count, "a tick of the sensor")


def dg_tick_started() -> object:
    from dagster._core.scheduler.instigation import TickStatus

    return TickStatus.STARTED


@pytest.fixture
def slack() -> Iterator[SlackReceiver]:
    with SlackReceiver() as receiver:
        yield receiver


@pytest.fixture
def daemon(scene: Scene, slack: SlackReceiver) -> Iterator[Daemon]:
    running = Daemon(scene, SLACK_WEBHOOK_URL=slack.url, OPENAI_API_KEY=API_KEY)
    yield running
    running.stop()


def export(scene: Scene) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "rag_assets.cli.main", "export", "--vectors"],
        cwd=scene.home,
        env=scene.environment(),
        capture_output=True,
        check=True,
    )
    return done.stdout


def generations(scene: Scene) -> set[str]:
    return {path.name for path in scene.state_dir.glob("vector_store/*/generations/*")}


@pytest.fixture
def instance(scene: Scene) -> Iterator[dg.DagsterInstance]:
    """The Dagster home of the scene, opened once: each opening reads all migrations of Dagster."""
    with dagster_instance(scene) as opened:
        yield opened


def failed_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Return the failed runs, latest first."""
    return list(instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])))


@pytest.mark.timeout(480)
def test_a_failed_gate_sends_one_alert_and_a_superseded_refresh_none(
    scene: Scene, instance: dg.DagsterInstance, daemon: Daemon, slack: SlackReceiver
) -> None:
    exported, kept = export(scene), generations(scene)
    # The sensor ignores runs that ended before its first tick.
    wait_until(lambda: daemon.num_ticks(instance) > 0, "the first tick of the sensor")

    printed = run_command(scene, "refresh", RAG_EVAL_THRESHOLD="0.999", OPENAI_API_KEY=API_KEY)
    output = printed.output + printed.errors
    assert printed.code == ExitCode.BLOCKED, output
    assert "posted" not in output, "the daemon posts"
    (failed,) = failed_runs(instance)
    assert failed.remote_job_origin is not None
    # The code location of the daemon, so that the UI shows the run below its job.
    assert failed.remote_job_origin.repository_origin.get_label() == "__repository__@rag_assets.definitions"
    steps = {stats.step_key: stats.status.value for stats in instance.get_run_step_stats(failed.run_id)}
    assert steps["eval_report_recall_gate"] == "FAILURE"
    assert "production_collection" not in steps
    assert export(scene) == exported
    assert generations(scene) == kept, "the failed candidate was not discarded"

    with StoppedRefresh(scene, "before the promotion") as stopped:
        other = RefreshProcess(scene, presume_others_dead)
        assert other.wait() == 0, other.log()
        assert stopped.resume() == 1
    superseded = failed_runs(instance)[0]
    job_of_another_project.execute_in_process(instance=instance, raise_on_error=False)
    foreign = failed_runs(instance)[0]
    assert len({failed.run_id, superseded.run_id, foreign.run_id}) == 3

    # The tick under way may have looked before the last run.
    daemon.wait_for_ticks(instance, 2)
    # The refresh in between went live.
    text, recovered = slack.texts
    assert "Recovered: refreshes work again" in recovered
    assert failed.run_id[:8] in text
    assert "eval_report_recall_gate" in text
    assert re.search(r"Recall@5 0\.800 ± \d\.\d+ over 5 questions .* is below the threshold 0\.999", text), (
        text
    )
    assert f"`{scene.production()}`" in text
    for secret in (slack.url, "secret-of-the-webhook", API_KEY):
        assert secret not in text
    for word in ("euros", "barrier", "asks the parking desk"):
        assert word not in text, "no document text"
    logs = (scene.home / "daemon.log").read_text(encoding="utf-8") + output
    for secret in ("secret-of-the-webhook", API_KEY):
        assert secret not in logs


@dg.op
def fails() -> None:
    raise ValueError("not a refresh")


@dg.job
def job_of_another_project() -> None:
    fails()
