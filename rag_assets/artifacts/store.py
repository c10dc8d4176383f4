"""Data between assets: typed Parquet with a header, written atomically, found by run, never pickled.

Layout: `<root>/<asset>/<run id>/{data.parquet, header.json}` and `<root>/<asset>/latest.json`. An artefact
appears whole or not at all, by renaming its folder. A step finds its input by the run that it belongs to, or
that it retries; the input of an asset that is not part of the run is the latest one.
"""

import json
import os
import re
import shutil
import socket
import uuid
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_assets.disk.atomic_files import replace_file
from rag_assets.disk.private_folders import make_private_folder
from rag_assets.errors import StaleInputError, StateFormatError
from rag_assets.fingerprint import fingerprint_difference, short_hash
from rag_assets.ledgers.lease import process_is_gone

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT_VERSION = 1
KEPT_REFRESHES = 5
_ROW_GROUP = 1024


@dataclass(frozen=True, slots=True)
class Header:
    """What every artefact carries.

    Attributes:
        refresh_id: of the reading of the sources that everything else follows from; sorts by time.
        base: generation that was in production when the work was decided; None if there was none.
        fingerprint: index fingerprint that the work was done for.
        details: facts about this one artefact, such as counts.
    """

    refresh_id: str
    base: str | None
    fingerprint: dict[str, Any]
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    run_id: str = ""
    created_at: str = ""
    format_version: int = FORMAT_VERSION

    @property
    def fingerprint_hash(self) -> str:
        return short_hash(self.fingerprint)


class ArtifactWriter:
    """Collects the rows of one artefact, a bounded number at a time."""

    def __init__(self, folder: Path, schema: "pa.Schema") -> None:
        import pyarrow.parquet as pq

        self._schema = schema
        self._rows: list[Mapping[str, Any]] = []
        # Without dictionaries: most columns repeat nothing, and vectors are written and read in a third of the time.
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
        """Write columns instead of rows, for what is large."""
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
    """One artefact to read."""

    def __init__(self, asset: str, folder: Path, header: Header) -> None:
        self.asset = asset
        self.folder = folder
        self.header = header

    @property
    def details(self) -> dict[str, Any]:
        return self.header.details

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the rows in the order in which they were written, a bounded number in memory."""
        for batch in self.batches(columns):
            yield from batch.to_pylist()

    def find_rows(self, column: str, value: str | int) -> list[dict[str, Any]]:
        """Return the rows that have this value in this column."""
        import pyarrow.parquet as pq

        # Not `hive`, the default: a folder named `a=b` on the way would become a column.
        partitioning: Any = None
        path = self.folder / "data.parquet"
        return pq.read_table(path, filters=[(column, "==", value)], partitioning=partitioning).to_pylist()

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / "data.parquet"
        try:
            with pq.ParquetFile(path) as parquet:
                yield from parquet.iter_batches(batch_size=_ROW_GROUP, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise StateFormatError(
                f"{path} cannot be read ({type(error).__name__}): materialize {self.asset} and everything after it"
            ) from None


class ArtifactStore:
    """The artefacts of one state folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        make_private_folder(root)

    @contextmanager
    def write(
        self, asset: str, run_id: str, schema: "pa.Schema", header: Header
    ) -> "Generator[tuple[ArtifactWriter, dict[str, Any]]]":
        """Write an artefact: yields the writer, and the details to fill in.

        The artefact replaces one that the same run may have written before, and becomes the latest, when the
        block ends without an error; otherwise it leaves no trace.
        """
        home = self._root / asset
        make_private_folder(home)
        staging = home / _staging_name()
        staging.mkdir(mode=0o700)
        try:
            details = dict(header.details)
            writer = ArtifactWriter(staging, schema)
            try:
                yield writer, details
            finally:
                writer.close()
            document = asdict(header) | {
                "details": details,
                "run_id": run_id,
                "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            (staging / "header.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
            final = home / run_id
            if final.exists():
                final.rename(home / _staging_name())
            staging.rename(final)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        replace_file(home / "latest.json", json.dumps({"run_id": run_id}).encode())

    def find(self, asset: str, run_ids: Sequence[str]) -> Artifact:
        """Return the artefact of the first of these runs that has one, else the latest.

        Args:
            run_ids: this run, then the runs that it retries, nearest first.

        Raises:
            StaleInputError: there is none; says which asset to materialize.
        """
        found = self.latest(asset, run_ids)
        if found is None:
            raise StaleInputError(f"there is no {asset} yet: materialize {asset} first, or all assets")
        return found

    def latest(self, asset: str, run_ids: Sequence[str] = ()) -> Artifact | None:
        """As `find`, but None if there is none."""
        for run_id in run_ids:
            folder = self._root / asset / run_id
            if (folder / "header.json").exists():
                return _load(asset, folder)
        try:
            pointer = json.loads((self._root / asset / "latest.json").read_text(encoding="utf-8"))
            folder = self._root / asset / pointer["run_id"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None  # none yet, or spoiled by a power cut: the next refresh writes it anew
        return _load(asset, folder) if (folder / "header.json").exists() else None

    def kept(self, asset: str) -> list[Artifact]:
        """Return everything that is kept of an asset, the latest refresh first; what is damaged is left out."""
        found: list[Artifact] = []
        for header in (self._root / asset).glob("[!.]*/header.json"):
            with suppress(StateFormatError, FileNotFoundError):
                found.append(_load(asset, header.parent))
        return sorted(
            found, key=lambda found: (found.header.refresh_id, found.header.created_at), reverse=True
        )

    def prune(self) -> None:
        """Keep the artefacts of the last five refreshes, and remove what dead writers left."""
        found: list[tuple[str, Path]] = []
        for folder in self._root.glob("*/*"):
            if folder.is_dir() and not folder.name.startswith("."):
                try:
                    found.append((_load(folder.parent.name, folder).header.refresh_id, folder))
                except (StateFormatError, FileNotFoundError):
                    shutil.rmtree(folder, ignore_errors=True)
            elif folder.is_dir() and _writer_is_gone(folder.name):
                shutil.rmtree(folder, ignore_errors=True)
        kept = set(sorted({refresh_id for refresh_id, _ in found})[-KEPT_REFRESHES:])
        for refresh_id, folder in found:
            if refresh_id not in kept:
                shutil.rmtree(folder, ignore_errors=True)


def _staging_name() -> str:
    return f".staging-{uuid.uuid4().hex}-{os.getpid()}-{socket.gethostname()}"


def _writer_is_gone(staging_name: str) -> bool:
    """Whether the process that made a staging folder runs no more."""
    match = re.fullmatch(r"\.staging-[^-]+-(\d+)-(.+)", staging_name)
    return match is None or process_is_gone(match[2], int(match[1]))


def _load(asset: str, folder: Path) -> Artifact:
    try:
        document: dict[str, Any] = json.loads((folder / "header.json").read_text(encoding="utf-8"))
        found = document["format_version"]
        if found == FORMAT_VERSION:
            return Artifact(asset, folder, Header(**document))
    except (ValueError, KeyError, TypeError):
        raise StateFormatError(
            f"the header of {asset} of run {folder.name} is damaged: materialize all assets again"
        ) from None
    raise StateFormatError(
        f"{asset} of run {folder.name} has format version {found}, this program reads {FORMAT_VERSION}: "
        "materialize all assets again"
    )


def require_same_refresh(artifacts: Iterable[Artifact]) -> Header:
    """Return the header that all artefacts share.

    Raises:
        StaleInputError: they belong to different refreshes, bases or settings.
    """
    first, *others = artifacts
    for other in others:
        mine, theirs = first.header, other.header
        if (mine.refresh_id, mine.base) != (theirs.refresh_id, theirs.base):
            raise StaleInputError(
                f"{first.asset} and {other.asset} are of different refreshes ({mine.refresh_id} on "
                f"{mine.base}, {theirs.refresh_id} on {theirs.base}): materialize {first.asset} and everything "
                "after it"
            )
        require_fingerprint(other, mine.fingerprint)
    return first.header


def require_fingerprint(artifact: Artifact, fingerprint: dict[str, Any]) -> None:
    """Refuse an input that was made with other settings than this run's.

    Raises:
        StaleInputError: names the settings that differ.
    """
    differing = fingerprint_difference(artifact.header.fingerprint, fingerprint)
    if differing:
        raise StaleInputError(
            f"{artifact.asset} of refresh {artifact.header.refresh_id} was made with other settings "
            f"({', '.join(differing)}): materialize deduped_documents and everything after it with the settings "
            "of this run, or run with the settings of that refresh"
        )
