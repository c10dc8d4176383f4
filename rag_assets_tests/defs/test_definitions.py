"""What the UI offers depends on what is configured."""

from pathlib import Path

import dagster as dg
import pytest

from rag_assets.definitions import build_definitions
from rag_assets.settings import load_settings


def sensors(**settings: object) -> set[str]:
    found = build_definitions(load_settings(**settings)).sensors or ()
    return {sensor.name for sensor in found if sensor.name.startswith("refresh_on_")}


def test_sensors_are_listed_for_configured_sources_only(tmp_path: Path) -> None:
    folder, buckets = "refresh_on_changed_documents", {"refresh_on_new_objects", "refresh_on_object_events"}
    assert sensors(sources=[]) == {folder}
    assert sensors(sources=["s3"]) == buckets
    assert sensors(sources=["postgres"]) == set()
    declared = tmp_path / "sources.yaml"
    declared.write_text(
        "sources: {docs: {kind: filesystem}, bucket: {kind: s3, bucket: b}}", encoding="utf-8"
    )
    assert sensors(sources_file=declared) == {folder, *buckets}
    assert sensors(sources_file=tmp_path / "missing.yaml") == {folder, *buckets}


@pytest.mark.parametrize("name", ["refresh", "rollback", "resume", "approve"])
def test_the_launchpad_lists_no_io_manager(name: str) -> None:
    job = build_definitions(load_settings()).resolve_job_def(name)
    root = job.run_config_schema.config_type
    resources = root.fields["resources"].config_type.fields  # pyright: ignore[reportAttributeAccessIssue]
    assert list(resources) == ["knowledge_base"]


def test_the_io_manager_stores_nothing() -> None:
    manager = (build_definitions(load_settings()).resources or {})["io_manager"]
    with dg.build_resources({"io_manager": manager}) as resources, pytest.raises(NotImplementedError):
        resources.io_manager.handle_output(dg.build_output_context(step_key="chunks"), "text")
