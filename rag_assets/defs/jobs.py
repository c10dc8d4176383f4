"""The jobs: a whole refresh, and the way back."""

import dagster as dg

from rag_assets.defs.asset_step import ASSET_GROUP
from rag_assets.defs.assets import production_collection
from rag_assets.defs.metadata.generations import rollback_metadata
from rag_assets.errors import RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase

REFRESH_JOB = "refresh"

refresh = dg.define_asset_job(
    REFRESH_JOB,
    selection=dg.AssetSelection.groups(ASSET_GROUP),
    description="Read all sources, embed what changed, stage, evaluate, and promote if the gate passes: what *Materialize "
    "all* does in the lineage. Settings for one run: the arrow beside it, *Open launchpad*.",
)


@dg.op(description="Put the previous generation back into production and hold it there.")
def roll_back_production(
    context: dg.OpExecutionContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> None:
    store = knowledge_base.vector_store
    try:
        state = store.rollback(store.production_state().production)
        manifest = knowledge_base.production_manifest()
    except RagAssetsError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    # The page of the asset would otherwise go on naming the generation that was taken out of service.
    if manifest is not None:
        context.log_event(
            dg.AssetMaterialization(
                production_collection.key,
                metadata=rollback_metadata(manifest, state),
                tags={"dagster/data_version": manifest.digest},
            )
        )
    context.log.info(
        "production is %s again and held there; %s is out of service until `rag-assets resume`",
        state.production,
        state.held,
    )


@dg.job(
    description="Back to the previous generation, in seconds; held there until `rag-assets resume`, whatever refreshes "
    "run meanwhile. Needs no configuration: *Launch Run*."
)
def rollback() -> None:
    roll_back_production()
