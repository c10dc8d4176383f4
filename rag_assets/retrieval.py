"""Question -> hits: the common path of applications, the command line and the evaluation.

Hybrid by default: the dense list and the BM25 list come from one request, are each scaled to 0..1 and added with a
weight (`RAG_DENSE_WEIGHT`). Ties are broken by point id, so the same question always gets the same answer.
"""

import logging
import threading
from collections.abc import Callable, Generator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from rag_assets.document_metadata.kinds import Kinds, kinds_from_text, known_kinds
from rag_assets.document_metadata.normalization import normalized_key
from rag_assets.document_metadata.policy import MetadataIndexes
from rag_assets.embedders.base import Embedder
from rag_assets.embedders.bm25 import Bm25Encoder
from rag_assets.errors import ConfigurationError, GenerationDamaged, VectorStoreUnavailable
from rag_assets.generations.contents import locations_of
from rag_assets.generations.lookup import nothing_in_production
from rag_assets.records import (
    Condition,
    GenerationManifest,
    Payload,
    ScoredPoint,
    SearchFilter,
    SearchHit,
    Vector,
)
from rag_assets.vector_stores.base import GenerationReader, VectorStore
from rag_assets.vector_stores.filters import Clauses, parse_filter
from rag_assets.vector_stores.matching_locations import matching_locations
from rag_assets.vector_stores.metadata_conditions import check_metadata_types

_logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

_MIN_CANDIDATES = 100

_LOOK_AGAIN = (VectorStoreUnavailable, GenerationDamaged)
"""Errors after which production is looked up once more. A promotion may have just replaced and deleted the generation,
before it was opened or while it was read.
"""


def fuse(
    dense: Sequence[ScoredPoint], sparse: Sequence[ScoredPoint], dense_weight: float
) -> list[ScoredPoint]:
    """Merge two result lists by weighted min-max score fusion, best first, ties by id.

    The score of a point is `w * d + (1 - w) * s`, where d and s are its scores scaled to 0..1 within their lists, 0 if
    the list does not contain it. See Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", 2023.
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


@dataclass(frozen=True, slots=True)
class SearchLists:
    """The answer to a question, and the two lists it was fused from.

    Attributes:
        fused: as from `search`.
        dense, keyword: content hashes of the points of each list alone, best first.
    """

    fused: list[SearchHit]
    dense: list[str]
    keyword: list[str]


class GenerationSearch:
    """Searches one generation with the model of its vectors.

    Args:
        metadata_kinds: kinds of the values of each metadata key in it, or None if they are unknown.
        metadata_indexes: metadata keys that are known even if no document has them.
        manifest: of the generation, None if it is not needed.
    """

    def __init__(
        self,
        reader: GenerationReader,
        embedder: Embedder,
        dense_weight: float,
        metadata_kinds: Kinds | None = None,
        metadata_indexes: MetadataIndexes | None = None,
        manifest: GenerationManifest | None = None,
    ) -> None:
        self._reader = reader
        self.manifest = manifest
        self.metadata_kinds = metadata_kinds
        self._metadata_indexes = metadata_indexes or {}
        self.embedder = embedder
        self._bm25 = Bm25Encoder()
        self._dense_weight = dense_weight

    @property
    def generation(self) -> str:
        return self._reader.generation

    def search(
        self,
        query: str,
        limit: int = 5,
        search_filter: SearchFilter | None = None,
        *,
        reveals_metadata: bool = True,
    ) -> list[SearchHit]:
        """Return the best chunks for a question, best first. Raises the errors of `Retriever.search`.

        Args:
            reveals_metadata: as for `check_metadata`.
        """
        _check_question(query, limit)
        self.check_metadata(search_filter, reveals_metadata=reveals_metadata)  # before it is paid for
        return self._search(query, self.embedder.embed_query(query), limit, search_filter)

    def search_vector(
        self, query: str, vector: Vector, limit: int = 5, search_filter: SearchFilter | None = None
    ) -> list[SearchHit]:
        """Same as `search`, for a question embedded before, float32 (dim,)."""
        self.check_metadata(search_filter)
        return self._search(query, vector, limit, search_filter)

    def search_lists(
        self, query: str, vector: Vector, limit: int, content_hashes: dict[str, str]
    ) -> SearchLists:
        """Return the answer of `search_vector` and each half alone, from one search.

        Args:
            limit: maximum number of points of each of the three lists.
            content_hashes: point id -> content hash of the points seen so far in this generation. It grows, so that a
                point is read once for many questions.
        """
        dense, keyword, ranked = self._lists(query, vector, limit, None)
        halves = [[point.id for point in half[:limit]] for half in (dense, keyword)]
        fused = [point.id for point in ranked]
        unseen = {one for half in halves for one in half} - content_hashes.keys() - set(fused)
        payloads = self._payloads([*fused, *sorted(unseen)])
        content_hashes.update((one, str(payload["content_hash"])) for one, payload in payloads.items())
        clauses = parse_filter(None)
        return SearchLists(
            [self._hit(point, payloads[point.id], clauses) for point in ranked],
            *([content_hashes[one] for one in half] for half in halves),
        )

    def check_metadata(self, search_filter: SearchFilter | None, *, reveals_metadata: bool = True) -> None:
        """Compare the conditions on metadata with the values of the documents.

        Args:
            reveals_metadata: whether an error may tell the keys of all documents, and the types of their values. If not,
                a condition on a key that no document has finds nothing, and only `RAG_METADATA_INDEXES` is compared.

        Raises:
            ConfigurationError: no document has the key, or its values are of another type.
        """
        kinds = self.metadata_kinds if reveals_metadata else None
        check_metadata_types(search_filter, kinds, self._metadata_indexes)

    def kinds_of(self, key: str, *, reveals_metadata: bool = True) -> Set[str] | None:
        """Return the kinds of the values of a metadata key as typed, empty if there are none, None if they are unknown."""
        name = normalized_key(key)
        kinds = self.metadata_kinds if reveals_metadata else None
        return None if name is None else known_kinds(kinds, self._metadata_indexes, name)

    def document_chunks(
        self, document_id: str, chunks: range, search_filter: SearchFilter | None = None
    ) -> list[Payload]:
        """Return the payloads of some chunks of a document, in their order. Empty if the reader may read none.

        Args:
            chunks: positions of the wanted chunks, without gaps.
            search_filter: the access filter of the reader.

        Raises:
            GenerationDamaged, VectorStoreUnavailable: as `Retriever.search`.
        """
        conditions = search_filter.conditions if search_filter is not None else ()
        own = SearchFilter(
            (
                *conditions,
                Condition("document_id", "equals", document_id),
                Condition("chunk_index", "range", {"gte": chunks.start, "lt": chunks.stop}),
            )
        )
        clauses = parse_filter(own)
        found = [
            self._readable(point.id, point.payload, clauses)
            for batch in self._reader.scroll(search_filter=own)
            for point in batch
        ]
        return sorted(found, key=lambda payload: payload["chunk_index"])

    def _search(
        self, query: str, vector: Vector, limit: int, search_filter: SearchFilter | None
    ) -> list[SearchHit]:
        _, _, ranked = self._lists(query, vector, limit, search_filter)
        payloads = self._payloads([point.id for point in ranked])
        clauses = parse_filter(search_filter)
        return [self._hit(point, payloads[point.id], clauses) for point in ranked]

    def _lists(
        self, query: str, vector: Vector, limit: int, search_filter: SearchFilter | None
    ) -> tuple[list[ScoredPoint], list[ScoredPoint], list[ScoredPoint]]:
        """Return the dense list, the BM25 list, and the best `limit` points of both together."""
        candidates = max(_MIN_CANDIDATES, 2 * limit)
        dense, sparse = self._reader.search(
            vector, self._bm25.encode_query(query), candidates, search_filter, with_payload=False
        )
        return dense, sparse, fuse(dense, sparse, self._dense_weight)[:limit]

    def _payloads(self, point_ids: Sequence[str]) -> dict[str, Payload]:
        payloads = {point.id: point.payload for point in self._reader.retrieve(point_ids)}
        if len(payloads) != len(point_ids):
            raise VectorStoreUnavailable(
                f"points of generation {self.generation} disappeared during the search: retry"
            )
        return payloads

    def close(self) -> None:
        self._reader.close()

    def _readable(self, point_id: str, payload: Payload, clauses: Clauses) -> Payload:
        """Return a payload with only the locations that meet the filter."""
        shown = matching_locations(payload["locations"], clauses)
        if not shown:
            # Never the other locations: their reader may have no access to them.
            raise GenerationDamaged(
                f"generation {self.generation} finds point {point_id} by a filter that none of its locations meets: run "
                "`rag-assets doctor --deep`"
            )
        return {**payload, "locations": shown}

    def _hit(self, point: ScoredPoint, payload: Payload, clauses: Clauses) -> SearchHit:
        payload = self._readable(point.id, payload, clauses)
        return SearchHit(
            point_id=point.id,
            score=point.score,
            text=payload["text"],
            content_hash=payload["content_hash"],
            chunk_index=payload["chunk_index"],
            locations=locations_of(payload),
            payload=payload,
        )


def _check_question(query: str, limit: int) -> None:
    if not query.strip():
        raise ConfigurationError("the question is empty")
    if limit < 1:
        raise ConfigurationError(f"limit must be at least 1, not {limit}")


class Retriever:
    """Answers questions from the generation in production at that moment. Threads may share a retriever.

    The next search after a promotion uses the new generation. A search in progress finishes in its old generation, and
    the old one stays open until its last search has finished. Create one retriever in each process: it cannot be used
    after a `fork`.

    Args:
        embedder_of: returns the embedder of a generation, for questions.
        dense_weight: share of the dense score, 0 (BM25 alone) to 1 (dense alone).
        owns_store: whether `close` closes the store too.
        metadata_indexes: as in `RAG_METADATA_INDEXES`. Filters by these keys are never refused as unknown.
        place: name and place of the store, for the error of an empty one.
    """

    def __init__(
        self,
        store: VectorStore,
        embedder_of: Callable[[GenerationManifest], Embedder],
        dense_weight: float = 0.3,
        *,
        owns_store: bool = False,
        metadata_indexes: MetadataIndexes | None = None,
        place: str = "",
    ) -> None:
        self._store = store
        self._place = place
        self.metadata_indexes: MetadataIndexes = metadata_indexes or {}
        self._embedder_of = embedder_of
        self._dense_weight = dense_weight
        self._owns_store = owns_store
        self._lock = threading.Lock()
        self._current: GenerationSearch | None = None
        self._searches_in: dict[GenerationSearch, int] = {}
        # Kept when a generation is opened again: an embedder remembers that its model was verified.
        self._embedder: tuple[str, Embedder] | None = None

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
            ConfigurationError: the question is empty, or a filter names an unknown field, or compares metadata with a
                value of another type.
            VectorStoreUnavailable, EmbedderUnavailable: the store or the embedder does not answer.
            ModelChanged: another model answers under the name of the generation's.
            GenerationDamaged: production cannot be opened. The next refresh rebuilds it.
        """
        _check_question(query, limit)
        return self.ask(lambda production: production.search(query, limit, search_filter))

    def ask(self, question: Callable[[GenerationSearch], _Answer]) -> _Answer:
        """Return the answer of the generation in production to several calls, all in the same generation.

        Args:
            question: called once more, with the next generation, if the first vanished meanwhile.

        Raises:
            RefusedError: nothing is in production yet.
            VectorStoreUnavailable: the store does not answer.
            GenerationDamaged: production cannot be opened. The next refresh rebuilds it.
        """
        try:
            with self._production() as production:
                return question(production)
        except _LOOK_AGAIN:
            # The generation may have been retired between its lookup and the search: look it up again.
            with self._production() as production:
                return question(production)

    def metadata_kinds(self) -> Kinds | None:
        """Return metadata key -> kinds of its values in production, or None if they are unknown.

        Raises:
            RefusedError: nothing is in production yet.
        """
        return self.ask(lambda production: production.metadata_kinds)

    @contextmanager
    def _production(self) -> Generator[GenerationSearch]:
        """Lend the generation in production for one search. After a failure it is not lent again."""
        name = self.name_of_production()
        with self._lock:
            lent = self._current
            if lent is not None and lent.generation != name:
                # Another thread may have opened a newer generation while this one waited: never switch back.
                name = self.name_of_production()
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

    def name_of_production(self) -> str:
        """Return the generation in production. Raises `RefusedError` if there is none yet."""
        production = self._store.production_state().production
        if production is None:
            raise nothing_in_production(self._place)
        return production

    def _switch_to(self, search: GenerationSearch | None) -> None:
        """Lend this one from now on, and close the others without a search. The caller holds the lock."""
        self._current = search
        if search is not None:
            self._searches_in.setdefault(search, 0)
        idle = [one for one, count in self._searches_in.items() if count == 0 and one is not search]
        for one in idle:
            del self._searches_in[one]
            with suppress(VectorStoreUnavailable):
                one.close()

    def open(self, generation: str) -> GenerationSearch:
        """Return a search in one generation, in production or not."""
        manifest = self._store.manifest(generation)
        if manifest is None:
            raise VectorStoreUnavailable(f"generation {generation} was deleted: retry")
        if manifest.damaged:
            # Most answers are still right. Refusing all of them until the next refresh would be an outage.
            _logger.warning(
                "answers may be wrong: %s. Materialize all assets to rebuild it", manifest.damaged
            )
        if self._embedder is None or self._embedder[0] != generation:
            self._embedder = (generation, self._embedder_of(manifest))
        return GenerationSearch(
            self._store.read(generation),
            self._embedder[1],
            self._dense_weight,
            kinds_from_text(manifest.metadata_kinds),
            self.metadata_indexes,
            manifest,
        )

    def close(self) -> None:
        """Close the open generations. One with a search in progress is closed at the end of that search."""
        with self._lock:
            self._switch_to(None)
        if self._owns_store:
            self._store.close()
