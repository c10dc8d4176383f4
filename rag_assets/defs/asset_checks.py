"""The gate: the blocking check between a candidate and production."""

from collections.abc import Iterator

import dagster as dg

from rag_assets.defs.asset_step import GATE, asset_step
from rag_assets.defs.assets.eval_report import eval_report
from rag_assets.defs.metadata.eval_report import gate_metadata
from rag_assets.defs.metadata.settings import override_metadata
from rag_assets.effective_settings import overrides
from rag_assets.evaluation.gate import judge
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.evaluated import evaluated_report
from rag_assets.refresh.outcome import OUTCOME_KEY, Outcome
from rag_assets.refresh.promotion import check_unchanged, reject_candidate


@dg.multi_asset_check(
    # One check. A function for several may fail after its result, with a reason in words.
    name=f"eval_report_{GATE}",
    specs=[
        dg.AssetCheckSpec(
            GATE,
            asset=eval_report,
            blocking=True,
            description="Passes if Recall@5 of the candidate reaches `RAG_EVAL_THRESHOLD`.\n\nOtherwise production is "
            "unchanged, the candidate is discarded, and `slack_alerts` posts the reason. `production_collection` "
            "repeats the judgment, so skipping this check lets nothing through.",
        )
    ],
)
def recall_gate(
    context: dg.AssetCheckExecutionContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> Iterator[dg.AssetCheckResult]:
    with asset_step(context, knowledge_base) as step:
        report = evaluated_report(knowledge_base, step.read("eval_report"))
        verdict = judge(report, knowledge_base.settings.eval_threshold)
        state = knowledge_base.vector_store.production_state()
        production = state.production
        outcome = f"candidate {report.generation} can be promoted"
        if report.generation == production:
            outcome = f"{production} is already in production"
        elif verdict.passed:
            check_unchanged(knowledge_base.vector_store, report, unknown_allowed=False)
            if state.hold is not None:
                outcome = f"candidate {report.generation} waits: {state.hold_in_words}"
        if not verdict.passed:
            outcome = reject_candidate(
                knowledge_base.vector_store,
                report.generation,
                str(verdict),
                keep=knowledge_base.settings.keep_failed_candidate,
            )
            staged = step.read("staging_collection")
            if staged.details["generation"] == report.generation:
                knowledge_base.ledger.end_approvals(staged.details.get("approvals", ()))
            step.end_refresh(Outcome.BLOCKED, report.generation, str(verdict))
        # The verdict of a failed gate is the error of the step.
        context.log.info("%s", f"{verdict}; {outcome}" if verdict.passed else outcome)
    blocked = {OUTCOME_KEY: Outcome.BLOCKED.value}
    yield dg.AssetCheckResult(
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=str(verdict),
        metadata=gate_metadata(report, knowledge_base.settings.eval_threshold)
        | override_metadata(overrides(knowledge_base.settings, knowledge_base.overridden))
        | {
            "verdict": str(verdict),
            **({} if verdict.passed else blocked),
            "candidate": outcome.removeprefix("candidate "),
            "production": production or "nothing yet",
        },
    )
    if not verdict.passed:
        # Dagster's own error for a failed check gives no reason.
        raise dg.Failure(str(verdict), metadata=blocked, allow_retries=False)
