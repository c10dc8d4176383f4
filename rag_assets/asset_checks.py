"""The gate: the one check that stands between a candidate and production."""

import dagster as dg

from rag_assets.artifact_rows import report_from
from rag_assets.asset_step import asset_step
from rag_assets.assets.eval_report import eval_report
from rag_assets.errors import StaleInputError
from rag_assets.gate import decide, stale_reason
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.promotion import reject_candidate


@dg.asset_check(
    asset=eval_report,
    blocking=True,
    description="Recall@5 of the candidate reaches the threshold. If not, production stays as it is, the candidate "
    "is discarded, and the failure sensor posts to Slack.",
)
def recall_gate(
    context: dg.AssetCheckExecutionContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> dg.AssetCheckResult:
    with asset_step(context, knowledge_base) as step:
        report = report_from(step.read("eval_report"))
        stale = stale_reason(report, knowledge_base.verdict_configuration())
        if stale:
            raise StaleInputError(stale)
        verdict = decide(report, knowledge_base.settings.eval_threshold)
        metadata: dict[str, str | float] = {
            "verdict": str(verdict),
            "generation": report.generation,
            "eval_threshold": knowledge_base.settings.eval_threshold,
        }
        if report.scores is not None:
            metadata["recall_at_5"] = report.scores.recall_at_5
        if not verdict.passed:
            metadata["candidate"] = reject_candidate(
                knowledge_base.vector_store,
                report.generation,
                str(verdict),
                keep=knowledge_base.settings.keep_failed_candidate,
            )
            step.end_refresh()
        return dg.AssetCheckResult(
            passed=verdict.passed,
            severity=dg.AssetCheckSeverity.ERROR,
            description=str(verdict),
            metadata=metadata,
        )
