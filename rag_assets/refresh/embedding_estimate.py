"""The estimate of the work and the price of embedding, for a plan, an approval, and the chunks of a refresh."""

from collections.abc import Iterable
from dataclasses import dataclass

from rag_assets.backports import batched
from rag_assets.embedders.base import Embedder
from rag_assets.embedding import WINDOW, cached_vectors, distinct
from rag_assets.ledgers.base import Ledger
from rag_assets.records import Chunk


@dataclass(frozen=True, slots=True)
class EmbeddingEstimate:
    """The work and the price of embedding some chunks.

    Attributes:
        num_texts: number of distinct texts.
        num_embedded: of them, without a cached vector.
        num_tokens: of `num_embedded`.
        cost_usd: None if the price of the model is unknown.
    """

    num_texts: int
    num_embedded: int
    num_tokens: int
    cost_usd: float | None


def estimate_embedding(chunks: Iterable[Chunk], embedder: Embedder, ledger: Ledger) -> EmbeddingEstimate:
    """Look up every distinct text in the cache, a bounded number at a time. Nothing is sent."""
    num_texts = num_embedded = num_tokens = 0
    for window in batched(distinct(chunks, lambda chunk: chunk.text_hash), WINDOW):
        cached = cached_vectors([(chunk.text_hash, chunk.text) for chunk in window], embedder.model, ledger)
        num_texts += len(window)
        num_embedded += len(window) - len(cached)
        num_tokens += sum(chunk.token_count for chunk in window if chunk.text_hash not in cached)
    return EmbeddingEstimate(num_texts, num_embedded, num_tokens, estimated_cost_usd(num_tokens, embedder))


def estimated_cost_usd(num_tokens: int, embedder: Embedder) -> float | None:
    """Return the price of so many tokens, or None if that of the model is unknown."""
    price = embedder.usd_per_million_tokens
    return None if price is None else num_tokens * price / 1_000_000
