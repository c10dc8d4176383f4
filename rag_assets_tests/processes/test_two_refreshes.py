"""Two simultaneous refreshes: one promotes, the other waits or is superseded, and the result is the same."""

import dagster as dg
import pytest

from rag_assets.definitions import build_definitions
from rag_assets.refresh.outcome import OUTCOME_KEY, Outcome
from rag_assets.settings import load_settings
from rag_assets_tests.processes.conftest import Story
from rag_assets_tests.processes.kill_points import presume_others_dead
from rag_assets_tests.processes.reader import Reader
from rag_assets_tests.processes.refresh_process import RefreshProcess, StoppedRefresh
from rag_assets_tests.processes.scene import Scene, assert_same_end, dagster_instance, materialize


def outcomes_of_failures(scene: Scene) -> list[str]:
    """Return the recorded outcomes of the failed steps of all runs."""
    with dagster_instance(scene) as instance:
        return [
            str(
                record.event_log_entry.get_dagster_event()
                .step_failure_data.user_failure_data.metadata[OUTCOME_KEY]
                .value
            )
            for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
            for record in instance.get_records_for_run(
                run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE
            ).records
        ]


def outcomes(scene: Scene) -> list[str]:
    """Return the outcome of each materialization of `production_collection`, latest first."""
    with dagster_instance(scene) as instance:
        records = instance.fetch_materializations(dg.AssetKey("production_collection"), limit=10).records
        return [str(record.asset_materialization.metadata[OUTCOME_KEY].value) for record in records]


def test_two_refreshes_started_together_promote_once(scene: Scene, story: Story) -> None:
    before = len(outcomes(scene))
    with Reader(scene) as reader:
        both = [materialize(scene) for _ in range(2)]
        outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sorted(outcomes(scene)[: -before or None]) == [Outcome.LIVE, Outcome.UNCHANGED]
    assert reader.problem == ""
    assert reader.answers == [story.old_answer, story.new_answer]
    assert_same_end(scene, story.after)


def lease_owner(scene: Scene) -> str | None:
    knowledge_base = scene.knowledge_base()
    try:
        holder = knowledge_base.ledger.lease_holder()
        return holder.owner if holder else None
    finally:
        knowledge_base.close()


@pytest.mark.parametrize(
    "point",
    [
        "at the start of chunks",
        "in the middle of staging",
        "at the start of eval_report",
        "before the promotion",
    ],
)
def test_a_refresh_presumed_dead_is_superseded(point: str, scene: Scene, story: Story) -> None:
    with Reader(scene) as reader, StoppedRefresh(scene, point) as stopped:
        other = RefreshProcess(scene, presume_others_dead)
        assert other.wait() == 0, other.log()
        assert stopped.resume() == 1
    assert set(outcomes_of_failures(scene)) == {Outcome.SUPERSEDED}
    assert reader.problem == ""
    assert reader.answers == [story.old_answer, story.new_answer]
    assert_same_end(scene, story.after)


def test_schedule_and_sensor_ticks_are_skipped_during_a_refresh(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scene.home)
    for name, value in scene.environment().items():
        monkeypatch.setenv(name, value)
    definitions = build_definitions(load_settings())
    repository = definitions.get_repository_def()
    schedule = repository.get_schedule_def("refresh_on_schedule")
    sensor = repository.get_sensor_def("refresh_on_changed_documents")

    def tick() -> tuple[object, object]:
        with dagster_instance(scene) as instance:
            with dg.build_schedule_context(instance, resources=definitions.resources) as context:
                of_schedule = schedule.evaluate_tick(context)
            with dg.build_sensor_context(instance, resources=definitions.resources) as context:
                of_sensor = sensor.evaluate_tick(context)
        return of_schedule, of_sensor

    with StoppedRefresh(scene, "at the start of embeddings") as stopped:
        with dagster_instance(scene) as instance:
            (run,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        for skipped in tick():
            assert not skipped.run_requests
            assert f"another refresh is running: run {run.run_id}" in skipped.skip_message
        assert stopped.resume() == 0
    new = scene.documents / "new.md"
    try:
        new.write_text("# New\n", encoding="utf-8")
        for asked in tick():
            assert len(asked.run_requests or ()) == 1, asked.skip_message
    finally:
        new.unlink()


def test_a_refresh_works_with_one_process_per_step(scene: Scene, story: Story) -> None:
    with Reader(scene) as reader:
        process = materialize(scene, RAG_EXECUTOR="multiprocess")
        output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    with dagster_instance(scene) as instance:
        run = instance.get_runs(limit=1)[0]
        started = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_WORKER_STARTED)
    assert len(started.records) == 8
    assert lease_owner(scene) is None, "the next refresh need not wait"
    assert reader.problem == ""
    assert reader.answers == [story.old_answer, story.new_answer]
    assert_same_end(scene, story.after)
