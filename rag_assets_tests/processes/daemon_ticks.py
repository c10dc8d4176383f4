"""Iterations of Dagster's daemon on the home of a scene, at moved times, in front of a real code server in its own process."""

import contextlib
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self
from unittest.mock import patch

import dagster as dg
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs

from rag_assets_tests.processes.scene import Scene
from rag_assets_tests.slack_receiver import SlackReceiver

_logger = logging.getLogger(__name__)


class DaemonTicks:
    """Schedule, run queue and sensors tick only when asked.

    Args:
        definitions: module of the code location.

    Attributes:
        instance: the Dagster instance of the scene.
    """

    def __init__(
        self,
        scene: Scene,
        slack: SlackReceiver,
        definitions: str = "rag_assets.definitions",
        **environment: str,
    ) -> None:
        self._scene, self._slack, self._definitions = scene, slack, definitions
        self._environment = scene.environment(
            SLACK_WEBHOOK_URL=slack.url, PYTHONPATH=str(Path(__file__).parents[2]), **environment
        )
        self._begun_at = datetime.now(UTC)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(patch.dict(os.environ, self._environment, clear=True))
            stack.enter_context(contextlib.chdir(self._scene.home))
            self.instance = stack.enter_context(dg.DagsterInstance.get())
            target = ModuleTarget(self._definitions, None, str(self._scene.home), "rag_assets")
            self._workspace = stack.enter_context(create_test_daemon_workspace_context(target, self.instance))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def tick(self, hours: float) -> list[str]:
        """Tick once, hours after the begin. Return the messages in Slack."""
        before, now = len(self._slack.texts), self._begun_at + timedelta(hours=hours)
        with freeze_time(now):
            for _ in launch_scheduled_runs(self._workspace, _logger, now, {}):
                pass
            for _ in QueuedRunCoordinatorDaemon(interval_seconds=0).run_iteration(self._workspace):
                pass
            for _ in execute_sensor_iteration(self._workspace, _logger, None, None):
                pass
        return self._slack.texts[before:]
