"""The refusals that a refresh would end with now, by a dry run. For a token from `rag-assets plan`, or after a lost ledger."""

from rag_assets.errors import DeletionRefused
from rag_assets.inspection.dry_run import UNKNOWN_DIMENSIONS, dry_run
from rag_assets.records import Refusal
from rag_assets.refresh.approvals import approvals_of, refusal_from, refusal_of
from rag_assets.refresh.decision import decide
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
        # A token of a rebuild is for one dimension, and only the endpoint knows it.
        is_known = knowledge_base.embedder.model.dimensions != UNKNOWN_DIMENSIONS
        needed = approvals_of(knowledge_base, decision).needed
        found += [refusal_from(error) for error in needed if is_known or isinstance(error, DeletionRefused)]
        return {refusal.token: refusal for refusal in found}
