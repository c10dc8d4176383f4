"""The limits of the instance on concurrent runs, for a run that executes itself and is not launched from the queue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.storage.dagster_run import ACTIVE_RUN_STATUSES
from dagster._utils.tags import TagConcurrencyLimitsCounter

from rag_assets.errors import ConfigurationError
from rag_assets.text.wording import counted

_RUNS_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Tagged:
    tags: Mapping[str, str]


def reason_to_wait(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> str:
    """Return why a run with these tags may not begin now, or "".

    The queue counts a run of this process as any other, from its start on.
    """
    config = instance.get_concurrency_config().run_queue_config
    if config is None:
        return ""
    runs = instance.get_runs(dg.RunsFilter(statuses=ACTIVE_RUN_STATUSES))
    most = config.max_concurrent_runs
    if most != -1 and len(runs) >= most:
        return f"Dagster's run queue allows {counted(most, 'run')} at once; in progress: {_named(runs)}"
    counter = TagConcurrencyLimitsCounter(config.tag_concurrency_limits, runs)
    candidate: Any = _Tagged(tags)
    if counter.is_blocked(candidate):
        return f"Dagster's run queue limits runs with these tags; in progress: {_named(runs)}"
    return ""


def require_own_process(instance: dg.DagsterInstance) -> None:
    """Refuse an instance that would declare a run of this process dead.

    Raises:
        ConfigurationError: its run monitoring asks the launcher, and the launcher knows nothing of this run.
    """
    launcher = instance.run_launcher
    if instance.run_monitoring_enabled and launcher.supports_check_run_worker_health:
        raise ConfigurationError(
            f"this Dagster instance monitors its runs through {type(launcher).__name__}, which would mark a run of this "
            "command as failed: start the job `refresh` in the Dagster UI, or turn off run_monitoring in dagster.yaml"
        )


def _named(runs: Sequence[dg.DagsterRun]) -> str:
    named = [f"{run.run_id[:8]} ({run.job_name})" for run in runs[:_RUNS_NAMED]]
    more = len(runs) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")
