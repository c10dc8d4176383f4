"""All documents present now in the configured sources.

One row per document: identity, version token, content hash. The text store keeps each text by its content hash.

- Only documents with a changed version token are read. Only new bytes are parsed.
- A source with an incomplete listing is marked *incomplete*. It never looks empty. If only a part of it fails, the rest is
  refreshed.
- The embedding model is compared with production first, by three fixed texts.
- Recordings and pictures go to the models configured for them. Tokens, seconds and cost are counted.
- A document without usable text is *quarantined* with a reason. Its last good version is still served.

Starts a refresh: at the times of `RAG_SCHEDULE` with the schedule `refresh_on_schedule`, after a change in a source with the
sensors `refresh_on_…`, or by hand with *Materialize all*. Parquet in the state folder.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from rag_assets.artifacts.parquet_artifact import READINGS, Header
from rag_assets.artifacts.rows import document_row, documents_schema
from rag_assets.defs.asset_step import ASSET_GROUP, OWNERS, asset_step
from rag_assets.defs.metadata.model_check import model_check_metadata
from rag_assets.defs.metadata.raw_documents import ingestion_metadata, media_metadata
from rag_assets.defs.metadata.settings import settings_metadata
from rag_assets.defs.run_tags import tag_run
from rag_assets.defs.warning_checks import (
    NOTHING_QUARANTINED,
    SOURCES_COMPLETE,
    nothing_quarantined,
    sources_complete,
)
from rag_assets.effective_settings import OVERRIDES, changed_settings, overrides
from rag_assets.evaluation.benchmark import reading_problem
from rag_assets.ingestion.listings import served_listings
from rag_assets.ingestion.source_reports import (
    last_failed_parts,
    metadata_left_out,
    outages_as_details,
    require_a_readable_source,
    skipped_files,
    unreadable_sources,
    unsettled_documents,
)
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.approvals import remember_outages


@dg.multi_asset(
    name="raw_documents",
    # Not `dg.asset`: a job without checks could not select it.
    specs=[
        dg.AssetSpec(
            "raw_documents",
            description=__doc__,
            group_name=ASSET_GROUP,
            owners=OWNERS,
            kinds={"python", "parquet"},
            tags={"stage": "ingestion"},
            code_version="1",
        )
    ],
    check_specs=[SOURCES_COMPLETE, NOTHING_QUARANTINED],
    can_subset=True,
)
def raw_documents(
    context: dg.AssetExecutionContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> Iterator[dg.MaterializeResult[Any]]:
    with asset_step(context, knowledge_base, begins_refresh=True) as step:
        for sentence in knowledge_base.unread_variables():
            context.log.warning(sentence)
        in_force = overrides(knowledge_base.settings, knowledge_base.overridden)
        for override in in_force:
            context.log.warning(override.sentence("is", "for this run only"))
        changed = changed_settings(knowledge_base.settings, knowledge_base.overridden)
        # Before anything is paid for. Only a warning: a benchmark written during the refresh is in time.
        if problem := reading_problem(knowledge_base.settings.benchmark_file):
            context.log.warning("the gate will block this refresh: %s", problem)
        knowledge_base.artifacts.prune()  # damaged ones, before anything is read
        header = Header(
            # Only shown: the order of the refreshes is that of their numbers.
            refresh_id=f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{step.run_id[:8]}",
            base=knowledge_base.vector_store.production_state().production,
            fingerprint=knowledge_base.fingerprint(),
        )
        # An emptied or another vector store counts from 1 again. Then this reading would be older than the artifacts.
        number = knowledge_base.vector_store.begin_reading(knowledge_base.artifacts.last_reading())
        knowledge_base.purged_documents.write_back()
        known_failures = last_failed_parts(knowledge_base.artifacts)
        ingestion = knowledge_base.ingestion()
        version = hashlib.sha256()
        quarantined = []
        with step.write("raw_documents", documents_schema(), header) as (writer, details):
            for state in ingestion.documents():
                writer.write(document_row(state))
                version.update(
                    f"{state.document_id}\n{state.content_hash}\n{state.quarantine_reason}\n".encode()
                )
                if state.content_hash is None:
                    quarantined.append(state)
            require_a_readable_source(ingestion.reports)
            problems = unreadable_sources(ingestion.reports)
            # A source that gave nothing was not read.
            details[READINGS] = {
                report.source: number for report in ingestion.reports if report.num_listed or report.complete
            }
            details[OVERRIDES] = [asdict(override) for override in in_force]
            details["settings"] = [asdict(setting) for setting in changed]
            details["complete_sources"] = [report.source for report in ingestion.reports if report.complete]
            details["unreadable_sources"] = problems
            asked = {report.source for report in ingestion.reports}
            details["mounts"] = ingestion.mounts | {
                source: mounts
                for source, mounts in knowledge_base.known_mounts().items()
                if source not in asked
            }
            details["skipped_files"] = skipped_files(ingestion.reports)
            details["metadata_left_out"] = metadata_left_out(ingestion.reports)
            details["unsettled"] = unsettled_documents(ingestion.reports)
            details["outages"] = outages_as_details(ingestion.reports)
            remember_outages(
                knowledge_base.ledger,
                (outage for report in ingestion.reports for outage in report.outages),
                frozenset(details["complete_sources"]),
            )
            # Sources outside this run are still served as listed before.
            served = served_listings(knowledge_base.artifacts, header.base)
            details["listing_hashes"] = ingestion.listing_hashes | {
                source: listed for source, listed in served.items() if source not in asked
            }
        knowledge_base.artifacts.prune()  # the oldest, now that there is one more
        tag_run(context.instance, step.run_id, degraded="yes" if problems or quarantined else None)
        result = step.materialized(
            data_version=version.hexdigest(),
            metadata={
                **ingestion_metadata(ingestion.reports, quarantined, known_failures),
                **media_metadata(ingestion.media.usage.values(), ingestion.reports),
                "latency": ingestion.latencies.to_counts() or None,
                **settings_metadata(changed, in_force),
                **model_check_metadata(knowledge_base.model_record.get()),
                "documents_dir": dg.MetadataValue.path(knowledge_base.settings.documents_dir),
                **step.artifact_metadata("raw_documents"),
                "refresh_id": header.refresh_id,
            },
            check_results=[
                sources_complete(problems, len(ingestion.reports)),
                nothing_quarantined(quarantined),
            ],
        )
    yield result
