"""One artifact: typed Parquet with a header."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_assets.errors import StateFormatError
from rag_assets.fingerprint import short_hash

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT_VERSION = 1
READINGS = "readings"
"""Key in the details, see `Header.readings`."""
DATA_DIGEST = "data_sha256"
_ROW_GROUP = 1024


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Header:
    """The header of an artifact.

    Attributes:
        refresh_id: id of the reading of the sources behind the artifact.
        base: generation in production at the time of the decision, or None.
        fingerprint: index fingerprint of the work.
        details: facts about this artifact, such as counts.
    """

    refresh_id: str
    base: str | None
    fingerprint: dict[str, Any]
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    run_id: str = ""
    created_at: str = ""
    format_version: int = FORMAT_VERSION

    @property
    def readings(self) -> dict[str, int]:
        """Source -> number of the reading behind the artifact. Empty before readings were numbered."""
        return self.details.get(READINGS, {})

    @property
    def order(self) -> tuple[int, str]:
        """The place among all refreshes. The clock in the id decides only among readings without numbers."""
        return max(self.readings.values(), default=0), self.refresh_id

    @property
    def fingerprint_hash(self) -> str:
        return short_hash(self.fingerprint)


class ArtifactWriter:
    """Writes the rows of one artifact, with a bounded number in memory."""

    def __init__(self, folder: Path, schema: "pa.Schema") -> None:
        import pyarrow.parquet as pq

        self._schema = schema
        self._rows: list[Mapping[str, Any]] = []
        # No dictionary encoding: most columns have few repeated values, and vectors take a third of the time to write
        # and read.
        self._parquet = pq.ParquetWriter(
            folder / "data.parquet", schema, compression="zstd", use_dictionary=False
        )
        self.num_rows = 0

    def write(self, row: Mapping[str, Any]) -> None:
        self._rows.append(row)
        self.num_rows += 1
        if len(self._rows) >= _ROW_GROUP:
            self._flush()

    def write_table(self, table: "pa.Table") -> None:
        """Write columns instead of rows, for large data."""
        self._parquet.write_table(table)
        self.num_rows += table.num_rows

    def _flush(self) -> None:
        import pyarrow as pa

        self._parquet.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._parquet.close()


class Artifact:
    """One artifact, for reading."""

    def __init__(self, asset: str, folder: Path, header: Header, data_digest: str | None = None) -> None:
        self.asset = asset
        self._data_digest = data_digest
        self.folder = folder
        self.header = header

    @property
    def details(self) -> dict[str, Any]:
        return self.header.details

    @property
    def path(self) -> Path:
        return self.folder / "data.parquet"

    def num_rows(self) -> int:
        import pyarrow.parquet as pq

        return pq.read_metadata(self.path).num_rows

    def columns(self) -> dict[str, str]:
        """Return name -> Arrow type."""
        import pyarrow.parquet as pq

        return {field.name: str(field.type) for field in pq.read_schema(self.path)}

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the rows in the order of writing, with a bounded number in memory."""
        for batch in self.batches(columns):
            yield from batch.to_pylist()

    def find_rows(self, column: str, value: str | int) -> list[dict[str, Any]]:
        """Return the rows with this value in this column."""
        import pyarrow.parquet as pq

        # Not `hive`, the default: a folder named `a=b` in the path would become a column.
        partitioning: Any = None
        path = self.path
        self._check_unchanged(path)
        return pq.read_table(path, filters=[(column, "==", value)], partitioning=partitioning).to_pylist()

    def _check_unchanged(self, path: Path) -> None:
        """Compare the file with its digest, once. Artifacts of earlier versions have none."""
        if self._data_digest is not None and file_digest(path) != self._data_digest:
            raise StateFormatError(
                f"{path} was changed after it was written: materialize {self.asset} and everything after it"
            )
        self._data_digest = None

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.path
        try:
            self._check_unchanged(path)
            with pq.ParquetFile(path) as parquet:
                yield from parquet.iter_batches(batch_size=_ROW_GROUP, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise StateFormatError(
                f"{path} cannot be read ({type(error).__name__}): materialize {self.asset} and everything after it"
            ) from None
