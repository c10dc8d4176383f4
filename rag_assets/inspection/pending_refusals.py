"""The refusals that a refresh would end with now, by a dry run. For a token from `rag-assets plan`, or after a lost ledger."""

from collections.abc import Callable

from rag_assets.errors import ApprovalNeeded
from rag_assets.inspection.dry_run import UNKNOWN_DIMENSIONS, dry_run
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import Refusal
from rag_assets.refresh.approvals import refusal_from, refusal_of
from rag_assets.refresh.decision import Decision, check_deletions, decide
from rag_assets.refresh.model_check import check_rebuild
from rag_assets.settings import Settings


def pending_refusals(settings: Settings) -> dict[str, Refusal]:
    """Return token -> refusal. Reads all sources, and writes nothing.

    Raises:
        RagAssetsError: a refresh would stop before deciding anything.
    """
    with dry_run(settings) as knowledge_base:
        ingestion = knowledge_base.ingestion()
        documents = list(ingestion.documents())
        complete = frozenset(report.source for report in ingestion.reports if report.complete)
        outages = [outage for report in ingestion.reports for outage in report.outages]
        found = [refusal_of(outage) for outage in outages if outage.token]
        decision = decide(knowledge_base, documents, complete, outages)
        checks: list[Callable[[KnowledgeBase, Decision], object]] = [check_deletions]
        if knowledge_base.embedder.model.dimensions != UNKNOWN_DIMENSIONS:
            checks.append(check_rebuild)
        for check in checks:
            try:
                check(knowledge_base, decision)
            except ApprovalNeeded as error:
                found.append(refusal_from(error))
        return {refusal.token: refusal for refusal in found}
