"""The generation served to readers: the production alias, switched to the candidate in one atomic step.

Earlier steps are not trusted: the verdict is computed again, and candidate and production are checked once more. If
production has changed in the meantime, the newer production wins. After a failure here readers keep the current
generation: a red box is a refresh without promotion, not an outage. The previous generation stays available for
`rag-assets rollback` and for the job `rollback`. While a person holds production after a rollback, the candidate waits,
and the run ends green with `outcome` held.
"""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import dagster as dg

from rag_assets.artifacts.consistency import require_fingerprint
from rag_assets.artifacts.rows import document_from_row
from rag_assets.changes.content_changes import content_changes
from rag_assets.defs.asset_step import ASSET_GROUP, OWNERS, AssetStep, asset_step
from rag_assets.defs.assets.eval_report import eval_report
from rag_assets.defs.metadata.eval_report import recall_at_5
from rag_assets.defs.metadata.generations import (
    chunk_sizes_metadata,
    held_metadata,
    index_table,
    short_digest,
)
from rag_assets.errors import MENDED_BY_REBUILD, StaleInputError, TransientError, VectorStoreUnavailable
from rag_assets.evaluation.report import EvalReport
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.evaluated import evaluated_report
from rag_assets.refresh.outcome import OUTCOME_KEY, Outcome
from rag_assets.refresh.promotion import promote, retire
from rag_assets.vector_stores.production_state import ProductionState

FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=12), warn_window=timedelta(hours=9))
"""Two periods of the default schedule. An unchanged refresh counts, and a hold keeps production fresh."""


@dg.asset(
    description=__doc__,
    deps=[eval_report],
    group_name=ASSET_GROUP,
    owners=OWNERS,
    kinds={"python", "qdrant"},
    tags={"stage": "serving"},
    code_version="1",
    freshness_policy=FRESHNESS,
)
def production_collection(
    context: dg.AssetExecutionContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> dg.MaterializeResult[Any]:
    with asset_step(context, knowledge_base) as step, _switch_in_doubt():
        evaluated, staged = step.read("eval_report"), step.read("staging_collection")
        require_fingerprint(staged, knowledge_base.fingerprint())
        report = evaluated_report(knowledge_base, evaluated)
        if staged.details["generation"] != report.generation:
            raise StaleInputError(
                f"eval_report measured generation {report.generation}, but staging_collection now holds "
                f"{staged.details['generation']}; materialize eval_report and production_collection"
            )
        documents = [document_from_row(row) for row in staged.rows()]
        promotion = promote(
            knowledge_base.vector_store,
            knowledge_base.ledger,
            report,
            base=staged.header.base,
            readings=staged.header.readings,
            verdict_configuration=knowledge_base.verdict_configuration(),
            threshold=knowledge_base.settings.eval_threshold,
            documents=documents,
            contents=content_changes((), documents),
            keep_failed_candidate=knowledge_base.settings.keep_failed_candidate,
            approvals=staged.details.get("approvals", ()),
            run_ids=step.run_ids,
        )
        if promotion.outcome is Outcome.HELD:
            return _held(step, promotion.state, report)
        retired = (
            retire(
                knowledge_base.vector_store,
                knowledge_base.ledger,
                knowledge_base.text_store.prune,
                _contents_of_sources(knowledge_base),
            )
            if promotion.outcome is Outcome.LIVE
            else []
        )
        step.end_refresh(promotion.outcome, report.generation)
        return step.materialized(
            data_version=report.digest,
            metadata={
                OUTCOME_KEY: promotion.outcome.value,
                "recall_at_5": recall_at_5(report.scores),
                "num_documents": len(documents),
                "num_points": report.points_count,
                "num_generations_retired": len(retired),
                "generation": report.generation,
                "previous_generation": promotion.state.previous or "none",
                "index": index_table(staged.header.fingerprint),
                **_chunk_sizes(knowledge_base),
                "digest": short_digest(report.digest),
                "refresh_id": staged.header.refresh_id,
            },
        )


@contextmanager
def _switch_in_doubt() -> Generator[None]:
    """Say so if the store goes away: the answer to the switch may be lost, and each retry fails before the switch."""
    try:
        yield
    except VectorStoreUnavailable as error:
        raise VectorStoreUnavailable(
            f"{error}. Production may be switched already: `rag-assets status` shows what serves"
        ) from error


def _chunk_sizes(knowledge_base: KnowledgeBase) -> dict[str, Any]:
    """Return the sizes, without them if the store does not answer: after the switch, a failure would be a false report."""
    with suppress(*MENDED_BY_REBUILD, TransientError):
        manifest = knowledge_base.production_manifest()
        return {} if manifest is None else chunk_sizes_metadata(manifest)
    return {}


def _held(step: AssetStep, state: ProductionState, report: EvalReport) -> dg.MaterializeResult[Any]:
    """Describe production, which did not change: its own data version, so that nothing downstream looks stale."""
    step.end_refresh(Outcome.HELD, report.generation)
    manifest = None
    with suppress(*MENDED_BY_REBUILD):
        manifest = step.knowledge_base.production_manifest()
    return step.materialized(
        data_version=manifest.digest if manifest is not None else "none",
        metadata={
            **held_metadata(manifest, state),
            "candidate": report.generation,
            "candidate_recall_at_5": recall_at_5(report.scores),
        },
    )


def _contents_of_sources(knowledge_base: KnowledgeBase) -> set[str]:
    """Return the contents of all sources. The text store keeps them, or omitted documents would be parsed again."""
    raw = knowledge_base.artifacts.latest("raw_documents")
    rows = raw.rows(["content_hash"]) if raw else ()
    return {row["content_hash"] for row in rows if row["content_hash"] is not None}
