"""The points of one generation as Parquet: the same form for every vector store.

So a backup of the embedded store restores into a Qdrant server, and the other way. Vectors are float32, bit for bit.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_assets.records import Point, SparseVector

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 1024


def _schema(dimensions: int) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("payload", pa.large_string()),
            ("vector", pa.list_(pa.float32(), dimensions)),
            ("sparse_indices", pa.list_(pa.uint32())),
            ("sparse_values", pa.list_(pa.float32())),
        ]
    )


def write_points(path: Path, batches: Iterable[Sequence[Point]], dimensions: int) -> None:
    """Write points with both vectors into an existing empty file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(dimensions)
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for points in batches:
            if not points:
                continue
            sparse = [point.sparse or SparseVector((), ()) for point in points]
            flat = np.concatenate([np.asarray(point.vector, dtype=np.float32) for point in points])
            columns = [
                pa.array([point.id for point in points], schema.field("id").type),
                pa.array(
                    [json.dumps(point.payload, ensure_ascii=False) for point in points], pa.large_string()
                ),
                pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), dimensions),
                pa.array([one.indices for one in sparse], schema.field("sparse_indices").type),
                pa.array([one.values for one in sparse], schema.field("sparse_values").type),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def read_points(path: Path) -> Iterator[list[Point]]:
    """Yield the points in the order of writing, in batches."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as parquet:
        for batch in parquet.iter_batches(batch_size=_ROWS):
            columns: dict[str, Any] = {
                name: batch.column(name).to_pylist()
                for name in ("id", "payload", "sparse_indices", "sparse_values")
            }
            vectors = batch.column("vector").flatten().to_numpy().reshape(batch.num_rows, -1)
            yield [
                Point(point_id, json.loads(payload), vector, SparseVector(tuple(indices), tuple(values)))
                for point_id, payload, vector, indices, values in zip(
                    columns["id"],
                    columns["payload"],
                    vectors,
                    columns["sparse_indices"],
                    columns["sparse_values"],
                    strict=True,
                )
            ]
