"""Sensors ask again soon after a failed refresh, later after each further one, and not at all soon after a verdict."""

from collections.abc import Iterator

import dagster as dg
import pytest

from rag_assets.defs.run_tags import OUTCOME_TAG
from rag_assets.defs.sensors import watching


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as opened:
        yield opened


@dg.job
def refresh() -> None:
    """Stands for the job of this name."""


def end_run(instance: dg.DagsterInstance, outcome: str | None, *, succeeded: bool = False) -> str:
    tags = {OUTCOME_TAG: outcome} if outcome else {}
    run = instance.create_run_for_job(refresh, status=dg.DagsterRunStatus.STARTED, tags=tags)
    if succeeded:
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_SUCCESS", refresh.name), run.run_id)
    else:
        instance.report_run_failed(run, "it failed")
    return run.run_id


def turn_after(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, minutes: float) -> str:
    """Return the suffix of the turn so many minutes from now."""
    monkeypatch.setattr(watching, "_period", lambda: 7)
    now = watching.time.time()
    with monkeypatch.context() as patched:
        patched.setattr(watching.time, "time", lambda: now + minutes * 60)
        return watching._turn(instance).removeprefix("7")


@pytest.mark.parametrize("outcome", ["failed", "died", None])
def test_a_failed_refresh_is_asked_for_again_soon(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, outcome: str | None
) -> None:
    assert turn_after(instance, monkeypatch, 0) == ""
    first = end_run(instance, outcome)
    assert turn_after(instance, monkeypatch, 4) == ""
    assert turn_after(instance, monkeypatch, 6) == f"-after-{first[:8]}"
    second = end_run(instance, outcome)
    assert turn_after(instance, monkeypatch, 6) == "", "twice as long"
    assert turn_after(instance, monkeypatch, 11) == f"-after-{second[:8]}"


@pytest.mark.parametrize("outcome", ["blocked", "refused", "superseded"])
def test_a_verdict_is_not_asked_for_again_soon(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    end_run(instance, "failed")
    end_run(instance, outcome)
    assert turn_after(instance, monkeypatch, 60) == ""
