"""One generation of the server store: writing it, reading it, and what the server's errors mean."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from rag_assets.errors import (
    ConfigurationError,
    InvalidVectorError,
    RagAssetsError,
    RefusedError,
    StaleInputError,
    VectorStoreUnavailable,
)
from rag_assets.records import (
    GenerationManifest,
    Payload,
    Point,
    ScoredPoint,
    SearchFilter,
    SparseVector,
    Vector,
)
from rag_assets.vector_stores.base import (
    DENSE,
    SPARSE,
    ProgressCallback,
)
from rag_assets.vector_stores.filters import LOCATIONS, Clause, Clauses, parse_filter
from rag_assets.vector_stores.point_checks import (
    ascending,
    check_payload,
    check_point_ids,
    checked_points,
    checked_query,
)
from rag_assets.vector_stores.ranking import rank_exactly

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

    from rag_assets.vector_stores.server.store import ServerVectorStore

T = TypeVar("T")

BATCH = 128
ATTEMPTS = 3


class ServerGenerationWriter:
    """Writes one candidate into its own collection. See `GenerationWriter`."""

    def __init__(
        self,
        store: "ServerVectorStore",
        generation: str,
        dimensions: int,
        base: str | None,
        on_progress: ProgressCallback | None,
    ) -> None:
        self._store = store
        self._generation = generation
        self._dimensions = dimensions
        self._base = base
        self._on_progress = on_progress
        self._begun = False
        self._open: tuple[QdrantClient, str] | None = None

    def __enter__(self) -> Self:
        if self._begun:
            raise RefusedError(f"the writer of generation {self._generation} was used before")
        reader = self._store.read(self._base) if self._base is not None else None
        if reader is not None and reader.dimensions != self._dimensions:
            raise ConfigurationError(
                f"generation {self._base} has {reader.dimensions} dimensions, not {self._dimensions}: "
                "another model cannot be built on it"
            )
        self._open = self._store.create(self._generation, self._dimensions)
        self._begun = True
        try:
            if reader is not None:
                self._copy(reader)
        except BaseException:
            self._abandon()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._abandon()

    def upsert(self, points: Sequence[Point]) -> None:
        self._alive()
        self._send(points, checked_points(points, self._dimensions))

    def delete(self, point_ids: Sequence[str]) -> None:
        from qdrant_client import models

        client, name = self._alive()
        check_point_ids(point_ids)
        for batch in _batches(list(dict.fromkeys(point_ids)), 1024):
            selector = models.PointIdsList(points=list(batch))
            self._try("delete points", partial(client.delete, name, points_selector=selector, wait=True))

    def set_payload(self, payloads: Mapping[str, Payload]) -> None:
        from qdrant_client import models

        client, name = self._alive()
        check_point_ids(list(payloads))
        for point_id, fields in payloads.items():
            check_payload(point_id, fields)
        for batch in _batches(list(payloads), BATCH):
            found = self._try("read points", partial(client.retrieve, name, list(batch), with_payload=True))
            there = {str(record.id): record.payload or {} for record in found}
            missing = [point_id for point_id in batch if point_id not in there]
            if missing:
                raise StaleInputError(
                    f"point {missing[0]} is not in generation {self._generation}: the changes were made for "
                    "another base"
                )
            # The server's own `set_payload` takes null for "remove the field".
            operations = [
                models.OverwritePayloadOperation(
                    overwrite_payload=models.SetPayload(
                        payload={**there[point_id], **payloads[point_id]}, points=[point_id]
                    )
                )
                for point_id in batch
            ]
            self._try(
                "write payloads",
                partial(client.batch_update_points, name, operations, wait=True),
            )

    def seal(self, manifest: GenerationManifest) -> None:
        self._alive()
        if manifest.generation != self._generation:
            raise RefusedError(
                f"the manifest of {manifest.generation} cannot seal generation {self._generation}"
            )
        try:
            found = self._store.count(self._generation)
            if found != manifest.points_count:
                raise VectorStoreUnavailable(
                    f"generation {self._generation} holds {found} points and should hold "
                    f"{manifest.points_count}; it was discarded"
                )
            self._store.finish(self._generation, manifest)
        except BaseException:
            self._abandon()
            raise
        self._open = None

    def _alive(self) -> tuple["QdrantClient", str]:
        if self._open is None:
            raise VectorStoreUnavailable(
                f"generation {self._generation} is not being written: it was sealed, failed, or never begun"
            )
        return self._open

    def _abandon(self) -> None:
        self._open = None
        self._store.drop(self._generation)

    def _copy(self, reader: "ServerGenerationReader") -> None:
        total, done = reader.count(), 0
        for batch in reader.scroll(batch_size=BATCH, with_vectors=True):
            self._send(batch, [point.vector for point in batch if point.vector is not None])
            done += len(batch)
            if self._on_progress is not None:
                self._on_progress(done, total)
        if done != total:
            raise VectorStoreUnavailable(
                f"the copy of generation {self._base} holds {done} points instead of {total}"
            )

    def _send(self, points: Sequence[Point], vectors: Any) -> None:
        from qdrant_client import models

        client, name = self._alive()
        for first in range(0, len(points), BATCH):
            batch: list[Any] = []
            for point, vector in zip(points[first : first + BATCH], vectors[first:], strict=False):
                named: dict[str, Any] = {DENSE: vector.tolist()}
                if point.sparse is not None and point.sparse.indices:
                    named[SPARSE] = models.SparseVector(
                        indices=list(point.sparse.indices), values=list(point.sparse.values)
                    )
                batch.append(models.PointStruct(id=point.id, vector=named, payload=point.payload))
            self._try("write points", partial(client.upsert, name, batch, wait=True))

    def _try(self, doing: str, call: Callable[[], T]) -> T:
        """Call, again after a hiccup (ids are deterministic, so twice is once), and end the stage if it fails."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with server_errors(f"{doing} of generation {self._generation}", quote=False):
                    return call()
            except VectorStoreUnavailable as error:
                if attempt == ATTEMPTS or not isinstance(error, _Hiccup):
                    self._abandon()
                    raise
                time.sleep(0.5 * 4 ** (attempt - 1))
            except BaseException:
                self._abandon()
                raise
        raise AssertionError("unreachable")


class ServerGenerationReader:
    """Reads one sealed generation. See `GenerationReader`."""

    def __init__(self, client: "QdrantClient", collection: str, generation: str, dimensions: int) -> None:
        self.generation = generation
        self.dimensions = dimensions
        self._client = client
        self._collection = collection
        self._closed = False

    def close(self) -> None:
        self._closed = True

    def count(self) -> int:
        with self._errors("count"):
            return self._client.count(self._collection, exact=True).count

    def retrieve(self, point_ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
        check_point_ids(point_ids)
        points: list[Point] = []
        for batch in _batches(list(dict.fromkeys(point_ids)), 512):
            with self._errors("read"):
                found = self._client.retrieve(
                    self._collection, list(batch), with_payload=True, with_vectors=with_vectors
                )
            points += [_point(record, with_vectors) for record in found]
        return points

    def scroll(self, batch_size: int = 512, *, with_vectors: bool = False) -> Iterator[list[Point]]:
        offset: Any = None
        while True:
            with self._errors("read"):
                records, offset = self._client.scroll(
                    self._collection,
                    limit=batch_size,
                    offset=offset,
                    with_payload=True,
                    with_vectors=with_vectors,
                )
            if records:
                yield [_point(record, with_vectors) for record in records]
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
        from qdrant_client import models

        vector = checked_query(dense, sparse)
        clauses = parse_filter(search_filter)
        if len(vector) != self.dimensions:
            raise InvalidVectorError(
                f"the query has {len(vector)} dimensions, generation {self.generation} has {self.dimensions}: "
                "it was embedded by another model"
            )
        if limit < 1 or clauses.nothing:
            return [], []
        server_filter = _server_filter(clauses)
        queries: list[tuple[str, Any]] = [(DENSE, vector)]
        if sparse is not None and sparse.indices:
            lists = models.SparseVector(indices=list(sparse.indices), values=list(sparse.values))
            queries.append((SPARSE, lists))

        def fetch(how_many: int) -> list[list[ScoredPoint]]:
            with self._errors("search"):
                answers = self._client.query_batch_points(
                    self._collection,
                    [
                        models.QueryRequest(
                            query=query,
                            using=using,
                            filter=server_filter,
                            limit=how_many,
                            with_payload=with_payload,
                        )
                        for using, query in queries
                    ],
                )
            return [[ScoredPoint(str(p.id), p.score, p.payload or {}) for p in one.points] for one in answers]

        ranked = rank_exactly(fetch, limit)
        return ranked[0], ranked[1] if len(ranked) > 1 else []

    @contextlib.contextmanager
    def _errors(self, doing: str) -> Generator[None]:
        if self._closed:
            raise VectorStoreUnavailable(f"the reader of generation {self.generation} is closed")
        with server_errors(f"{doing} generation {self.generation}", quote=False):
            yield


class _Hiccup(VectorStoreUnavailable):
    """The server did not answer, or not now: the same call may succeed in a moment."""


def _server_filter(clauses: Clauses) -> "models.Filter | None":
    from qdrant_client import models

    conditions: list[Any] = [_server_condition(clause) for clause in clauses.of_point]
    if len(clauses.of_location) == 1:
        conditions.append(_server_condition(clauses.of_location[0], f"{LOCATIONS}[]."))
    elif clauses.of_location:
        inner: list[Any] = [_server_condition(clause) for clause in clauses.of_location]
        nested = models.Nested(key=LOCATIONS, filter=models.Filter(must=inner))
        conditions.append(models.NestedCondition(nested=nested))
    return models.Filter(must=conditions) if conditions else None


def _server_condition(clause: Clause, prefix: str = "") -> "models.FieldCondition":
    from qdrant_client import models

    key, value = prefix + clause.key, clause.value
    if clause.match == "equals":
        return models.FieldCondition(key=key, match=models.MatchValue(value=value))
    if clause.match == "any_of":
        return models.FieldCondition(key=key, match=models.MatchAny(any=value))
    if clause.match == "prefix":
        return models.FieldCondition(key=key, match=models.MatchPrefix(prefix=value))
    if clause.match == "number_range":
        return models.FieldCondition(key=key, range=models.Range(**value))
    return models.FieldCondition(key=key, range=models.DatetimeRange(**value))


def _point(record: "models.Record", with_vectors: bool) -> Point:
    if not with_vectors:
        return Point(str(record.id), record.payload or {})
    named: Any = record.vector or {}
    sparse = named.get(SPARSE)
    return Point(
        str(record.id),
        record.payload or {},
        np.asarray(named[DENSE], dtype=np.float32),
        ascending(sparse.indices, sparse.values) if sparse is not None else SparseVector((), ()),
    )


def _batches(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for first in range(0, len(ids), size):
        yield ids[first : first + size]


def is_missing(error: Exception) -> bool:
    from qdrant_client.http.exceptions import UnexpectedResponse

    if isinstance(error, UnexpectedResponse):
        return error.status_code == 404
    return isinstance(error, ValueError) and "not found" in str(error)


@contextlib.contextmanager
def server_errors(what: str, *, quote: bool = True) -> Generator[None]:
    """Turn what the client raises into our errors.

    Args:
        quote: whether the server's own words may be quoted. Never where documents were sent: it quotes them.
    """
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

    try:
        yield
    except RagAssetsError:
        raise
    except UnexpectedResponse as error:
        status = error.status_code or 0
        said = f": {error.content[:200]!r}" if quote else ""
        if status in (401, 403):
            raise ConfigurationError(
                f"the server at QDRANT_URL refused to {what} ({status}); check QDRANT_API_KEY"
            ) from None
        if status == 429 or status >= 500:
            raise _Hiccup(f"cannot {what}: the server answered {status}{said}") from None
        if status in (404, 409):
            raise VectorStoreUnavailable(f"cannot {what}: the server answered {status}{said}") from None
        raise ConfigurationError(f"cannot {what}: the server answered {status}{said}") from None
    except (ApiException, ResourceExhaustedResponse, OSError) as error:
        cause = getattr(error, "source", error)
        raise _Hiccup(
            f"cannot {what}: the server at QDRANT_URL does not answer ({type(cause).__name__})"
        ) from None
    except Exception as error:
        said = f": {str(error)[:200]}" if quote else ""
        raise VectorStoreUnavailable(f"cannot {what}: {type(error).__name__}{said}") from None
