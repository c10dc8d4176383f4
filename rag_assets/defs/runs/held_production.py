"""Keeps production fresh in the eyes of Dagster while a person holds it: no refresh is to come then."""

import time
from contextlib import suppress

import dagster as dg

from rag_assets.defs.assets import production_collection
from rag_assets.defs.metadata.generations import held_metadata
from rag_assets.errors import RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase

_EVERY_SECONDS = 6 * 3600.0


def keep_fresh_while_held(instance: dg.DagsterInstance, knowledge_base: KnowledgeBase) -> None:
    """Report production as held by a person, every six hours. Schedule and sensors skip meanwhile."""
    with suppress(RagAssetsError):
        state = knowledge_base.vector_store.production_state()
        manifest = knowledge_base.production_manifest() if state.hold is not None else None
        if manifest is None:
            return
        last = instance.get_latest_materialization_event(production_collection.key)
        if last is None or time.time() - last.timestamp >= _EVERY_SECONDS:
            tags = {"dagster/data_version": manifest.digest}
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    production_collection.key, metadata=held_metadata(manifest, state), tags=tags
                )
            )
