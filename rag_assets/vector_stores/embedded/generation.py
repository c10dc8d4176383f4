"""One generation of the embedded store: writing it, and reading it, through Qdrant's own engine.

What the engine needs to be trusted, learned by experiment (see DESIGN.md, and the tests):

- one writer a folder, and nobody else looks in: a second `load()` there made the writer lose points;
- only `flush()` makes durable, `close()` proves nothing, and any error may have come half-way;
- `load()` of an incomplete folder destroys what is left, so names and sizes of all files are compared first;
- a full disk ends the process (SIGBUS), so the space is checked first;
- a handle does not survive `fork`: a query through it hangs;
- no optimizer ever runs: its segments count deleted texts in the inverse document frequency. Even without,
  the writer's own handle does so until the shard is opened again.
"""

import contextlib
import os
import shutil
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from rag_assets.disk.durability import fsync_tree
from rag_assets.disk.sparse_copy import allocated_bytes, copy_sparse
from rag_assets.disk.state_files import (
    FORMAT_VERSION,
    disk_errors,
    read_json,
    require_free_space,
    write_json,
)
from rag_assets.errors import (
    ConfigurationError,
    GenerationDamaged,
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
    DATETIME_FIELDS,
    DENSE,
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    LOCATION_DATETIME_FIELDS,
    LOCATION_KEYWORD_FIELDS,
    SPARSE,
    ProgressCallback,
)
from rag_assets.vector_stores.filters import LOCATIONS, Clause, Clauses, parse_filter
from rag_assets.vector_stores.manifest_format import manifest_to_json
from rag_assets.vector_stores.point_checks import (
    ascending,
    check_payload,
    check_point_ids,
    checked_points,
    checked_query,
)
from rag_assets.vector_stores.ranking import rank_exactly

if TYPE_CHECKING:
    import qdrant_edge

    from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore

UPSERT_BATCH = 128
REBUILD_MIN_TOMBSTONES = 1000
REBUILD_TOMBSTONE_SHARE = 0.25
"""A base with more deleted slots than both is read into a fresh shard instead of being copied."""
FREE_BYTES_TO_BEGIN = 256 * 2**20
FREE_BYTES_TO_GO_ON = 64 * 2**20
COPY_HEADROOM = 1.2

_FOUND_BY_SCAN = ("embedding_model", "token_count", "total_chunks")
"""Filtered without an index: the same in a whole generation, or hardly ever asked for.

An index costs a fortieth of writing, and 12 MB of pages that every opening of a generation looks through; a scan takes
90 ms at 20,000 points.
"""

_REWRITTEN_BY_LOAD = "edge_config.json"
"""The one file that `load()` writes anew, with another size; every other file stays as it was sealed."""


class EmbeddedGenerationWriter:
    """Writes one candidate into a folder that nobody else knows. See `GenerationWriter`."""

    def __init__(
        self,
        store: "EmbeddedVectorStore",
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
        self._staging: Path | None = None
        self._shard: qdrant_edge.EdgeShard | None = None
        self._pid = 0
        self._tombstones = 0

    def __enter__(self) -> Self:
        if self._staging is not None:
            raise RefusedError(f"the writer of generation {self._generation} was used before")
        base = self._store.complete_base(self._base) if self._base is not None else None
        if base is not None and base[1]["dimensions"] != self._dimensions:
            raise ConfigurationError(
                f"generation {self._base} has {base[1]['dimensions']} dimensions, not {self._dimensions}: "
                "another model cannot be built on it"
            )
        self._pid = os.getpid()
        self._staging = self._store.begin_staging(self._generation)
        try:
            with disk_errors(self._staging):
                require_free_space(self._staging, FREE_BYTES_TO_BEGIN)
                if base is None:
                    self._shard = self._fresh()
                elif is_worn(base[1]):
                    self._shard = self._rebuilt_from(*base)
                else:
                    self._shard = self._copied_from(*base)
                self._report(base[1]["points"] if base else 0, base[1]["points"] if base else 0)
        except BaseException:
            self._abandon()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._abandon()

    def upsert(self, points: Sequence[Point]) -> None:
        shard = self._alive()
        vectors = checked_points(points, self._dimensions)
        with self._engine("write points"):
            self._send(shard, points, vectors)

    def delete(self, point_ids: Sequence[str]) -> None:
        import qdrant_edge as edge

        shard = self._alive()
        check_point_ids(point_ids)
        with self._engine("delete points"):
            for batch in _batches(list(dict.fromkeys(point_ids)), 1024):
                there = [str(record.id) for record in shard.retrieve(list(batch), False, False)]
                if there:
                    shard.update(edge.UpdateOperation.delete_points(list(there)))
                # A deleted point leaves its slot behind, a rewritten one reuses it.
                self._tombstones += len(there)

    def set_payload(self, payloads: Mapping[str, Payload]) -> None:
        import qdrant_edge as edge

        shard = self._alive()
        check_point_ids(list(payloads))
        for point_id, fields in payloads.items():
            check_payload(point_id, fields)
        for batch in _batches(list(payloads), 512):
            with self._engine("read points"):
                there = {
                    str(record.id): record.payload or {}
                    for record in shard.retrieve(list(batch), True, False)
                }
            missing = [point_id for point_id in batch if point_id not in there]
            if missing:
                raise StaleInputError(
                    f"point {missing[0]} is not in generation {self._generation}: the changes were made for "
                    "another base"
                )
            with self._engine("write payloads"):
                self._require_space()
                for point_id in batch:
                    # The engine's own `set_payload` takes null for "remove the field".
                    merged = {**there[point_id], **payloads[point_id]}
                    shard.update(edge.UpdateOperation.overwrite_payload([point_id], merged))

    def seal(self, manifest: GenerationManifest) -> None:
        shard = self._alive()
        if manifest.generation != self._generation:
            raise RefusedError(
                f"the manifest of {manifest.generation} cannot seal generation {self._generation}"
            )
        staging = self._staging
        assert staging is not None  # noqa: S101 - `_alive` has seen to it
        with self._engine("make the points durable"):
            self._require_space()
            shard.flush()
            counts = [_count(shard)]
            shard.close()
            self._shard = None
            # What a reader will see, not what the writer remembers.
            shard = _load(staging / "shard")
            counts.append(_count(shard))
            shard.close()
        if counts != [manifest.points_count] * 2:
            self._abandon()
            raise VectorStoreUnavailable(
                f"generation {self._generation} holds {counts[0]} points, {counts[1]} after opening it again, "
                f"and should hold {manifest.points_count}; it was discarded"
            )
        try:
            with disk_errors(staging):
                fsync_tree(staging / "shard")
                write_json(
                    staging / "manifest.json",
                    {
                        "format_version": FORMAT_VERSION,
                        "manifest": manifest_to_json(manifest),
                        "points": counts[0],
                        "dimensions": self._dimensions,
                        "tombstones": self._tombstones,
                        "files": _file_sizes(staging / "shard"),
                    },
                )
                self._store.publish(staging, self._generation)
        except BaseException:
            self._abandon()
            raise

    def _alive(self) -> "qdrant_edge.EdgeShard":
        if self._shard is None:
            raise VectorStoreUnavailable(
                f"generation {self._generation} is not being written: it was sealed, failed, or never begun"
            )
        if self._pid != os.getpid():
            raise VectorStoreUnavailable(
                f"generation {self._generation} is written by process {self._pid}; a writer does not survive fork"
            )
        return self._shard

    @contextlib.contextmanager
    def _engine(self, doing: str) -> Generator[None]:
        """Any error of the engine ends the stage: what it did before the error is not known."""
        try:
            with _engine_errors(f"cannot {doing} of generation {self._generation}"):
                yield
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        shard, self._shard = self._shard, None
        if self._pid != os.getpid():
            return
        if shard is not None:
            with contextlib.suppress(Exception):
                shard.close()
        if self._staging is not None:
            shutil.rmtree(self._staging, ignore_errors=True)

    def _require_space(self) -> None:
        if self._staging is not None:
            require_free_space(self._staging, FREE_BYTES_TO_GO_ON)

    def _report(self, done: int, total: int) -> None:
        if self._on_progress is not None and total:
            self._on_progress(done, total)

    def _send(
        self, shard: "qdrant_edge.EdgeShard", points: Sequence[Point], vectors: Iterable[Vector]
    ) -> None:
        import qdrant_edge as edge

        rows = list(vectors)
        for first in range(0, len(points), UPSERT_BATCH):
            self._require_space()
            batch: list[edge.Point] = []
            for point, row in zip(points[first : first + UPSERT_BATCH], rows[first:], strict=False):
                named: dict[str, Any] = {DENSE: row.tolist()}
                if point.sparse is not None and point.sparse.indices:
                    named[SPARSE] = edge.SparseVector(list(point.sparse.indices), list(point.sparse.values))
                batch.append(edge.Point(point.id, named, point.payload))
            shard.update(edge.UpdateOperation.upsert_points(batch))

    def _fresh(self) -> "qdrant_edge.EdgeShard":
        import qdrant_edge as edge

        assert self._staging is not None  # noqa: S101 - set by `__enter__`
        folder = self._staging / "shard"
        folder.mkdir(mode=0o700)
        config = edge.EdgeConfig(
            vectors={DENSE: edge.EdgeVectorParams(size=self._dimensions, distance=edge.Distance.Cosine)},
            sparse_vectors={SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
            optimizers=edge.EdgeOptimizersConfig(
                indexing_threshold=10**9, deleted_threshold=0.0001, vacuum_min_vector_number=1
            ),
            wal_enabled=False,
        )
        with _engine_errors(f"cannot begin generation {self._generation}"):
            shard = edge.EdgeShard.create(str(folder), config)
            for field, params in _index_params():
                shard.update(edge.UpdateOperation.create_field_index(field, params))
        return shard

    def _copied_from(self, base: Path, stored: dict[str, Any]) -> "qdrant_edge.EdgeShard":
        assert self._staging is not None  # noqa: S101 - set by `__enter__`
        source, target = base / "shard", self._staging / "shard"
        points: int = stored["points"]
        sizes = {name: (source / name).stat().st_blocks * 512 for name in stored["files"]}
        total = sum(sizes.values())
        require_free_space(self._staging, int(total * COPY_HEADROOM) + FREE_BYTES_TO_BEGIN)
        target.mkdir(mode=0o700)
        done, reported = 0, 0
        # Only the files that were sealed: a reader that opens the base now may leave a temporary one there.
        for name, size in sizes.items():
            (target / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            copy_sparse(source / name, target / name)
            done += size
            if done - reported > 64 * 2**20:
                reported = done
                self._report(min(points, points * done // max(total, 1)), points)
        check_files(target, stored["files"])
        self._tombstones = stored["tombstones"]
        with _engine_errors(f"cannot open the copy of generation {self._base}"):
            shard = _load(target)
            self._require_points(_count(shard), points)
        return shard

    def _rebuilt_from(self, base: Path, stored: dict[str, Any]) -> "qdrant_edge.EdgeShard":
        points: int = stored["points"]
        require_free_space(base, int(allocated_bytes(base) * COPY_HEADROOM) + FREE_BYTES_TO_BEGIN)
        shard = self._fresh()
        reader = EmbeddedGenerationReader(base.name, base, points, self._dimensions)
        done = 0
        try:
            for batch in reader.scroll(batch_size=1024, with_vectors=True):
                with _engine_errors(f"cannot copy generation {self._base}"):
                    self._send(shard, batch, [p.vector for p in batch if p.vector is not None])
                done += len(batch)
                self._report(done, points)
            self._require_points(_count(shard), points)
        finally:
            reader.close()
        return shard

    def _require_points(self, found: int, expected: int) -> None:
        if found != expected:
            raise VectorStoreUnavailable(
                f"the copy of generation {self._base} holds {found} points instead of {expected}"
            )


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
        with _engine_errors(f"cannot count generation {self.generation}"):
            return _count(self._handle())

    def retrieve(self, point_ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
        check_point_ids(point_ids)
        if not point_ids:
            return []
        with _engine_errors(f"cannot read generation {self.generation}"):
            records = self._handle().retrieve(list(dict.fromkeys(point_ids)), True, with_vectors)
        return [_point(record, with_vectors) for record in records]

    def scroll(self, batch_size: int = 512, *, with_vectors: bool = False) -> Iterator[list[Point]]:
        import qdrant_edge as edge

        offset: Any = None
        while True:
            with _engine_errors(f"cannot read generation {self.generation}"):
                records, offset = self._handle().scroll(
                    edge.ScrollRequest(
                        offset=offset, limit=batch_size, with_payload=True, with_vector=with_vectors
                    )
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
        import qdrant_edge as edge

        vector = checked_query(dense, sparse)
        clauses = parse_filter(search_filter)
        if len(vector) != self._dimensions:
            raise InvalidVectorError(
                f"the query has {len(vector)} dimensions, generation {self.generation} has {self._dimensions}: "
                "it was embedded by another model"
            )
        if limit < 1 or clauses.nothing:
            return [], []
        queries: list[Any] = [edge.Query.Nearest(vector, using=DENSE)]
        if sparse is not None and sparse.indices:
            lists = edge.SparseVector(list(sparse.indices), list(sparse.values))
            queries.append(edge.Query.Nearest(lists, using=SPARSE))
        engine_filter = _engine_filter(clauses)

        def fetch(how_many: int) -> list[list[ScoredPoint]]:
            with _engine_errors(f"cannot search generation {self.generation}"):
                found = self._handle().query_batch(
                    edge.QueryBatchRequest(
                        [
                            edge.QueryRequest(query=query, filter=engine_filter, limit=how_many)
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
        """Look the payloads up afterwards: more is fetched than is returned, and one point may be in both lists."""
        ids = [point.id for points in ranked for point in points]
        payloads = {point.id: point.payload for point in self.retrieve(ids)}
        return [[replace(point, payload=payloads[point.id]) for point in points] for points in ranked]

    def _handle(self) -> "qdrant_edge.EdgeShard":
        if self._closed:
            raise VectorStoreUnavailable(f"the reader of generation {self.generation} is closed")
        if self._pid != os.getpid():
            # The threads of the parent's handle were not copied: using it would hang.
            self._shard = self._open()
            self._pid = os.getpid()
        return self._shard

    def _open(self) -> "qdrant_edge.EdgeShard":
        stored = read_json(self._folder / "manifest.json")
        if stored is None:
            raise GenerationDamaged(f"generation {self.generation} is gone")
        shard_folder = self._folder / "shard"
        check_files(shard_folder, stored["files"])
        if not os.access(shard_folder, os.W_OK):
            raise VectorStoreUnavailable(
                f"{shard_folder} cannot be written to: the engine needs that even for reading"
            )
        with _engine_errors(f"cannot open generation {self.generation}"):
            shard = _load(shard_folder)
            found = _count(shard)
        if found != self._points:
            shard.close()
            raise GenerationDamaged(
                f"generation {self.generation} holds {found} points instead of {self._points}"
            )
        return shard


def _load(folder: Path) -> "qdrant_edge.EdgeShard":
    import qdrant_edge as edge

    return edge.EdgeShard.load(str(folder))


def _count(shard: "qdrant_edge.EdgeShard") -> int:
    import qdrant_edge as edge

    return shard.count(edge.CountRequest(exact=True))


def _index_params() -> list[tuple[str, Any]]:
    """Return (field, parameters) of every payload index.

    `nested` makes each location an entry of its own, which is what answers a condition on one and the same
    location: 5 ms instead of 28 at 20,000 points, and the same results in 19,000 random comparisons.
    """
    import qdrant_edge as edge

    text = [(field, edge.KeywordIndexParams()) for field in KEYWORD_FIELDS]
    numbers = [(field, edge.IntegerIndexParams(lookup=True, range=True)) for field in INTEGER_FIELDS]
    dates = [(field, edge.DatetimeIndexParams()) for field in DATETIME_FIELDS]
    location_text = [
        (f"{LOCATIONS}[].{field}", edge.KeywordIndexParams(prefix=True, nested=LOCATIONS))
        for field in LOCATION_KEYWORD_FIELDS
    ]
    location_dates = [
        (f"{LOCATIONS}[].{field}", edge.DatetimeIndexParams(nested=LOCATIONS))
        for field in LOCATION_DATETIME_FIELDS
    ]
    of_point = [(field, params) for field, params in (*text, *numbers, *dates) if field not in _FOUND_BY_SCAN]
    return [*of_point, *location_text, *location_dates]


def _engine_filter(clauses: Clauses) -> "qdrant_edge.Filter | None":
    import qdrant_edge as edge

    conditions: list[Any] = [_engine_condition(clause) for clause in clauses.of_point]
    if len(clauses.of_location) == 1:
        conditions.append(_engine_condition(clauses.of_location[0], f"{LOCATIONS}[]."))
    elif clauses.of_location:
        inner: list[Any] = [_engine_condition(clause) for clause in clauses.of_location]
        conditions.append(edge.NestedCondition(LOCATIONS, edge.Filter(must=inner)))
    return edge.Filter(must=conditions) if conditions else None


def _engine_condition(clause: Clause, prefix: str = "") -> "qdrant_edge.FieldCondition":
    import qdrant_edge as edge

    key, value = prefix + clause.key, clause.value
    if clause.match == "equals":
        return edge.FieldCondition(key=key, match=edge.MatchValue(value))
    if clause.match == "any_of":
        return edge.FieldCondition(key=key, match=edge.MatchAny(value))
    if clause.match == "prefix":
        return edge.FieldCondition(key=key, match=edge.MatchPrefix(value))
    if clause.match == "number_range":
        return edge.FieldCondition(key=key, range=edge.RangeFloat(**value))
    bounds = {bound: date.isoformat() for bound, date in value.items()}
    return edge.FieldCondition(key=key, range=edge.RangeDateTime(**bounds))


def _point(record: "qdrant_edge.Record", with_vectors: bool) -> Point:
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


def is_worn(stored: dict[str, Any]) -> bool:
    """Whether so many slots are deleted that a fresh shard is better than a copy."""
    return stored["tombstones"] > max(REBUILD_MIN_TOMBSTONES, REBUILD_TOMBSTONE_SHARE * stored["points"])


def _file_sizes(shard_folder: Path) -> dict[str, int]:
    return {
        path.relative_to(shard_folder).as_posix(): path.stat().st_size
        for path in sorted(shard_folder.rglob("*"))
        if path.is_file() and ".atomicwrite" not in path.as_posix()
    }


def check_files(shard_folder: Path, files: dict[str, int]) -> None:
    """Raises: GenerationDamaged: a file is missing or has another size. Nothing was opened."""
    for name, size in files.items():
        try:
            found = (shard_folder / name).stat().st_size
        except OSError:
            raise GenerationDamaged(
                f"{shard_folder / name} is missing; the generation is not opened"
            ) from None
        if found != size and name != _REWRITTEN_BY_LOAD:
            raise GenerationDamaged(
                f"{shard_folder / name} has {found} bytes instead of {size}; the generation is not opened"
            )


@contextlib.contextmanager
def _engine_errors(what: str) -> Generator[None]:
    """Turn whatever the engine raises into `VectorStoreUnavailable`, panics among them."""
    try:
        yield
    except (RagAssetsError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:
        # A panic of the engine is a BaseException, and no `except Exception` would see it.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise VectorStoreUnavailable(f"{what}: {type(error).__name__}: {str(error)[:200]}") from error


def _batches(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for first in range(0, len(ids), size):
        yield ids[first : first + size]
