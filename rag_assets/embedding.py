"""Texts -> vectors: from the cache, otherwise from the model in batches, every text once."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TypeVar

import numpy as np

from rag_assets.backports import batched
from rag_assets.embedders.base import Embedder
from rag_assets.embedders.cache_key import cache_key
from rag_assets.embedders.probe import PROBE_TEXTS
from rag_assets.embedders.splitting import Answer, Refusal, Requests
from rag_assets.errors import TextRefused
from rag_assets.latencies import Latencies
from rag_assets.ledgers.base import Ledger
from rag_assets.progress import Progress
from rag_assets.records import EmbeddingModel, Vector
from rag_assets.text.wording import counted, usd

_logger = logging.getLogger(__name__)
_Item = TypeVar("_Item")
WINDOW = 1000
"""Number of texts per lookup in the cache."""


@dataclass(slots=True)
class EmbeddingUsage:
    """Counts and cost of the embedding of one refresh.

    Attributes:
        num_texts: number of distinct texts.
        num_cached: of them, with a cached vector.
        num_embedded: of them, sent to the model.
        tokens: billed for `num_embedded`.
        cost_usd: None if the price of the model is unknown.
        num_tokens_cached: of `num_cached`, as counted by the chunker.
        latencies: of the requests to the model.
    """

    num_texts: int = 0
    num_cached: int = 0
    num_embedded: int = 0
    tokens: int = 0
    cost_usd: float | None = 0.0
    num_tokens_cached: int = 0
    latencies: Latencies = field(default_factory=Latencies, compare=False)


def embed_texts(
    texts: Iterable[tuple[str, str]],
    embedder: Embedder,
    ledger: Ledger,
    usage: EmbeddingUsage,
    total: int | None = None,
    before_request: Callable[[], None] = lambda: None,
    refused: MutableMapping[str, str] | None = None,
    known_good: Callable[[], str | None] = lambda: None,
    spent: Callable[[int, float | None], None] = lambda _tokens, _usd: None,
    cached: Callable[[Iterable[str]], None] = lambda _text_hashes: None,
) -> Iterator[tuple[str, Vector]]:
    """Yield (text hash, vector) once for each distinct text, in order of first appearance.

    Every batch is cached as soon as it is paid for. Texts known to be refused are sent alone, so that they refuse no
    other text.

    Args:
        texts: pairs of text hash and text.
        usage: receives the counts and the cost.
        before_request: called before each request to the model. What it raises ends the embedding.
        refused: receives text hash -> the reason, for each text that the model refuses. Nothing is yielded for it.
        known_good: as in `Requests`.
        spent: called after each answer, first of all, with its tokens and their cost. None: the price is unknown.
        cached: called after each look-up in the cache with the hashes of the texts found, before the next `WINDOW` texts
            are taken.

    Raises:
        TextRefused: the model refuses a text, and `refused` is None.
        EmbedderUnavailable, InvalidVectorError, ConfigurationError: from the embedder.
    """
    price = embedder.usd_per_million_tokens
    if price is None:
        usage.cost_usd = None
    progress = Progress("texts", total)
    requests = Requests(embedder, PROBE_TEXTS[0], known_good, before_request, usage.latencies)
    for window in batched(distinct(texts, itemgetter(0)), WINDOW):
        vectors = cached_vectors(window, embedder.model, ledger)
        missing = [(text_hash, text) for text_hash, text in window if text_hash not in vectors]
        usage.num_texts += len(window)
        usage.num_cached += len(vectors)
        cached(list(vectors))
        progress.advance(len(vectors), _spent(usage))
        for batch, answer in _answers(requests, missing, embedder.model, ledger):
            tokens = requests.extra_tokens + (0 if isinstance(answer, Refusal) else answer.tokens)
            requests.extra_tokens = 0
            usage.tokens += tokens
            spent(tokens, None if price is None else tokens * price / 1_000_000)
            if isinstance(answer, Refusal):
                [(text_hash, _)] = batch
                says = answer.says(embedder.model.model)
                if refused is None:
                    message = f"text {text_hash[:16]} {says}: check that RAG_CHUNK_SIZE is within its limit"
                    raise TextRefused(message, says, text_hash)
                refused[text_hash] = says
            else:
                fresh = {
                    text_hash: vector for (text_hash, _), vector in zip(batch, answer.vectors, strict=True)
                }
                ledger.put_vectors(
                    {cache_key(embedder.model, text): fresh[text_hash] for text_hash, text in batch}
                )
                vectors.update(fresh)
                usage.num_embedded += len(batch)
            if price is not None:
                usage.cost_usd = usage.tokens * price / 1_000_000
            progress.advance(len(batch), _spent(usage))
        for text_hash, _ in window:
            if text_hash in vectors:
                yield text_hash, vectors[text_hash]


def _answers(
    requests: Requests, texts: Sequence[tuple[str, str]], model: EmbeddingModel, ledger: Ledger
) -> Iterator[tuple[Sequence[tuple[str, str]], Answer]]:
    """Yield each text once, in parts, with the answer to the part."""
    keys = {_refusal_key(model, text): (text_hash, text) for text_hash, text in texts}
    known = ledger.vectors(list(keys)).keys()
    for key in known:
        yield [keys[key]], requests.answer_again(keys[key][1])
    others = [pair for key, pair in keys.items() if key not in known]
    first = 0
    for part, answer in requests.answers([text for _, text in others]):
        yield others[first : first + len(part)], answer
        first += len(part)


def remember_refusals(texts: Iterable[str], model: EmbeddingModel, ledger: Ledger) -> None:
    """Mark texts as refused by a model. `embed_texts` sends them alone from now on."""
    ledger.put_vectors({_refusal_key(model, text): np.ones(1, np.float32) for text in texts})


def _refusal_key(model: EmbeddingModel, text: str) -> bytes:
    return hashlib.sha256(b"refused" + cache_key(model, text)).digest()


def _spent(usage: EmbeddingUsage) -> str:
    spent = f", {usd(usage.cost_usd)}" if usage.cost_usd else ""
    return f"{usage.num_embedded:,} embedded, {counted(usage.tokens, 'token')}{spent}"


def cached_vectors(
    texts: Iterable[tuple[str, str]], model: EmbeddingModel, ledger: Ledger
) -> dict[str, Vector]:
    """Return the cached vectors of these (text hash, text) pairs, by text hash.

    A corrupt vector in the cache counts as missing, so the text is embedded again. Otherwise the store would refuse it
    forever.
    """
    keys = {cache_key(model, text): text_hash for text_hash, text in texts}
    return {
        keys[key]: vector
        for key, vector in ledger.vectors(list(keys)).items()
        if vector.shape == (model.dimensions,) and np.isfinite(vector).all() and vector.any()
    }


def distinct(items: Iterable[_Item], text_hash_of: Callable[[_Item], str]) -> Iterator[_Item]:
    """Yield the first item of each text."""
    seen: set[bytes] = set()
    for item in items:
        digest = bytes.fromhex(text_hash_of(item))[:16]
        if digest not in seen:
            seen.add(digest)
            yield item
