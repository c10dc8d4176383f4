"""A complete candidate beside production: production with the change set applied.

Points of unchanged contents are copied without embedding. A move updates only the stored location. Deleted contents are
absent. A document with a text refused by the model is quarantined: its last good version stays. The candidate is sealed with its point count and digest, then compared with the store. Without changes nothing
is written, and production itself is the candidate. Leftover candidates of dead refreshes are removed first. A
generation in the vector store.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from rag_assets.artifacts.consistency import require_fingerprint, require_same_refresh
from rag_assets.artifacts.rows import change_row, document_row, documents_schema
from rag_assets.defs.asset_step import ASSET_GROUP, OWNERS, asset_step
from rag_assets.defs.assets.embeddings import embeddings
from rag_assets.defs.metadata.documents import refused_metadata
from rag_assets.defs.metadata.generations import short_digest, staging_metadata
from rag_assets.defs.warning_checks import NOTHING_REFUSED, nothing_refused
from rag_assets.generations.retention import sweep
from rag_assets.generations.staging import StagedGeneration, Staging
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.embedding_estimate import estimated_cost_usd
from rag_assets.refresh.model_check import verified_probe
from rag_assets.refresh.refusals import plan_around, refusals_of, staged_chunks


@dg.multi_asset(
    name="staging_collection",
    # Not `dg.asset`: a job without checks could not select it.
    specs=[
        dg.AssetSpec(
            "staging_collection",
            description=__doc__,
            deps=[embeddings],
            group_name=ASSET_GROUP,
            owners=OWNERS,
            kinds={"python", "qdrant"},
            tags={"stage": "serving"},
            code_version="1",
        )
    ],
    check_specs=[NOTHING_REFUSED],
    can_subset=True,
)
def staging_collection(
    context: dg.AssetExecutionContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> Iterator[dg.MaterializeResult[Any]]:
    with asset_step(context, knowledge_base) as step:
        deduped, chunked, embedded = (
            step.read(name) for name in ("deduped_documents", "chunks", "embeddings")
        )
        header = require_same_refresh([deduped, chunked, embedded])
        require_fingerprint(deduped, knowledge_base.fingerprint())
        refusals = refusals_of(embedded)
        plan, settled = plan_around(knowledge_base, deduped, step.run_id, refusals)
        swept = sweep(knowledge_base.vector_store, ())
        if plan.base is not None and not plan.changes:
            staged = StagedGeneration(plan.base, written=False)
            for field in knowledge_base.vector_store.add_missing_indexes(plan.base.generation):
                context.log.info("created the index of %s in generation %s", field, plan.base.generation)
        else:
            staging = Staging(
                knowledge_base.vector_store,
                generation=f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{step.run_id[:8]}",
                refresh_id=header.refresh_id,
                fingerprint=header.fingerprint,
                fingerprint_hash=header.fingerprint_hash,
                base=plan.base,
                expected_production=header.base,
                encode_sparse=knowledge_base.bm25.encode_document,
                run_id=step.run_id,
                probe=verified_probe(knowledge_base),
                deletions=deduped.details.get("deletions", ""),
            )
            staged = staging.run(
                plan.changes,
                staged_chunks(knowledge_base, plan, chunked, embedded, refusals),
                documents=plan.documents,
                total_chunks=chunked.details["num_chunks"],
            )
        manifest = staged.manifest
        with step.write("staging_collection", documents_schema(), header) as (writer, details):
            for state in plan.documents:
                writer.write(document_row(state))
            details["generation"] = manifest.generation
            details["digest"] = manifest.digest
            details["approvals"] = deduped.details.get("approvals", [])
            details["approved_deletions"] = deduped.details.get("approved_deletions", [])
            details["settled"] = [change_row(change) for change in settled]
        result = step.materialized(
            data_version=manifest.digest,
            metadata={
                **staging_metadata(staged),
                "usd_saved": estimated_cost_usd(staged.num_tokens_kept or 0, knowledge_base.embedder),
                **refused_metadata(settled),
                "num_generations_swept": len(swept),
                "generation": manifest.generation,
                "base_generation": header.base or "none",
                **step.artifact_metadata("staging_collection"),
                "digest": short_digest(manifest.digest),
                "refresh_id": header.refresh_id,
            },
            check_results=[nothing_refused(settled)],
        )
    yield result
