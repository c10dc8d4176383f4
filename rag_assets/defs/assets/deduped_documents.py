"""The change set of a refresh: the sources compared with production now.

One row per document with its decision:

- *added*, *updated*, *deleted*: new, changed or missing at the source. An unreadable document is never *deleted*.
- *moved*: the same content in another place. Nothing is embedded.
- *duplicate*: known content under another name. Nothing is embedded, and both places are kept.
- *unchanged*: nothing to do.
- *quarantined*: no usable text at the moment.
- *omitted*: nearly the same text as a kept document, with `RAG_NEAR_DUPLICATES` set to `keep_one`. By default such
  documents are only listed.

Too many deletions at once, or a rebuild with a model that is not free, stop the refresh here until they are approved.
Parquet in the state folder.
"""

from dataclasses import asdict
from typing import Any

import dagster as dg

from rag_assets.artifacts.parquet_artifact import READINGS, Header
from rag_assets.artifacts.rows import change_row, changes_schema, document_from_row
from rag_assets.changes.content_changes import content_changes
from rag_assets.changes.deletion_history import history_to_text
from rag_assets.defs.asset_step import ASSET_GROUP, OWNERS, asset_step
from rag_assets.defs.assets.raw_documents import raw_documents
from rag_assets.defs.metadata.documents import change_metadata, near_duplicate_metadata
from rag_assets.defs.metadata.generations import PRODUCTION_DAMAGE_KEY
from rag_assets.evaluation.benchmark import fitting_problem
from rag_assets.generations.digest import documents_hash
from rag_assets.ingestion.source_reports import outages_from
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.approvals import admit
from rag_assets.refresh.decision import decide, require_current_reading


@dg.asset(
    description=__doc__,
    deps=[raw_documents],
    group_name=ASSET_GROUP,
    owners=OWNERS,
    kinds={"python", "parquet"},
    tags={"stage": "ingestion"},
    code_version="1",
)
def deduped_documents(
    context: dg.AssetExecutionContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> dg.MaterializeResult[Any]:
    with asset_step(context, knowledge_base) as step:
        raw = step.read("raw_documents")
        require_current_reading(knowledge_base, raw.header.readings)
        decision = decide(
            knowledge_base,
            (document_from_row(row) for row in raw.rows()),
            frozenset(raw.details["complete_sources"]),
            outages_from(raw.details.get("outages", ())),
            raw.details.get("skipped_files", {}),
        )
        if decision.production_damage and decision.base_name is not None:
            knowledge_base.vector_store.mark_damaged(decision.base_name, decision.production_damage)
            context.log.warning(
                "production is damaged and never copied, so all points are built again: %s",
                decision.production_damage,
            )
        admission = admit(knowledge_base, decision, frozenset(raw.details["complete_sources"]))
        changes, documents = decision.changes, decision.documents
        # Before anything is embedded. `raw_documents` has warned about an unreadable benchmark.
        if problem := fitting_problem(knowledge_base.settings.benchmark_file, documents):
            context.log.warning("the gate will block this refresh: %s", problem)
        header = Header(
            raw.header.refresh_id,
            decision.base_name,
            knowledge_base.fingerprint(),
            {READINGS: raw.header.readings},
        )
        target_hash = documents_hash(documents)
        with step.write("deduped_documents", changes_schema(), header) as (writer, details):
            for change in changes:
                writer.write(change_row(change))
            details["target_hash"] = target_hash
            details["deletions"] = history_to_text(admission.history)
            details["approvals"] = list(admission.tokens)
            details["approved_deletions"] = list(admission.deleted)
            details["comparison"] = asdict(decision.comparison)
            details["near_duplicates"] = [asdict(group) for group in decision.near_duplicates]
        return step.materialized(
            data_version=target_hash,
            metadata={
                **change_metadata(changes),
                **near_duplicate_metadata(decision.near_duplicates, changes),
                "num_contents": len(content_changes((), documents)),
                "num_contents_changed": decision.num_contents_changed,
                "num_payload_updates": decision.num_payload_updates,
                "full_rebuild": decision.rebuild,
                **({PRODUCTION_DAMAGE_KEY: decision.production_damage} if decision.production_damage else {}),
                **step.artifact_metadata("deduped_documents"),
                "base_generation": decision.base_name or "none",
                "refresh_id": header.refresh_id,
            },
        )
