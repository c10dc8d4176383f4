"""The store of artifacts: data between assets, written atomically and found by run, never pickled.

Layout: `<root>/<asset>/<run id>/{data.parquet, header.json}` and `<root>/<asset>/latest.json`. An artifact
appears whole or not at all, by renaming its folder. A step reads the artifact of its own run, or of a run retried by
it. If an asset is not part of the run, the step reads its latest artifact.
"""

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_assets.artifacts.parquet_artifact import (
    DATA_DIGEST,
    FORMAT_VERSION,
    Artifact,
    ArtifactWriter,
    Header,
    file_digest,
)
from rag_assets.disk.atomic_files import replace_file
from rag_assets.disk.private_folders import make_private_folder
from rag_assets.disk.processes import pid_space, process_is_gone
from rag_assets.errors import StaleInputError, StateFormatError

if TYPE_CHECKING:
    import pyarrow as pa

KEPT_REFRESHES = 5
_ABANDONED_AFTER_SECONDS = 86_400.0  # much longer than a writer pauses between two groups of rows


class ArtifactStore:
    """The artifacts of one state folder. Opening it creates nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def write(
        self, asset: str, run_id: str, schema: "pa.Schema", header: Header
    ) -> "Generator[tuple[ArtifactWriter, dict[str, Any]]]":
        """Write an artifact: yields the writer, and the details to fill in.

        If the block ends without an error, the artifact becomes the latest, and replaces an earlier one of the same
        run. Otherwise it leaves no trace.
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
                # Among the details, so that an earlier version reads the header too.
                "details": {**details, DATA_DIGEST: file_digest(staging / "data.parquet")},
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
        """Return the artifact of the first of these runs with one, otherwise the latest.

        Args:
            run_ids: this run, then the runs retried by it, nearest first.

        Raises:
            StaleInputError: there is none. The message names the asset to materialize.
        """
        found = self.latest(asset, run_ids)
        if found is None:
            raise StaleInputError(
                f"{asset} has not been materialized yet: materialize {asset} first, or all assets"
            )
        return found

    def latest(self, asset: str, run_ids: Sequence[str] = ()) -> Artifact | None:
        """Return the same as `find`, or None if there is none."""
        for run_id in run_ids:
            folder = self._root / asset / run_id
            if (folder / "header.json").exists():
                return _load(asset, folder)
        try:
            pointer = json.loads((self._root / asset / "latest.json").read_text(encoding="utf-8"))
            folder = self._root / asset / pointer["run_id"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None  # none yet, or corrupt after a power cut: the next refresh writes it again
        return _load(asset, folder) if (folder / "header.json").exists() else None

    def has(self, asset: str, run_id: str) -> bool:
        """Whether this run wrote the artifact."""
        return (self._root / asset / run_id / "header.json").exists()

    def kept(self, asset: str) -> list[Artifact]:
        """Return all readable artifacts of an asset, the latest refresh first."""
        found: list[Artifact] = []
        for header in (self._root / asset).glob("[!.]*/header.json"):
            with suppress(StateFormatError, FileNotFoundError):
                found.append(_load(asset, header.parent))
        return sorted(found, key=lambda found: (found.header.order, found.header.created_at), reverse=True)

    def last_reading(self) -> int:
        """Return the highest number of the readings behind the kept artifacts, 0 without one."""
        return max((artifact.header.order[0] for artifact in self.kept("raw_documents")), default=0)

    def remove_asset(self, asset: str) -> None:
        """Remove all artifacts of an asset, and leftovers of its writers."""
        shutil.rmtree(self._root / asset, ignore_errors=True)

    def rewrite(
        self,
        artifact: Artifact,
        change: Callable[[dict[str, Any]], dict[str, Any] | None],
        details: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        """Replace an artifact by one with other rows. It stays that of its run.

        Args:
            change: returns the new row, None for no row.
            details: returns the new details.
        """
        import pyarrow.parquet as pq

        staging = artifact.folder.with_name(_staging_name())
        staging.mkdir(mode=0o700)
        try:
            writer = ArtifactWriter(staging, pq.read_schema(artifact.path))
            try:
                for row in artifact.rows():
                    if (changed := change(row)) is not None:
                        writer.write(changed)
            finally:
                writer.close()
            document = asdict(artifact.header)
            document["details"] = {
                **details(artifact.details),
                DATA_DIGEST: file_digest(staging / "data.parquet"),
            }
            (staging / "header.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
            aside = artifact.folder.with_name(_staging_name())
            artifact.folder.rename(aside)
            staging.rename(artifact.folder)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        shutil.rmtree(aside, ignore_errors=True)

    def remove_unreadable(self) -> None:
        """Remove artifacts that cannot be read, and leftovers of writers. The caller holds the lease."""
        for folder in self._root.glob("*/*"):
            if folder.is_dir():
                try:
                    if folder.name.startswith("."):
                        raise StateFormatError(folder.name)
                    next(_load(folder.parent.name, folder).rows(), None)
                except (StateFormatError, FileNotFoundError):
                    shutil.rmtree(folder, ignore_errors=True)

    def prune(self) -> None:
        """Keep the artifacts of the last five refreshes. Remove the others, and leftovers of dead writers."""
        found: list[tuple[tuple[int, str], Path]] = []
        for folder in self._root.glob("*/*"):
            if folder.is_dir() and not folder.name.startswith("."):
                try:
                    found.append((_load(folder.parent.name, folder).header.order, folder))
                except (StateFormatError, FileNotFoundError):
                    shutil.rmtree(folder, ignore_errors=True)
            elif folder.is_dir() and _writer_is_gone(folder):
                shutil.rmtree(folder, ignore_errors=True)
        kept = set(sorted({order for order, _ in found})[-KEPT_REFRESHES:])
        for order, folder in found:
            if order not in kept:
                shutil.rmtree(folder, ignore_errors=True)


def _staging_name() -> str:
    return f".staging-{uuid.uuid4().hex}-{os.getpid()}-{pid_space()}"


def _writer_is_gone(staging: Path) -> bool:
    """Whether the process behind a staging folder has ended, or has written nothing for a day."""
    match = re.fullmatch(r"\.staging-[^-]+-(\d+)-(.*)", staging.name)
    if match is None or process_is_gone(match[2], int(match[1])):
        return True
    try:
        written_at = max(path.stat().st_mtime for path in (staging, *staging.iterdir()))
    except FileNotFoundError:
        return False  # renamed or removed just now
    return time.time() - written_at > _ABANDONED_AFTER_SECONDS


def _load(asset: str, folder: Path) -> Artifact:
    try:
        document: dict[str, Any] = json.loads((folder / "header.json").read_text(encoding="utf-8"))
        found = document["format_version"]
        if found == FORMAT_VERSION:
            data_digest = document["details"].pop(DATA_DIGEST, None)
            return Artifact(asset, folder, Header(**document), data_digest)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StateFormatError(
            f"the header of {asset} of run {folder.name} is corrupt: materialize all assets again"
        ) from None
    raise StateFormatError(
        f"{asset} of run {folder.name} has format version {found}, this program reads {FORMAT_VERSION}: "
        "materialize all assets again"
    )
