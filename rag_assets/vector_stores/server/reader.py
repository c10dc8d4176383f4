"""Reading one sealed generation of the server store."""

import contextlib
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rag_assets.backports import batched
from rag_assets.errors import HandleClosed
from rag_assets.records import Point, ScoredPoint, SearchFilter, SparseVector, Vector
from rag_assets.vector_stores.base import DENSE, SPARSE
from rag_assets.vector_stores.filters import parse_filter
from rag_assets.vector_stores.point_checks import check_point_ids
from rag_assets.vector_stores.ranking import rank_exactly
from rag_assets.vector_stores.reading import checked_search, point_from
from rag_assets.vector_stores.server.client import check_supported, server_filter
from rag_assets.vector_stores.server.limits import CollectionLimits, count_points, in_requests, scroll
from rag_assets.vector_stores.server.server_errors import server_errors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


class ServerGenerationReader:
    """Reads one sealed generation. See `GenerationReader`."""

    def __init__(
        self,
        client: "QdrantClient",
        collection: str,
        generation: str,
        dimensions: int,
        limits: CollectionLimits | None = None,
    ) -> None:
        self.generation = generation
        self.limits = limits or CollectionLimits()
        self.dimensions = dimensions
        self._client = client
        self._collection = collection
        self._closed = False

    def close(self) -> None:
        self._closed = True

    def count(self) -> int:
        with self._errors("count"):
            return count_points(self._client, self._collection, self.limits)

    def retrieve(self, point_ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
        check_point_ids(point_ids)
        points: list[Point] = []
        for batch in batched(dict.fromkeys(point_ids), 512):
            with self._errors("read"):
                found = self._client.retrieve(
                    self._collection, list(batch), with_payload=True, with_vectors=with_vectors
                )
            points += [point_from(record, with_vectors) for record in found]
        return points

    def scroll(
        self,
        batch_size: int = 512,
        *,
        search_filter: SearchFilter | None = None,
        with_vectors: bool = False,
    ) -> Iterator[list[Point]]:
        clauses = parse_filter(search_filter)
        if clauses.nothing:
            return
        check_supported(self._client, clauses)
        pages = scroll(
            self._client,
            self._collection,
            self.limits,
            batch_size,
            only=server_filter(clauses),
            with_vectors=with_vectors,
        )
        while True:
            with self._errors("read"):
                records = next(pages, None)
            if records is None:
                return
            yield [point_from(record, with_vectors) for record in records]

    def search(
        self,
        dense: Vector,
        sparse: SparseVector | None,
        limit: int,
        search_filter: SearchFilter | None = None,
        *,
        with_payload: bool = True,
    ) -> tuple[list[ScoredPoint], list[ScoredPoint]]:
        from qdrant_client import models

        search = checked_search(
            dense, sparse, limit, search_filter, generation=self.generation, dimensions=self.dimensions
        )
        if search is None:
            return [], []
        check_supported(self._client, search.clauses)
        conditions = server_filter(search.clauses)
        queries: list[tuple[str, Any]] = [(DENSE, search.vector)]
        if search.sparse is not None:
            lists = models.SparseVector(
                indices=list(search.sparse.indices), values=list(search.sparse.values)
            )
            queries.append((SPARSE, lists))

        self.limits.check_results(limit)

        def fetch(how_many: int) -> list[list[ScoredPoint]]:
            requests = [
                models.QueryRequest(
                    query=query,
                    using=using,
                    filter=conditions,
                    limit=self.limits.page(how_many),
                    with_payload=with_payload,
                )
                for using, query in queries
            ]
            with self._errors("search"):
                answers = [
                    answer
                    for some in in_requests(requests, self.limits)
                    for answer in self._client.query_batch_points(self._collection, some)
                ]
            return [[ScoredPoint(str(p.id), p.score, p.payload or {}) for p in one.points] for one in answers]

        ranked = rank_exactly(fetch, limit)
        return ranked[0], ranked[1] if len(ranked) > 1 else []

    @contextlib.contextmanager
    def _errors(self, doing: str) -> Generator[None]:
        if self._closed:
            raise HandleClosed(f"the reader of generation {self.generation} is closed")
        with server_errors(self._client, f"{doing} generation {self.generation}", quote=False):
            yield
