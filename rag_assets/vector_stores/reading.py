"""The common parts of all readers of a generation: checks of a search, and conversion of records to points."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rag_assets.errors import InvalidVectorError
from rag_assets.records import Point, SearchFilter, SparseVector, Vector
from rag_assets.text.wording import counted
from rag_assets.vector_stores.base import DENSE, SPARSE
from rag_assets.vector_stores.filters import Clauses, parse_filter
from rag_assets.vector_stores.point_checks import ascending, checked_query


@dataclass(frozen=True, slots=True)
class CheckedSearch:
    """A search after all checks.

    Attributes:
        vector: the dense vector of the query.
        sparse: None if it is missing or empty.
    """

    vector: list[float]
    sparse: SparseVector | None
    clauses: Clauses


def checked_search(
    dense: Vector,
    sparse: SparseVector | None,
    limit: int,
    search_filter: SearchFilter | None,
    *,
    generation: str,
    dimensions: int,
) -> CheckedSearch | None:
    """Check a search. Return None if it cannot find anything.

    Raises:
        InvalidVectorError: a vector of the query is unusable, or has another number of dimensions.
        ConfigurationError: the filter is unusable.
    """
    vector = checked_query(dense, sparse)
    clauses = parse_filter(search_filter)
    if len(vector) != dimensions:
        raise InvalidVectorError(
            f"the query has {counted(len(vector), 'dimension')}, generation {generation} has {dimensions}: it was "
            "embedded by another model"
        )
    if limit < 1 or clauses.nothing:
        return None
    return CheckedSearch(vector, sparse if sparse is not None and sparse.indices else None, clauses)


def point_from(record: Any, with_vectors: bool) -> Point:
    """Convert a record of Qdrant's engine, or of its client, to a point."""
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
