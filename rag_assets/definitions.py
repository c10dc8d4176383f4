"""The Dagster code location. Lists every definition, and reads the settings when it is loaded."""

import dagster as dg

from rag_assets.defs.asset_checks import recall_gate
from rag_assets.defs.assets import ALL_ASSETS
from rag_assets.defs.jobs import refresh, rollback
from rag_assets.defs.resources import KnowledgeBaseResource
from rag_assets.defs.schedules import refresh_every_six_hours
from rag_assets.defs.sensors import ALL_SENSORS
from rag_assets.settings import Settings, load_settings


def build_definitions(settings: Settings) -> dg.Definitions:
    """Assemble the code location.

    Args:
        settings: used only for the executor. Every run reads all others at its start.
    """
    return dg.Definitions(
        assets=ALL_ASSETS,
        asset_checks=[recall_gate],
        jobs=[refresh, rollback],
        schedules=[refresh_every_six_hours],
        sensors=ALL_SENSORS,
        resources={"knowledge_base": KnowledgeBaseResource()},
        executor=dg.in_process_executor if settings.executor == "in_process" else dg.multiprocess_executor,
    )


defs = build_definitions(load_settings())
