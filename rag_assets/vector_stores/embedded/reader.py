"""Reading one sealed generation of the embedded store."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_assets.disk.state_files import read_json
from rag_assets.errors import GenerationDamaged, HandleClosed, VectorStoreUnavailable
from rag_assets.records import Point, ScoredPoint, SearchFilter, SparseVector, Vector
from rag_assets.text.wording import counted
from rag_assets.vector_stores.base import DENSE, SPARSE
from rag_assets.vector_stores.embedded.engine import count_points, engine_errors, engine_filter, load_shard
from rag_assets.vector_stores.embedded.seal_comparison import check_files
from rag_assets.vector_stores.embedded.shard_copy import writable_shard
from rag_assets.vector_stores.filters import parse_filter
from rag_assets.vector_stores.point_checks import check_point_ids
from rag_assets.vector_stores.ranking import rank_exactly
from rag_assets.vector_stores.reading import checked_search, point_from

if TYPE_CHECKING:
    import qdrant_edge


class EmbeddedGenerationReader:
    """Reads one sealed generation. See `GenerationReader`."""

    def __init__(self, generation: str, folder: Path, points: int, dimensions: int) -> None:
        self.generation = generation
        self._folder = folder
        self._points = points
        self._dimensions = dimensions
        self._pid = os.getpid()
        self._closed = False
        self._shard = self._open()

    def close(self) -> None:
        if not self._closed and self._pid == os.getpid():
            with contextlib.suppress(Exception):
                self._shard.close()
        self._closed = True

    def count(self) -> int:
        with engine_errors(f"cannot count generation {self.generation}"):
            return count_points(self._handle())

    def retrieve(self, point_ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
        check_point_ids(point_ids)
        if not point_ids:
            return []
        with engine_errors(f"cannot read generation {self.generation}"):
            records = self._handle().retrieve(list(dict.fromkeys(point_ids)), True, with_vectors)
        return [point_from(record, with_vectors) for record in records]

    def scroll(
        self,
        batch_size: int = 512,
        *,
        search_filter: SearchFilter | None = None,
        with_vectors: bool = False,
    ) -> Iterator[list[Point]]:
        import qdrant_edge as edge

        clauses = parse_filter(search_filter)
        if clauses.nothing:
            return
        conditions = engine_filter(clauses)
        offset: Any = None
        while True:
            with engine_errors(f"cannot read generation {self.generation}"):
                records, offset = self._handle().scroll(
                    edge.ScrollRequest(
                        offset=offset,
                        limit=batch_size,
                        filter=conditions,
                        with_payload=True,
                        with_vector=with_vectors,
                    )
                )
            if records:
                yield [point_from(record, with_vectors) for record in records]
            if offset is None:
                return

    def search(
        self,
        dense: Vector,
        sparse: SparseVector | None,
        limit: int,
        search_filter: SearchFilter | None = None,
        *,
        with_payload: bool = True,
    ) -> tuple[list[ScoredPoint], list[ScoredPoint]]:
        import qdrant_edge as edge

        search = checked_search(
            dense, sparse, limit, search_filter, generation=self.generation, dimensions=self._dimensions
        )
        if search is None:
            return [], []
        queries: list[Any] = [edge.Query.Nearest(search.vector, using=DENSE)]
        if search.sparse is not None:
            lists = edge.SparseVector(list(search.sparse.indices), list(search.sparse.values))
            queries.append(edge.Query.Nearest(lists, using=SPARSE))
        conditions = engine_filter(search.clauses)

        def fetch(how_many: int) -> list[list[ScoredPoint]]:
            with engine_errors(f"cannot search generation {self.generation}"):
                found = self._handle().query_batch(
                    edge.QueryBatchRequest(
                        [
                            edge.QueryRequest(query=query, filter=conditions, limit=how_many)
                            for query in queries
                        ]
                    )
                )
            return [[ScoredPoint(str(p.id), p.score, {}) for p in one] for one in found]

        ranked = rank_exactly(fetch, limit)
        if with_payload:
            ranked = self._with_payloads(ranked)
        return ranked[0], ranked[1] if len(ranked) > 1 else []

    def _with_payloads(self, ranked: list[list[ScoredPoint]]) -> list[list[ScoredPoint]]:
        """Add the payloads at the end: more points are fetched than returned, and one may be in both lists."""
        ids = [point.id for points in ranked for point in points]
        payloads = {point.id: point.payload for point in self.retrieve(ids)}
        return [[replace(point, payload=payloads[point.id]) for point in points] for points in ranked]

    def _handle(self) -> "qdrant_edge.EdgeShard":
        if self._closed:
            raise HandleClosed(f"the reader of generation {self.generation} is closed")
        if self._pid != os.getpid():
            # The threads behind the parent's handle were not copied: a query would hang.
            self._shard = self._open()
            self._pid = os.getpid()
        return self._shard

    def _open(self) -> "qdrant_edge.EdgeShard":
        stored = read_json(self._folder / "manifest.json")
        if stored is None:
            # `EmbeddedVectorStore.read` found the manifest a moment ago, or this reader did before a fork.
            raise VectorStoreUnavailable(
                f"generation {self.generation} disappeared while it was opened: retry"
            )
        shard_folder = self._folder / "shard"
        check_files(shard_folder, stored["files"])
        with (
            writable_shard(shard_folder, stored["files"]) as opened,
            engine_errors(f"cannot open generation {self.generation}"),
        ):
            shard = load_shard(opened)
            found = count_points(shard)
        if found != self._points:
            shard.close()
            raise GenerationDamaged(
                f"generation {self.generation} has {counted(found, 'point')} instead of {self._points:,}"
            )
        return shard
