"""The job of a complete refresh. Those of people's decisions are in `decisions`."""

import dagster as dg

from rag_assets.defs.asset_step import ASSET_GROUP

REFRESH_JOB = "refresh"

refresh = dg.define_asset_job(
    REFRESH_JOB,
    selection=dg.AssetSelection.groups(ASSET_GROUP),
    # For a run whose process died, where `run_retries` of dagster.yaml is on. Steps retry what is transient by themselves, and a
    # verdict stays one.
    tags={"dagster/max_retries": "1", "dagster/retry_on_asset_or_op_failure": "false"},
    description="Reads all sources, embeds the changes, builds and evaluates a candidate, and promotes it if the gate "
    "passes. Same as *Materialize all* in the lineage. To change settings for one run, use the arrow beside the button "
    "and *Open launchpad*.",
)
