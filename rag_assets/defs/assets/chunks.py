"""Token-bounded, overlapping chunks of all contents new to production.

One row per chunk: exact text with its offsets, position, token count and heading path. Empty if there is no new content.
A change of model, chunk size or chunker puts all contents here. Text resembling instructions to a language model is
flagged, and still served. Parquet in the state folder.
"""

from collections import Counter
from typing import Any

import dagster as dg

from rag_assets.artifacts.consistency import require_fingerprint
from rag_assets.artifacts.rows import chunk_row, chunks_schema
from rag_assets.chunking import chunk_contents
from rag_assets.defs.asset_step import ASSET_GROUP, OWNERS, asset_step
from rag_assets.defs.assets.deduped_documents import deduped_documents
from rag_assets.defs.metadata.chunks import flagged_table
from rag_assets.fingerprint import short_hash
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.embedding_estimate import estimated_cost_usd
from rag_assets.refresh.staging_plan import plan_staging


@dg.asset(
    description=__doc__,
    deps=[deduped_documents],
    group_name=ASSET_GROUP,
    owners=OWNERS,
    kinds={"python", "parquet"},
    tags={"stage": "embedding"},
    code_version="1",
)
def chunks(
    context: dg.AssetExecutionContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> dg.MaterializeResult[Any]:
    with asset_step(context, knowledge_base) as step:
        deduped = step.read("deduped_documents")
        require_fingerprint(deduped, knowledge_base.fingerprint())
        plan = plan_staging(knowledge_base, deduped, step.run_id)
        num_tokens = 0
        flagged: Counter[str] = Counter()
        with step.write("chunks", chunks_schema(), deduped.header) as (writer, details):
            new_contents = [change.content_hash for change in plan.changes if not change.was_held]
            for chunk in chunk_contents(new_contents, plan.text_of, knowledge_base.chunker):
                writer.write(chunk_row(chunk))
                num_tokens += chunk.token_count
                if chunk.flags:
                    flagged[chunk.content_hash] += 1
            details["num_chunks"] = writer.num_rows
        cost_usd = estimated_cost_usd(num_tokens, knowledge_base.embedder)
        return step.materialized(
            data_version=short_hash([deduped.details["target_hash"], deduped.header.fingerprint_hash]),
            metadata={
                "num_contents": len(new_contents),
                "num_chunks": writer.num_rows,
                "num_tokens": num_tokens,
                "estimated_cost_usd": "unknown" if cost_usd is None else cost_usd,
                "num_flagged_chunks": flagged.total(),
                "flagged": flagged_table(flagged, plan.changes),
                **step.artifact_metadata("chunks"),
                "refresh_id": deduped.header.refresh_id,
            },
        )
