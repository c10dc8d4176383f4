"""Question -> hits. The one path that applications, the command line and the evaluation share.

Hybrid by default: the dense list and the BM25 list come from one request, are scaled to 0..1 each and added
with a weight (`RAG_DENSE_WEIGHT`). Ties are broken by point id, so that the same question gives the same answer.
"""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from rag_assets.embedders.base import Embedder
from rag_assets.embedders.bm25 import Bm25Encoder
from rag_assets.errors import ConfigurationError, GenerationDamaged, RefusedError, VectorStoreUnavailable
from rag_assets.generations.contents import locations_of
from rag_assets.records import (
    EmbeddingModel,
    GenerationManifest,
    Payload,
    ScoredPoint,
    SearchFilter,
    SearchHit,
    Vector,
)
from rag_assets.vector_stores.base import GenerationReader, VectorStore

_MIN_CANDIDATES = 100

_LOOK_AGAIN = (VectorStoreUnavailable, GenerationDamaged)
"""Errors after which production is looked up once more: a generation that a promotion has just replaced vanishes while
it is read, or is not there when it is opened.
"""


def fuse(
    dense: Sequence[ScoredPoint], sparse: Sequence[ScoredPoint], dense_weight: float
) -> list[ScoredPoint]:
    """Merge two result lists by weighted min-max score fusion, best first, ties by id.

    A point's score is `w * d + (1 - w) * s`, d and s being its scores scaled to 0..1 within their lists, 0 where it
    is absent. See Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", 2023.
    """
    scores: dict[str, float] = {}
    points: dict[str, ScoredPoint] = {}
    for hits, weight in ((dense, dense_weight), (sparse, 1 - dense_weight)):
        if not hits:
            continue
        highest = max(hit.score for hit in hits)
        lowest = min(hit.score for hit in hits)
        for hit in hits:
            scaled = (hit.score - lowest) / (highest - lowest) if highest > lowest else 1.0
            scores[hit.id] = scores.get(hit.id, 0.0) + weight * scaled
            points[hit.id] = hit
    ranked = sorted(scores, key=lambda point_id: (-scores[point_id], point_id))
    return [ScoredPoint(point_id, scores[point_id], points[point_id].payload) for point_id in ranked]


class GenerationSearch:
    """Searches one generation with its own model."""

    def __init__(self, reader: GenerationReader, embedder: Embedder, dense_weight: float) -> None:
        self._reader = reader
        self.embedder = embedder
        self._bm25 = Bm25Encoder()
        self._dense_weight = dense_weight

    @property
    def generation(self) -> str:
        return self._reader.generation

    def search(
        self, query: str, limit: int = 5, search_filter: SearchFilter | None = None
    ) -> list[SearchHit]:
        return self.search_vector(query, self.embedder.embed_query(query), limit, search_filter)

    def search_vector(
        self, query: str, vector: Vector, limit: int = 5, search_filter: SearchFilter | None = None
    ) -> list[SearchHit]:
        """As `search`, with the question embedded already, float32 (dim,)."""
        candidates = max(_MIN_CANDIDATES, 2 * limit)
        dense, sparse = self._reader.search(
            vector, self._bm25.encode_query(query), candidates, search_filter, with_payload=False
        )
        ranked = fuse(dense, sparse, self._dense_weight)[:limit]
        found = self._reader.retrieve([point.id for point in ranked])
        payloads = {point.id: point.payload for point in found}
        if len(payloads) != len(ranked):
            raise VectorStoreUnavailable(
                f"generation {self.generation} lacks points that it found: ask again"
            )
        return [_hit(point, payloads[point.id]) for point in ranked]

    def close(self) -> None:
        self._reader.close()


def _hit(point: ScoredPoint, payload: Payload) -> SearchHit:
    return SearchHit(
        point_id=point.id,
        score=point.score,
        text=payload["text"],
        content_hash=payload["content_hash"],
        chunk_index=payload["chunk_index"],
        locations=locations_of(payload),
        payload=payload,
    )


class Retriever:
    """Answers questions from whatever generation is in production at that moment. Threads may share one.

    A promotion is seen by the next search. A search that is under way ends in the generation in which it began,
    which stays open until its last search has ended. Not to be carried over a `fork`: make one in each process.

    Args:
        embedder_for: makes the embedder of a recorded model.
        dense_weight: share of the dense score, 0 (BM25 alone) to 1 (dense alone).
        owns_store: whether `close` closes the store too.
    """

    def __init__(
        self,
        store: VectorStore,
        embedder_for: Callable[[EmbeddingModel], Embedder],
        dense_weight: float = 0.3,
        *,
        owns_store: bool = False,
    ) -> None:
        self._store = store
        self._embedder_for = embedder_for
        self._dense_weight = dense_weight
        self._owns_store = owns_store
        self._lock = threading.Lock()
        self._current: GenerationSearch | None = None
        self._searches_in: dict[GenerationSearch, int] = {}
        # Kept from one promotion to the next: loading a model may take seconds.
        self._embedder: tuple[EmbeddingModel, Embedder] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def search(
        self, query: str, limit: int = 5, search_filter: SearchFilter | None = None
    ) -> list[SearchHit]:
        """Return the best chunks for a question, best first.

        Raises:
            RefusedError: nothing is in production yet.
            ConfigurationError: the question is empty, or a filter names an unknown field.
            VectorStoreUnavailable, EmbedderUnavailable: a part does not answer.
            GenerationDamaged: production cannot be opened; a refresh rebuilds it.
        """
        if not query.strip():
            raise ConfigurationError("the question is empty")
        if limit < 1:
            raise ConfigurationError(f"limit must be at least 1, not {limit}")
        try:
            with self._production() as production:
                return production.search(query, limit, search_filter)
        except _LOOK_AGAIN:
            # The generation may have been retired between looking it up and asking it: look once more.
            with self._production() as production:
                return production.search(query, limit, search_filter)

    @contextmanager
    def _production(self) -> Generator[GenerationSearch]:
        """Lend the generation in production for one search. One that fails is not lent again."""
        name = self._name_of_production()
        with self._lock:
            lent = self._current
            if lent is not None and lent.generation != name:
                # Another thread may have seen a later promotion while this one waited: never switch back.
                name = self._name_of_production()
            if lent is None or lent.generation != name:
                lent = self.open(name)
                self._switch_to(lent)
            self._searches_in[lent] += 1
        broken = False
        try:
            yield lent
        except _LOOK_AGAIN:
            broken = True
            raise
        finally:
            with self._lock:
                self._searches_in[lent] -= 1
                self._switch_to(None if broken and lent is self._current else self._current)

    def _name_of_production(self) -> str:
        production = self._store.production_state().production
        if production is None:
            raise RefusedError(
                "nothing is in production yet: run `dagster asset materialize -m rag_assets.definitions --select '*'`"
            )
        return production

    def _switch_to(self, search: GenerationSearch | None) -> None:
        """Lend this one from now on, and close the others in which nobody searches. The lock is held."""
        self._current = search
        if search is not None:
            self._searches_in.setdefault(search, 0)
        idle = [one for one, count in self._searches_in.items() if count == 0 and one is not search]
        for one in idle:
            del self._searches_in[one]
            with suppress(VectorStoreUnavailable):
                one.close()

    def open(self, generation: str) -> GenerationSearch:
        """Search one generation, whichever is in production."""
        manifest = self._store.manifest(generation)
        if manifest is None:
            raise VectorStoreUnavailable(f"generation {generation} is gone")
        model = recorded_model(manifest)
        if self._embedder is None or self._embedder[0] != model:
            self._embedder = (model, self._embedder_for(model))
        return GenerationSearch(self._store.read(generation), self._embedder[1], self._dense_weight)

    def close(self) -> None:
        """Let go of what is open. A generation in which a search is under way is closed when that has ended."""
        with self._lock:
            self._switch_to(None)
        if self._owns_store:
            self._store.close()


def recorded_model(manifest: GenerationManifest) -> EmbeddingModel:
    """Return the model that a generation was built with; questions must use the same."""
    return EmbeddingModel(**manifest.fingerprint["embedding_model"])
