"""Declarative automation waits for the gate, and only a refresh without an end of its own is started again."""

from collections.abc import Iterator

import dagster as dg
import pytest

from rag_assets.definitions import build_definitions
from rag_assets.defs.automation import follow_upstream
from rag_assets.settings import load_settings

ORDER = (
    "raw_documents",
    "deduped_documents",
    "chunks",
    "embeddings",
    "staging_collection",
    "eval_report",
    "production_collection",
)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(overrides={"run_retries": {"enabled": True, "max_retries": 0}}) as opened:
        yield opened


def report_report(instance: dg.DagsterInstance, *, gate_passed: bool) -> None:
    key = dg.AssetKey("eval_report")
    instance.report_runless_asset_event(dg.AssetMaterialization(key))
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(asset_key=key, check_name="recall_gate", passed=gate_passed)
    )


def test_production_follows_its_report_only_after_a_passed_gate(instance: dg.DagsterInstance) -> None:
    definitions = build_definitions(load_settings())
    production = dg.AssetKey("production_collection")
    for asset in ORDER:
        instance.report_runless_asset_event(dg.AssetMaterialization(asset))
    report_report(instance, gate_passed=False)
    result = dg.evaluate_automation_conditions(definitions, instance)
    report_report(instance, gate_passed=False)
    result = dg.evaluate_automation_conditions(definitions, instance, cursor=result.cursor)
    assert result.get_num_requested(production) == 0
    report_report(instance, gate_passed=True)
    result = dg.evaluate_automation_conditions(definitions, instance, cursor=result.cursor)
    assert result.get_num_requested(production) == 1


def test_automation_is_off_by_default() -> None:
    assert follow_upstream.default_status is dg.DefaultSensorStatus.STOPPED


def will_retry(instance: dg.DagsterInstance, job: str) -> bool:
    definition = build_definitions(load_settings()).resolve_job_def(job)
    run = instance.create_run_for_job(
        definition, status=dg.DagsterRunStatus.STARTED, tags=definition.run_tags
    )
    instance.report_run_failed(run, "its process died")
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    return ended.tags.get("dagster/will_retry") == "true"


def test_a_refresh_whose_process_died_is_started_once_more_and_a_rollback_is_not(
    instance: dg.DagsterInstance,
) -> None:
    assert will_retry(instance, "refresh")
    assert not will_retry(instance, "rollback")
