"""Runs with a dead, a paused and a waiting process, in front of the sensor in a real code server. Ten minutes are shortened to one tick."""

import itertools
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from rag_assets_tests.processes.daemon_ticks import DaemonTicks
from rag_assets_tests.processes.kill_points import kill_at
from rag_assets_tests.processes.refresh_command import stuck_model
from rag_assets_tests.processes.refresh_process import RefreshProcess, StoppedRefresh
from rag_assets_tests.processes.scene import Scene, new_scene
from rag_assets_tests.slack_receiver import SlackReceiver
from rag_assets_tests.tracking.conftest import ask

POOL = "model"
_MINUTE = 1 / 60


def in_a_pool(point: str = "") -> None:
    """In the process of a run: its embeddings need a slot of a pool. Perhaps it dies at a point."""
    from rag_assets.defs.assets import embeddings

    embeddings.op._pool = POOL
    if point:
        kill_at(point)


class Watch:
    """The sensor, minute after minute, and what Dagster has of the runs."""

    def __init__(self, ticks: DaemonTicks) -> None:
        self._ticks, self._minutes = ticks, itertools.count()
        self.instance = ticks.instance

    def minute(self) -> list[str]:
        return self._ticks.tick(next(self._minutes) * 1.5 * _MINUTE)

    def statuses(self) -> list[dg.DagsterRunStatus]:
        """Return the status of each run, the latest first."""
        return [run.status for run in self.instance.get_runs()]

    def runs_in_pool(self) -> set[str]:
        return self.instance.event_log_storage.get_concurrency_info(POOL).active_run_ids


@contextmanager
def watching(scene: Scene, expired_after_seconds: float = 60) -> Iterator[Watch]:
    """Watch a scene.

    Args:
        expired_after_seconds: time of a lease without renewal. That of a process that is gone expires at once.
    """
    module, seconds = "rag_assets_tests.processes.impatient_definitions", str(expired_after_seconds)
    with (
        SlackReceiver() as slack,
        DaemonTicks(scene, slack, module, EXPIRED_AFTER_SECONDS=seconds) as ticks,
    ):
        ticks.instance.event_log_storage.set_concurrency_slots(POOL, 1)
        watch = Watch(ticks)
        assert watch.minute() == []
        yield watch


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seen_by", ["the sensor", "the code server"])
def test_a_killed_run_is_reported_once_and_its_slot_is_free(scene: Scene, seen_by: str) -> None:
    with watching(scene) as watch:
        killed = RefreshProcess(scene, in_a_pool, ("at the start of embeddings",))
        assert killed.wait() == -signal.SIGKILL, killed.log()
        [run, *_] = watch.instance.get_runs()
        assert run.status is dg.DagsterRunStatus.STARTED
        assert watch.runs_in_pool() == {run.run_id}
        if seen_by == "the code server":  # as it does for the processes that it started
            crash = (
                f"Run execution process for {run.run_id} was terminated by signal 9 (SIGKILL). This usually"
            )
            watch.instance.report_engine_event(crash, run)
            watch.instance.report_run_failed(run)
        else:
            assert watch.minute() == []  # the lease may come back
        [text] = watch.minute()
        assert "*Refresh died: its process is gone*" in text
        assert "`embeddings`: " in text
        assert ("terminated by signal 9 (SIGKILL)" in text) is (seen_by == "the code server")
        assert run.run_id[:8] in text
        assert watch.statuses()[0] is dg.DagsterRunStatus.FAILURE
        assert watch.runs_in_pool() == set()
        assert watch.minute() == []

        following = RefreshProcess(scene, in_a_pool)
        assert following.wait() == 0, following.log()
        [recovered] = watch.minute()
        assert "*Recovered: refreshes work again*" in recovered
        assert watch.minute() == []


@pytest.mark.timeout(400)
def test_a_paused_run_taken_for_dead_that_comes_back_is_reported_too(scene: Scene) -> None:
    with watching(scene, expired_after_seconds=0.5) as watch:
        with StoppedRefresh(scene, "at the start of embeddings") as stopped:
            time.sleep(0.6)  # longer than its lease
            assert watch.minute() == []
            [died] = watch.minute()
            assert "*Refresh died: its process is gone*" in died
            assert watch.statuses()[0] is dg.DagsterRunStatus.FAILURE
            assert stopped.resume() == 0
        assert watch.statuses()[0] is dg.DagsterRunStatus.SUCCESS
        [recovered] = watch.minute()
        assert "*Recovered: refreshes work again*" in recovered
        assert f"Production now serves `{scene.production()}`" in recovered
        assert watch.minute() == []
    [row, *_] = ask(
        scene.state_dir / "metadata.sqlite", "SELECT outcome FROM rag_refreshes ORDER BY started_at DESC"
    )
    assert row["outcome"] == "live"


@pytest.mark.timeout(400)
def test_a_run_that_waits_for_the_lease_is_not_dead(tmp_path: Path) -> None:
    scene = new_scene(tmp_path)
    with watching(scene) as watch, stuck_model() as stuck:
        working = RefreshProcess(scene, environment=stuck.environment)
        stuck.wait_for_a_request()
        waiting = RefreshProcess(scene, environment=stuck.environment)
        while "waiting for the refresh of run" not in waiting.log():
            assert waiting.process.is_alive(), waiting.log()
            time.sleep(0.1)
        assert [watch.minute() for _ in range(3)] == [[], [], []]
        assert watch.statuses() == [dg.DagsterRunStatus.STARTED] * 2
        stuck.release()
        assert working.wait() == 0, working.log()
        assert waiting.wait() == 0, waiting.log()
        [text] = watch.minute()
    assert "*A new generation is live*" in text
