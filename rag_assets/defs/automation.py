"""Declarative automation: an asset follows the ones above it. Stopped by default, beside schedule and sensors of sources.

It is for people who materialize single assets. `production_collection` waits until the gate has passed.
"""

from collections.abc import Iterable

import dagster as dg

from rag_assets.defs.asset_step import ASSET_GROUP

_CONDITION = dg.AutomationCondition.eager() & dg.AutomationCondition.all_deps_blocking_checks_passed()

follow_upstream = dg.AutomationConditionSensorDefinition(
    "follow_upstream",
    target=dg.AssetSelection.groups(ASSET_GROUP),
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Materializes an asset after the ones above it, and production_collection only after a passed gate. Not needed for "
    "the schedule and the sensors of sources: they refresh everything.",
)


def with_automation(assets: Iterable[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Let every asset follow, except the first one: it has nothing above."""

    def following(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(automation_condition=_CONDITION) if list(spec.deps) else spec

    return list(dg.map_asset_specs(following, assets))
