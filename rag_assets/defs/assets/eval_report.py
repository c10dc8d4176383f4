"""Retrieval quality of the candidate and of production, on the same benchmark questions.

The blocking check `recall_gate` judges it. Means over all questions, from 0 to 1, on distinct documents:

- `recall_at_5`: share of the expected documents among the first five found. The gate uses this one.
- `mrr`: 1 / rank of the first expected document. First is 1, second is 0.5.
- `ndcg_at_10`: closeness of all expected documents to the top.

A report belongs to one candidate, by its digest, and to one configuration. The vector store keeps the digest of the
report, so that no edited report passes. Parquet in the state folder.
"""

from dataclasses import asdict
from typing import Any

import dagster as dg

from rag_assets.artifacts.consistency import require_fingerprint
from rag_assets.artifacts.rows import document_from_row, queries_schema, query_row, report_details
from rag_assets.defs.asset_step import ASSET_GROUP, OWNERS, asset_step
from rag_assets.defs.assets.staging_collection import staging_collection
from rag_assets.defs.metadata.eval_report import (
    recall_at_5,
    report_metadata,
    slice_metadata,
    spending_metadata,
)
from rag_assets.defs.run_tags import tag_run
from rag_assets.document_metadata.normalization import normalized_key
from rag_assets.evaluation.report import verdict_data_version
from rag_assets.evaluation.report_checks import report_digest
from rag_assets.evaluation.slices import recall_by_value
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.benchmark_version import benchmark_version
from rag_assets.refresh.measurement import measure_candidate


@dg.asset(
    description=__doc__,
    deps=[staging_collection],
    group_name=ASSET_GROUP,
    owners=OWNERS,
    kinds={"python", "parquet"},
    tags={"stage": "serving"},
    code_version="1",
)
def eval_report(
    context: dg.AssetExecutionContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> dg.MaterializeResult[Any]:
    with asset_step(context, knowledge_base) as step:
        staged = step.read("staging_collection")
        require_fingerprint(staged, knowledge_base.fingerprint())
        documents = [document_from_row(row) for row in staged.rows()]
        report = measure_candidate(
            knowledge_base,
            staged.details["generation"],
            staged.details["digest"],
            documents,
            staged.details.get("approved_deletions", ()),
        )
        slice_by = normalized_key(knowledge_base.settings.eval_slice_by) or ""
        slices = recall_by_value(report, documents, slice_by) if slice_by else []
        if slice_by and not any(slice_by in state.location.metadata for state in documents):
            context.log.warning("RAG_EVAL_SLICE_BY: no document has metadata.%s", slice_by)
        benchmark = benchmark_version(knowledge_base.artifacts, report)
        with step.write("eval_report", queries_schema(), staged.header) as (writer, details):
            for query in report.queries:
                writer.write(query_row(query))
            details["report"] = report_details(report)
            details["slices"] = [asdict(one) for one in slices]
            details["slice_by"] = slice_by
            details["benchmark_version"] = benchmark.number
        # Last: until then the vector store vouches for no report, or for an earlier one, and nothing goes live.
        knowledge_base.vector_store.record_report(report.generation, report_digest(report))
        tag_run(context.instance, step.run_id, recall_at_5=recall_at_5(report.scores))
        return step.materialized(
            data_version=verdict_data_version(report),
            metadata={
                **report_metadata(report, benchmark),
                **slice_metadata(slices, slice_by),
                **spending_metadata(knowledge_base.spending_of(step.run_id)),
                "benchmark_file": dg.MetadataValue.path(knowledge_base.settings.benchmark_file),
                **step.artifact_metadata("eval_report"),
                "generation": report.generation,
                "refresh_id": staged.header.refresh_id,
            },
        )
