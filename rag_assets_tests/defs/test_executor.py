"""The executor with one process per step."""

from typing import Any

import dagster as dg

from rag_assets.definitions import build_definitions
from rag_assets.settings import load_settings


def resolved(**config: Any) -> dict[str, Any]:
    """Return the configuration of the executor for these fields of the Launchpad."""
    job = build_definitions(load_settings(executor="multiprocess")).resolve_job_def("refresh")
    checked: Any = dg.validate_run_config(job, {"execution": {"config": config}})
    return checked["execution"]["multiprocess"]


def test_step_processes_are_forked_from_a_server() -> None:
    assert resolved()["start_method"] == {"forkserver": {}}


def test_the_launchpad_still_configures_the_executor() -> None:
    found = resolved(start_method={"spawn": {}}, max_concurrent=2)
    assert (found["start_method"], found["max_concurrent"]) == ({"spawn": {}}, 2)
