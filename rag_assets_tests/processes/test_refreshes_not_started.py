"""A schedule whose refreshes never start: real ticks of Dagster's daemon at moved times, in front of a real code server."""

from collections.abc import Iterator

import pytest
import yaml

from rag_assets_tests.processes.daemon_ticks import DaemonTicks
from rag_assets_tests.processes.refresh_process import refresh
from rag_assets_tests.processes.scene import Scene
from rag_assets_tests.slack_receiver import SlackReceiver


@pytest.fixture
def daemon(scene: Scene) -> Iterator[DaemonTicks]:
    """The daemon with automation, and without a way to launch a run."""
    configuration = scene.home / "dagster.yaml"
    kept = yaml.safe_load(configuration.read_text(encoding="utf-8"))
    kept["run_launcher"] = {"module": "dagster._core.test_utils", "class": "ExplodingRunLauncher"}
    configuration.write_text(yaml.safe_dump(kept), encoding="utf-8")
    with SlackReceiver() as slack, DaemonTicks(scene, slack, RAG_AUTO_REFRESH="true") as ticks:
        yield ticks


@pytest.mark.timeout(300)
def test_a_schedule_that_starts_nothing_rings_once_and_at_its_end(scene: Scene, daemon: DaemonTicks) -> None:
    refresh(scene)  # so that no sensor finds a change
    assert daemon.tick(0) == []
    variables = scene.home / ".env"
    variables.write_text("RAG_CHUNK_OVERLAP=many\nRAG_EVAL_THRESHOLD=high\n", encoding="utf-8")
    [failed] = daemon.tick(6.5)
    assert "*Refreshes do not start*" in failed
    assert "`refresh_on_schedule`: RAG_CHUNK_OVERLAP: expected a whole number" in failed
    assert "Production serves `unknown, a setting is malformed`" in failed
    assert daemon.tick(12.5) == [], "the same reason"
    variables.unlink()
    again, unlaunched = daemon.tick(18.5)
    assert "*Recovered: refreshes start again*" in again
    assert "*Refresh failed before its first step*" in unlaunched
    assert "it could not be launched: unexpected NotImplementedError; see the log of the run" in unlaunched
    assert daemon.tick(24.5) == [], "the same reason"
    refresh(scene)
    [recovered] = daemon.tick(24.6)
    assert "*Recovered: refreshes work again*" in recovered
    assert "Ended: Refresh failed before its first step" in recovered
    assert f"Production is unchanged by this run and serves `{scene.production()}`" in recovered
