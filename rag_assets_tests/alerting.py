"""Evaluates the sensor of successful runs, as the daemon does after a run."""

import dagster as dg

from rag_assets.defs.sensors import slack_on_degraded_source
from rag_assets_tests.pipeline import Pipeline, Run


def alert_about(pipeline: Pipeline, run: Run) -> None:
    dagster_run = pipeline.instance.get_run_by_id(run.run_id)
    record = pipeline.instance.get_records_for_run(
        run.run_id, of_type=dg.DagsterEventType.RUN_SUCCESS
    ).records[0]
    assert dagster_run is not None
    event = record.event_log_entry.dagster_event
    assert event is not None
    with pipeline.knowledge_base() as knowledge_base:
        context = dg.build_run_status_sensor_context(
            sensor_name=slack_on_degraded_source.name,
            dagster_event=event,
            dagster_instance=pipeline.instance,
            dagster_run=dagster_run,
            resources={"knowledge_base": knowledge_base},
        )
        slack_on_degraded_source(context)
