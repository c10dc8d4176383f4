"""One vector per distinct chunk text, with tokens and cost.

Texts embedded earlier with this model come from the cache: a moved file costs nothing, an edited paragraph costs only
itself. Every vector is checked: finite, not zero, right dimension, right order. A text refused by the model has none.
Parquet in the state folder.
"""

from dataclasses import asdict
from typing import Any

import dagster as dg

from rag_assets.artifacts.consistency import require_fingerprint
from rag_assets.artifacts.rows import embeddings_schema, write_vectors
from rag_assets.defs.asset_step import ASSET_GROUP, OWNERS, asset_step
from rag_assets.defs.assets.chunks import chunks
from rag_assets.defs.metadata.tables import breakdown
from rag_assets.embedding import EmbeddingUsage
from rag_assets.fingerprint import short_hash
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.embedding_estimate import estimated_cost_usd
from rag_assets.refresh.refusals import Refusals, embed_chunks
from rag_assets.refresh.staging_plan import require_current_work


@dg.asset(
    description=__doc__,
    deps=[chunks],
    group_name=ASSET_GROUP,
    owners=OWNERS,
    kinds={"python", "parquet"},
    tags={"stage": "embedding"},
    code_version="1",
)
def embeddings(
    context: dg.AssetExecutionContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> dg.MaterializeResult[Any]:
    with asset_step(context, knowledge_base) as step:
        chunked = step.read("chunks")
        require_fingerprint(chunked, knowledge_base.fingerprint())
        model = knowledge_base.embedder.model
        usage = EmbeddingUsage()

        def before_request() -> None:
            if not step.lease.holds():
                require_current_work(knowledge_base, chunked.header)

        deduped, refusals = step.read("deduped_documents"), Refusals()
        with step.write("embeddings", embeddings_schema(model.dimensions), chunked.header) as (
            writer,
            details,
        ):
            vectors = embed_chunks(
                knowledge_base, chunked, deduped, step.run_id, refusals, usage, before_request
            )
            write_vectors(writer, vectors, model.dimensions)
            details["refusals"] = asdict(refusals)
        return step.materialized(
            data_version=short_hash(
                [model.model, chunked.details["target_hash"], chunked.header.fingerprint_hash]
            ),
            metadata={
                "texts": breakdown("texts", {"cached": usage.num_cached, "embedded": usage.num_embedded}),
                "num_texts": usage.num_texts,
                "num_cached": usage.num_cached,
                "num_embedded": usage.num_embedded,
                "num_refused": len(refusals.texts),
                "num_tokens": usage.tokens,
                "cost_usd": "unknown" if usage.cost_usd is None else usage.cost_usd,
                "cached_tokens": usage.num_tokens_cached,
                "usd_saved": estimated_cost_usd(usage.num_tokens_cached, knowledge_base.embedder),
                "latency": usage.latencies.to_counts() or None,
                "embedding_model": model.model,
                **step.artifact_metadata("embeddings"),
                "refresh_id": chunked.header.refresh_id,
            },
        )
