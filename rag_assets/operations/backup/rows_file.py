"""Texts and ledger entries as Parquet: the same form for every ledger.

So a backup of the embedded ledger restores into Redis, and the other way.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_assets.document_metadata.values import Metadata
from rag_assets.ledgers.base import ParseRecord

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_BYTES = 16 * 2**20
_ROWS = 1000


def texts_schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([("content_hash", pa.string()), ("text", pa.large_string())])


def parses_schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([("source_uri", pa.string()), ("record", pa.large_string())])


def vectors_schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([("key", pa.binary()), ("vector", pa.list_(pa.float32()))])


def signatures_schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([("key", pa.binary()), ("signature", pa.binary())])


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], schema: "pa.Schema") -> int:
    """Write rows into an existing empty file, with a bounded amount of memory. Return their number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    num_rows = size = 0
    waiting: list[Mapping[str, Any]] = []
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
            waiting.clear()

        for row in rows:
            waiting.append(row)
            num_rows += 1
            size += sum(len(value) for value in row.values())
            if size > _BATCH_BYTES or len(waiting) >= 10 * _ROWS:
                flush()
                size = 0
        if waiting:
            flush()
    return num_rows


def read_rows(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows in batches, in the order of writing."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as parquet:
        for batch in parquet.iter_batches(batch_size=_ROWS):
            yield batch.to_pylist()


def parse_as_row(record: ParseRecord) -> dict[str, str]:
    fields = asdict(record)
    for name in ("metadata", "reading_metadata"):
        metadata: Metadata = getattr(record, name)
        fields[name] = [metadata.to_json(), list(metadata.left_out)]
    return {"source_uri": record.source_uri, "record": json.dumps(fields, ensure_ascii=False)}


def parse_from_row(row: Mapping[str, Any]) -> ParseRecord:
    fields: dict[str, Any] = json.loads(row["record"])
    for name in ("metadata", "reading_metadata"):
        values, left_out = fields[name]
        fields[name] = Metadata.of(Metadata.from_json(values), tuple(left_out))
    return ParseRecord(**fields)
