"""Evaluates the sensors of alerts, as the daemon does after a run."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from rag_assets.defs.sensors import slack_on_degraded_source
from rag_assets_tests.pipeline import Pipeline, Run


def alert_about(pipeline: Pipeline, run: Run) -> None:
    with sensor_context(
        pipeline, run.run_id, slack_on_degraded_source.name, dg.DagsterEventType.RUN_SUCCESS
    ) as context:
        slack_on_degraded_source(context)


@contextmanager
def sensor_context(
    pipeline: Pipeline, run_id: str, sensor_name: str, event_type: dg.DagsterEventType
) -> Iterator[dg.RunStatusSensorContext]:
    """Yield the context of a sensor that watches the end of a run."""
    dagster_run = pipeline.instance.get_run_by_id(run_id)
    (record,) = pipeline.instance.get_records_for_run(run_id, of_type=event_type).records
    assert dagster_run is not None
    event = record.event_log_entry.dagster_event
    assert event is not None
    with pipeline.knowledge_base() as knowledge_base:
        yield dg.build_run_status_sensor_context(
            sensor_name=sensor_name,
            dagster_event=event,
            dagster_instance=pipeline.instance,
            dagster_run=dagster_run,
            resources={"knowledge_base": knowledge_base},
        )
