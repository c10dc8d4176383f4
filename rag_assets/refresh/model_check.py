"""The price of a rebuild, and the probe of the model behind a candidate."""

from rag_assets.chunking import chunk_contents
from rag_assets.embedders.probe import ProbedEmbedder, probe_to_text
from rag_assets.errors import MENDED_BY_REBUILD, RebuildRefused
from rag_assets.fingerprint import fingerprint_difference, short_hash
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.decision import Decision
from rag_assets.refresh.embedding_estimate import EmbeddingEstimate, estimate_embedding
from rag_assets.refresh.staging_plan import staging_plan_for
from rag_assets.text.wording import counted


def verified_probe(knowledge_base: KnowledgeBase) -> str:
    """Return the vectors of the probe for the manifest of a candidate. Raises as `ProbedEmbedder.verify`."""
    embedder = knowledge_base.embedder
    return probe_to_text(embedder.verify()) if isinstance(embedder, ProbedEmbedder) else ""


def check_rebuild(knowledge_base: KnowledgeBase, decision: Decision) -> str:
    """Let a rebuild for other weights pass if it is free, paid for or approved, or raise.

    Returns:
        The token of the approval, "" if none was needed.

    Raises:
        RebuildRefused: with the estimate and the token.
    """
    embedder = knowledge_base.embedder
    if not decision.rebuild or decision.base_name is None or embedder.usd_per_million_tokens == 0:
        return ""
    try:
        manifest = knowledge_base.production_manifest()
    except MENDED_BY_REBUILD:
        return ""  # damaged: rebuilt from cached vectors
    fingerprint = knowledge_base.fingerprint()
    differing = fingerprint_difference(manifest.fingerprint, fingerprint) if manifest else []
    if not differing:
        return ""
    token = short_hash([decision.base_name, "rebuild", fingerprint])
    if token in knowledge_base.approved_tokens():
        return token
    staging = staging_plan_for(knowledge_base, None, (), decision.documents)
    contents = [change.content_hash for change in staging.changes]
    chunks = chunk_contents(contents, staging.text_of, knowledge_base.chunker)
    estimate = estimate_embedding(chunks, embedder, knowledge_base.ledger)
    if not estimate.num_embedded:
        return ""
    why, price = _why(knowledge_base, differing), _price(estimate)
    raise RebuildRefused(
        f"{why}: every vector would be made again. Embedding "
        f"{price} was not started, and production is unchanged. If that is not meant, restore the earlier "
        f"model or settings and refresh. If it is, run `rag-assets approve {token}` and refresh.",
        token,
        f"the rebuild that embeds {price} ({why})",
    )


def _why(knowledge_base: KnowledgeBase, differing: list[str]) -> str:
    last = knowledge_base.model_record.get()
    if last is not None and last.outcome == "changed" and last.detail:
        return last.detail
    return f"{', '.join(differing)} changed since production was built"


def _price(estimate: EmbeddingEstimate) -> str:
    price = "at an unknown price" if estimate.cost_usd is None else f"for about {estimate.cost_usd:.4f} USD"
    return f"{counted(estimate.num_embedded, 'text')} ({counted(estimate.num_tokens, 'token')}) {price}"
