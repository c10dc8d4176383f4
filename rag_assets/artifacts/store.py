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
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_assets.artifacts.artifact import FORMAT_VERSION, Artifact, ArtifactWriter, Header
from rag_assets.disk.atomic_files import replace_file
from rag_assets.disk.private_folders import make_private_folder
from rag_assets.errors import StaleInputError, StateFormatError
from rag_assets.ledgers.lease import process_is_gone

if TYPE_CHECKING:
    import pyarrow as pa

KEPT_REFRESHES = 5


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
