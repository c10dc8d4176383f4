"""How well the candidate answers the benchmark, and how well production does, on the same questions.

Recall@1/5/10, MRR and nDCG@10 over distinct documents, search latency, and every single question. Names the digest of
the candidate that it speaks of and the configuration that it was measured under. The blocking check `recall_gate`
judges it. Parquet in the state folder.
"""

from typing import Any

import dagster as dg

from rag_assets.artifact_rows import document_from_row, queries_schema, query_row, report_details
from rag_assets.artifacts import require_fingerprint
from rag_assets.asset_step import ASSET_GROUP, OWNERS, asset_step
from rag_assets.assets.staging_collection import staging_collection
from rag_assets.evaluation.evaluate import verdict_data_version
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.measurement import measure_candidate
from rag_assets.metadata import score_metadata, worst_queries_table


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
            knowledge_base, staged.details["generation"], staged.details["digest"], documents
        )
        with step.write("eval_report", queries_schema(), staged.header) as (writer, details):
            for query in report.queries:
                writer.write(query_row(query))
            details["report"] = report_details(report)
        metadata: dict[str, dg.MetadataValue | float | int | str] = {
            "refresh_id": staged.header.refresh_id,
            "generation": report.generation,
            "num_queries": len(report.queries),
            "num_embedded": report.num_embedded,
            "num_missing_docs": len({name for query in report.queries for name in query.missing_docs}),
            "benchmark_file": dg.MetadataValue.path(str(knowledge_base.settings.benchmark_file)),
            "worst_queries": worst_queries_table(report),
        }
        if report.scores is not None:
            metadata |= score_metadata(report.scores)
        if report.production_scores is not None:
            metadata["production_recall_at_5"] = report.production_scores.recall_at_5
        if report.problems or report.notes:
            metadata["problems"] = "; ".join(report.problems + report.notes)
        return step.materialized(data_version=verdict_data_version(report), metadata=metadata)
