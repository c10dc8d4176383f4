"""Artifacts of one column."""

from typing import Any

import pyarrow as pa

from rag_assets.artifacts.parquet_artifact import Header
from rag_assets.artifacts.store import ArtifactStore

SCHEMA = pa.schema([("number", pa.int64())])


def header(refresh: str = "20260101T000000-a", base: str | None = "g1", **fingerprint: Any) -> Header:
    return Header(refresh, base, {"model": "m", **fingerprint})


def write(
    store: ArtifactStore, asset: str, run: str, numbers: int = 3, head: Header | None = None, **details: Any
) -> None:
    with store.write(asset, run, SCHEMA, head or header()) as (writer, found):
        for number in range(numbers):
            writer.write({"number": number})
        found.update(details)
