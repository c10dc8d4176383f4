"""The Dagster code location. Lists every definition, and reads the settings when it is loaded."""

from importlib.util import find_spec
from typing import Any

import dagster as dg

from rag_assets.defs.asset_checks import recall_gate
from rag_assets.defs.assets import ALL_ASSETS
from rag_assets.defs.automation import follow_upstream, with_automation
from rag_assets.defs.code_references import with_code_references
from rag_assets.defs.decisions import approve, resume, rollback
from rag_assets.defs.jobs import refresh
from rag_assets.defs.no_io_manager import NO_IO_MANAGER
from rag_assets.defs.resources import KnowledgeBaseResource
from rag_assets.defs.schedules import schedule_of
from rag_assets.defs.sensors import sensors_for
from rag_assets.environment import read_environment
from rag_assets.errors import ConfigurationError
from rag_assets.secret_values import hide_secrets_in_logs
from rag_assets.settings import Settings, load_settings
from rag_assets.sources.declarations import kinds_of


def build_definitions(settings: Settings) -> dg.Definitions:
    """Assemble the code location.

    Args:
        settings: used only for the executor, the schedule, and the choice of sensors and of the resource. Every run reads all others at its start.

    Raises:
        ConfigurationError: the schedule is invalid.
    """
    return dg.Definitions(
        assets=with_automation(with_code_references(ALL_ASSETS)),
        asset_checks=[recall_gate],
        jobs=[refresh, rollback, resume, approve],
        schedules=[schedule_of(settings)],
        sensors=[*sensors_for(settings), follow_upstream],
        resources={"knowledge_base": _knowledge_base(settings), "io_manager": NO_IO_MANAGER},
        executor=dg.in_process_executor if settings.executor == "in_process" else _one_process_per_step(),
    )


def _knowledge_base(settings: Settings) -> KnowledgeBaseResource:
    """Return the resource. With a bucket among the sources, dagster-aws's `S3Resource` is a part of it.

    Loading dagster-aws and boto3 takes 0.3 s, so other code locations do without.
    """
    try:
        buckets = "s3" in kinds_of(settings.sources, settings.sources_file)
    except ConfigurationError:
        buckets = False  # a refresh reports the error
    if not buckets or find_spec("dagster_aws") is None:
        return KnowledgeBaseResource()
    from rag_assets.defs.aws import knowledge_base_on_aws

    return knowledge_base_on_aws()


def _one_process_per_step() -> dg.ExecutorDefinition:
    """Return Dagster's multiprocess executor, with the same fields in the Launchpad.

    Its processes are forked from a server with this module imported once. Spawned ones import it for each step: eight
    steps took 105 s instead of 25 s on a busy machine.
    """
    executor = dg.multiprocess_executor

    def with_start_method(config: dict[str, Any]) -> dict[str, Any]:
        return {"start_method": {"forkserver": {}}, **config}

    return executor.configured(
        with_start_method, name=executor.name, config_schema=executor.config_schema.as_field()
    )


hide_secrets_in_logs()
# For libraries with variables of their own, such as AWS_PROFILE. Dagster has done it for the working folder only.
read_environment().export()
defs = build_definitions(load_settings())
