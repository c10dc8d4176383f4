"""Qdrant's engine in this process: shards, their indexes and filters, and errors.

Conditions for trusting the engine, learned by experiment (see DESIGN.md, and the tests):

- A folder being written has one writer and no reader. A second `load()` there made the writer lose points.
- Only `flush()` makes points durable. `close()` proves nothing, and any error may have come half-way.
- `load()` of an incomplete folder destroys the rest, so names and sizes of all files are compared first.
- A full disk ends the process (SIGBUS), so the free space is checked first.
- A handle does not survive `fork`: a query through it hangs.
- No optimizer ever runs: its segments count deleted texts in the inverse document frequency. Even without an optimizer,
  the writer's own handle counts them until the shard is opened again.
"""

import contextlib
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_assets.document_metadata.policy import MetadataIndexes, MetadataKind
from rag_assets.errors import RagAssetsError, VectorStoreUnavailable
from rag_assets.records import Point, SparseVector
from rag_assets.vector_stores.base import DENSE, SPARSE
from rag_assets.vector_stores.filters import LOCATIONS, Clause, Clauses, conditions_of
from rag_assets.vector_stores.indexed_fields import (
    DATETIME_FIELDS,
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    LOCATION_DATETIME_FIELDS,
    LOCATION_KEYWORD_FIELDS,
)
from rag_assets.vector_stores.metadata_conditions import metadata_path

if TYPE_CHECKING:
    import qdrant_edge

_FOUND_BY_SCAN = ("embedding_model", "token_count", "total_chunks")
"""Fields filtered without an index: constant in a generation, or rarely filtered.

An index costs a fortieth of writing, and 12 MB of pages read by every opening of a generation. A scan takes 90 ms at
20,000 points.
"""


def create_shard(
    folder: Path, dimensions: int, metadata_indexes: MetadataIndexes | None = None
) -> "qdrant_edge.EdgeShard":
    """Create an empty shard with its indexes in an existing empty folder.

    Args:
        metadata_indexes: metadata key -> kind of its index.
    """
    import qdrant_edge as edge

    config = edge.EdgeConfig(
        vectors={DENSE: edge.EdgeVectorParams(size=dimensions, distance=edge.Distance.Cosine)},
        sparse_vectors={SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        optimizers=edge.EdgeOptimizersConfig(
            indexing_threshold=10**9, deleted_threshold=0.0001, vacuum_min_vector_number=1
        ),
        wal_enabled=False,
    )
    shard = edge.EdgeShard.create(str(folder), config)
    for field, params in _index_params():
        shard.update(edge.UpdateOperation.create_field_index(field, params))
    create_metadata_indexes(shard, metadata_indexes or {})
    return shard


def create_metadata_indexes(shard: "qdrant_edge.EdgeShard", indexes: MetadataIndexes) -> None:
    """Create the indexes that a shard does not have yet: 0.13 s at 20,000 points, and nothing for the others."""
    import qdrant_edge as edge

    for key, kind in sorted(indexes.items()):
        field = f"{LOCATIONS}[].{metadata_path(key)}"
        shard.update(edge.UpdateOperation.create_field_index(field, _metadata_index(kind)))


def load_shard(folder: Path) -> "qdrant_edge.EdgeShard":
    import qdrant_edge as edge

    return edge.EdgeShard.load(str(folder))


def count_points(shard: "qdrant_edge.EdgeShard") -> int:
    import qdrant_edge as edge

    return shard.count(edge.CountRequest(exact=True))


def _index_params() -> list[tuple[str, Any]]:
    """Return (field, parameters) of every payload index.

    `nested` makes each location an entry of its own, for conditions on one and the same location: 5 ms instead of 28 at
    20,000 points, and the same results in 19,000 random comparisons.
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


def _metadata_index(kind: MetadataKind) -> Any:
    import qdrant_edge as edge

    match kind:
        case "keyword":
            return edge.KeywordIndexParams(prefix=True, nested=LOCATIONS)
        case "integer":
            return edge.IntegerIndexParams(lookup=True, range=True, nested=LOCATIONS)
        case "float":
            return edge.FloatIndexParams(nested=LOCATIONS)
        case "datetime":
            return edge.DatetimeIndexParams(nested=LOCATIONS)
        case "bool":
            return edge.BoolIndexParams(nested=LOCATIONS)


def engine_points(points: Sequence[Point], rows: Iterable[list[float]]) -> "list[qdrant_edge.Point]":
    """Convert points, with their dense vectors, to points of the engine."""
    import qdrant_edge as edge

    batch: list[edge.Point] = []
    for point, row in zip(points, rows, strict=True):
        named: dict[str, Any] = {DENSE: row}
        if point.sparse is not None and point.sparse.indices:
            named[SPARSE] = edge.SparseVector(list(point.sparse.indices), list(point.sparse.values))
        batch.append(edge.Point(point.id, named, point.payload))
    return batch


def is_as_sent(record: "qdrant_edge.Record | None", point: Point, row: list[float]) -> bool:
    """Whether a record holds exactly this point. One with a normalized vector or a rounded weight does not."""
    if record is None or record.payload != point.payload:
        return False
    named: Any = record.vector
    sent, stored = point.sparse or SparseVector((), ()), named.get(SPARSE)
    if stored is None:
        return named[DENSE] == row and not sent.indices
    same = tuple(stored.indices) == sent.indices and tuple(stored.values) == sent.values
    return same and named[DENSE] == row


def engine_filter(clauses: Clauses) -> "qdrant_edge.Filter | None":
    import qdrant_edge as edge

    def nested(inner: list[Any]) -> Any:
        return edge.NestedCondition(LOCATIONS, edge.Filter(must=inner))

    def either(inner: list[Any]) -> Any:
        return edge.Filter(should=inner)

    conditions: list[Any] = conditions_of(clauses, _engine_condition, nested, either)
    return edge.Filter(must=conditions) if conditions else None


def _engine_condition(clause: Clause, prefix: str) -> "qdrant_edge.FieldCondition":
    import qdrant_edge as edge

    key, value = prefix + clause.key, clause.value
    if clause.match == "equals":
        # The engine takes True of Python for the number 1, but a boolean of numpy for a boolean.
        exact: Any = np.bool_(value) if isinstance(value, bool) else value
        return edge.FieldCondition(key=key, match=edge.MatchValue(exact))
    if clause.match == "any_of":
        return edge.FieldCondition(key=key, match=edge.MatchAny(value))
    if clause.match == "prefix":
        return edge.FieldCondition(key=key, match=edge.MatchPrefix(value))
    if clause.match == "number_range":
        return edge.FieldCondition(key=key, range=edge.RangeFloat(**value))
    bounds = {bound: date.isoformat() for bound, date in value.items()}
    return edge.FieldCondition(key=key, range=edge.RangeDateTime(**bounds))


@contextlib.contextmanager
def engine_errors(what: str) -> Generator[None]:
    """Turn errors and panics of the engine into `VectorStoreUnavailable`."""
    try:
        yield
    except (RagAssetsError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:
        # A panic of the engine is a BaseException, missed by any `except Exception`.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise VectorStoreUnavailable(f"{what}: {type(error).__name__}: {str(error)[:200]}") from error
