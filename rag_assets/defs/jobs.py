"""The two jobs: a complete refresh, and a rollback."""

import dagster as dg

from rag_assets.defs.asset_step import ASSET_GROUP
from rag_assets.defs.assets import production_collection
from rag_assets.defs.metadata.generations import rollback_metadata
from rag_assets.defs.run_log import logged_in_run
from rag_assets.errors import RagAssetsError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.promotion import roll_back

REFRESH_JOB = "refresh"

refresh = dg.define_asset_job(
    REFRESH_JOB,
    selection=dg.AssetSelection.groups(ASSET_GROUP),
    description="Reads all sources, embeds the changes, builds and evaluates a candidate, and promotes it if the gate "
    "passes. Same as *Materialize all* in the lineage. To change settings for one run, use the arrow beside the button "
    "and *Open launchpad*.",
)


@dg.op(description="Puts the previous generation back into production and holds it there.")
def roll_back_production(
    context: dg.OpExecutionContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> None:
    try:
        with logged_in_run(context.log, context.instance):
            state = roll_back(knowledge_base.vector_store)
            manifest = knowledge_base.production_manifest()
    except RagAssetsError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    # Otherwise the page of the asset would still name the generation taken out of service.
    if manifest is not None:
        context.log_event(
            dg.AssetMaterialization(
                production_collection.key,
                metadata=rollback_metadata(manifest, state),
                tags={"dagster/data_version": manifest.digest},
            )
        )
    context.log.info(
        "rolled back to %s and held there; %s stays out of service until `rag-assets resume`",
        state.production,
        state.held,
    )


@dg.job(
    description="Returns production to the previous generation within seconds, and holds it there until "
    "`rag-assets resume`. Refreshes in the meantime promote nothing. Needs no configuration: press *Launch Run*."
)
def rollback() -> None:
    roll_back_production()
