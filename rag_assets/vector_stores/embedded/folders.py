"""The folder of one embedded store: layout, lock, pointer to production, generations.

    <root>/<collection>/
        knowledge_base.json        the random id of this knowledge base
        production.json            production, previous, held: the pointer for readers. With a hold, who holds it,
                                   since when and why
        readings.json              numbers of the readings of the sources
        purged.json                records of purged documents, as `measured.json` and `accepted.json` for the benchmark
        lock                       held while these files, or the names below, change
        generations/<name>/        a sealed generation: manifest.json and shard/, never written again, and
                                   report.json, the digest of the last report on it
        generations/.staging-…/    a candidate being written, renamed at the end
        generations/.discarded-…/  to be deleted

Only this module names files outside a generation.
"""

import contextlib
import logging
import os
import re
import secrets
import shutil
import time
import uuid
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from rag_assets.disk.durability import fsync_path
from rag_assets.disk.file_locks import take_lock
from rag_assets.disk.private_folders import make_private_folder
from rag_assets.disk.state_files import FORMAT_VERSION, disk_errors, read_json, write_json
from rag_assets.errors import GenerationDamaged, StateFormatError, VectorStoreUnavailable
from rag_assets.records import GenerationManifest, Readings
from rag_assets.vector_stores.base import RecordKind
from rag_assets.vector_stores.embedded.seal_comparison import check_files, check_hashes
from rag_assets.vector_stores.manifest_format import manifest_from_json
from rag_assets.vector_stores.names import is_name
from rag_assets.vector_stores.production_state import Hold, ProductionState

LOCK_TIMEOUT_SECONDS = 30.0

_logger = logging.getLogger(__name__)
_STAGING = re.compile(r"\.staging-(?P<name>.+)-[0-9a-f]{12}")
_DISCARDED_PREFIX = ".discarded-"

_LOST: dict[RecordKind, str] = {
    "purged": "it lists the purged documents. Remove it: the next refresh writes it again from the list in the state folder",
    "measured": "it has the measurements to compare with. Remove it: the next promotion writes it again",
    "accepted": "it lists accepted deletions of expected documents. Remove it, then run `rag-assets benchmark accept --deleted`",
}
"""Kind of damaged records -> the loss, and the next step."""


class GenerationFolders:
    """The files of one knowledge base. Nothing is read or written before the first call.

    Attributes:
        home: the folder of the knowledge base.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._generations = home / "generations"

    def find_knowledge_base_id(self) -> str | None:
        path = self.home / "knowledge_base.json"
        stored = read_json(path)
        if stored is None:
            return None
        found = stored.get("knowledge_base_id")
        if not isinstance(found, str) or not found:
            raise StateFormatError(f"{path} is damaged: materialize all assets to rebuild it")
        return found

    def draw_knowledge_base_id(self, new: str = "") -> str:
        """Create the id, unless another process was faster, and return it. Takes the lock.

        Args:
            new: the id, random if it is empty.
        """
        with self.locked():
            found = self.find_knowledge_base_id()
            if found is not None:
                return found
            drawn = new or str(uuid.uuid4())
            write_json(
                self.home / "knowledge_base.json",
                {"format_version": FORMAT_VERSION, "knowledge_base_id": drawn},
            )
            return drawn

    def has_generations(self) -> bool:
        """Return whether a generation was ever staged here."""
        return self._generations.is_dir()

    def is_readable(self) -> bool:
        """Return whether this version can read the id and the pointer to production."""
        try:
            self.production_state()
            self.find_knowledge_base_id()
        except StateFormatError:
            return False
        return True

    def set_aside(self) -> str:
        """Rename the folder of the knowledge base and return its new path. The caller holds the lock."""
        aside = self.home.with_name(f"{self.home.name}--unreadable-{secrets.token_hex(4)}")
        self.home.rename(aside)
        return str(aside)

    def production_state(self) -> ProductionState:
        path = self.home / "production.json"
        stored = read_json(path)
        if stored is None:
            return ProductionState()
        names = [stored.get(key) for key in ("production", "previous", "held")]
        if any(name is not None and not (isinstance(name, str) and is_name(name)) for name in names):
            raise StateFormatError(f"{path} is damaged: materialize all assets to rebuild it")
        # A generation deleted by hand is not in production, despite the pointer. On a server, too, an alias
        # is deleted with its collection. A hold stands without its generation: only `resume` ends it.
        production, previous = (
            name if name and (self._generations / name).is_dir() else None for name in names[:2]
        )
        hold = None
        if names[2] is not None:
            # A version without these fields wrote none.
            noted = (stored.get(f"held_{key}") for key in ("since", "by", "reason"))
            since, by, reason = (text if isinstance(text, str) else "" for text in noted)
            hold = Hold(names[2], since, by, reason)
        return ProductionState(production, previous, hold)

    def write_state(self, state: ProductionState) -> ProductionState:
        hold = state.hold
        write_json(
            self.home / "production.json",
            {
                "format_version": FORMAT_VERSION,
                "production": state.production,
                "previous": state.previous,
                "held": state.held,
                **(
                    {}
                    if hold is None
                    else {"held_since": hold.since, "held_by": hold.by, "held_reason": hold.reason}
                ),
            },
        )
        return state

    def readings(self) -> Readings:
        """Return the numbers of the readings. Without them a new count begins, and nothing has to be rebuilt."""
        path = self.home / "readings.json"
        try:
            stored = read_json(path) or {}
        except StateFormatError as error:
            _logger.warning("a new count of the readings begins: %s", error)
            return Readings()
        last, counted = stored.get("last", 0), stored.get("counted", {})
        numbers = [last, *counted.values()] if isinstance(counted, dict) else [None]
        if not all(type(number) is int for number in numbers):
            _logger.warning("a new count of the readings begins: %s is damaged", path)
            return Readings()
        return Readings(last, {str(source): number for source, number in counted.items()})

    def write_readings(self, readings: Readings) -> None:
        """Replace the numbers of the readings. The caller holds the lock."""
        write_json(
            self.home / "readings.json",
            {
                "format_version": FORMAT_VERSION,
                "last": readings.last,
                "counted": dict(sorted(readings.counted.items())),
            },
        )

    def records(self, kind: RecordKind) -> dict[str, str]:
        path = self.home / f"{kind}.json"
        stored = read_json(path)
        records = {} if stored is None else stored.get("records")
        if not isinstance(records, dict) or not all(isinstance(text, str) for text in records.values()):
            raise StateFormatError(f"{path} is damaged: {_LOST[kind]}")
        return records

    def write_records(self, kind: RecordKind, records: Mapping[str, str]) -> None:
        """Replace the records of one kind. The caller holds the lock."""
        write_json(
            self.home / f"{kind}.json",
            {"format_version": FORMAT_VERSION, "records": dict(sorted(records.items()))},
        )

    def names(self) -> set[str]:
        """Return the names of all generations and of unsealed leftovers."""
        return {name for name, _ in self._folders()}

    def exists(self, generation: str) -> bool:
        """Return whether a sealed generation of this name exists."""
        return (self._generations / generation).exists()

    def manifest(self, generation: str) -> GenerationManifest | None:
        stored = self._stored_manifest(generation)
        if stored is None:
            return None
        return manifest_from_json(stored["manifest"], str(self._manifest_path(generation)))

    def complete(self, generation: str) -> tuple[Path, dict[str, Any]]:
        """Return the folder of a complete sealed generation, and its record.

        Raises:
            GenerationDamaged: it does not exist, was never sealed, or a file is missing or has another size.
            StateFormatError: it was written by a version with another format.
        """
        stored = self._stored_manifest(generation)
        if stored is None:
            raise GenerationDamaged(f"generation {generation} does not exist or was never sealed")
        manifest_from_json(stored["manifest"], str(self._manifest_path(generation)))
        folder = self._generations / generation
        check_files(folder / "shard", stored["files"])
        return folder, stored

    def verify(self, generation: str) -> bool:
        """Compare the files of a generation with their hashes. Return False if it has none. See `VectorStore.verify`."""
        folder, stored = self.complete(generation)
        hashes = stored.get("hashes")
        if hashes is None:
            return False
        check_hashes(folder / "shard", hashes, generation)
        return True

    def reject(self, generation: str, reason: str) -> None:
        """Write the reason into the manifest, if there is one. The caller holds the lock."""
        self._change_manifest(generation, "rejected", reason)

    def mark_damaged(self, generation: str, problem: str) -> None:
        """Write the problem into the manifest, if it can be read. Takes the lock."""
        with self.locked(), contextlib.suppress(StateFormatError):
            self._change_manifest(generation, "damaged", problem)

    def _change_manifest(self, generation: str, field: str, value: str) -> None:
        stored = self._stored_manifest(generation)
        if stored is None:
            return
        manifest_from_json(stored["manifest"], str(self._manifest_path(generation)))
        changed = {**stored, "manifest": {**stored["manifest"], field: value}}
        write_json(self._manifest_path(generation), changed)

    def record_report(self, generation: str, digest: str) -> None:
        """Write the digest of a report beside the manifest, if there is one. The caller holds the lock."""
        if self._stored_manifest(generation) is not None:
            write_json(self._report_path(generation), {"format_version": FORMAT_VERSION, "digest": digest})

    def report_digest(self, generation: str) -> str | None:
        try:
            stored = read_json(self._report_path(generation)) if is_name(generation) else None
        except StateFormatError:
            return None  # damaged, or of another version: a new measurement writes it again
        digest = stored.get("digest") if stored is not None else None
        return digest if isinstance(digest, str) else None

    def _report_path(self, generation: str) -> Path:
        return self._generations / generation / "report.json"

    def discard(self, generation: str) -> None:
        """Rename a generation, and leftovers of its name, for deletion. The caller holds the lock."""
        for name, folder in self._folders():
            if name == generation:
                folder.rename(self._generations / f"{_DISCARDED_PREFIX}{secrets.token_hex(6)}")

    def remove_discarded(self) -> None:
        """Delete everything renamed by `discard`. No lock is needed."""
        for folder in self._generations.iterdir():
            if folder.name.startswith(_DISCARDED_PREFIX):
                # Open readers keep their files. Two processes may delete the same folder at once.
                shutil.rmtree(folder, ignore_errors=True)

    def begin_staging(self, generation: str) -> Path:
        """Create a folder for a candidate, unknown to others."""
        self._make_folders()
        self.remove_discarded()
        staging = self._generations / f".staging-{generation}-{secrets.token_hex(6)}"
        staging.mkdir(mode=0o700)
        return staging

    def publish(self, staging: Path, generation: str) -> None:
        """Give a finished folder its final name."""
        with self.locked():
            final = self._generations / generation
            if final.exists():
                raise VectorStoreUnavailable(
                    f"another process sealed generation {generation} in the meantime: refresh again"
                )
            staging.rename(final)
            fsync_path(self._generations)

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Hold the lock of the whole store. The kernel releases it when the process dies."""
        self._make_folders()
        with disk_errors(self.home):
            descriptor = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not take_lock(descriptor, time.monotonic() + LOCK_TIMEOUT_SECONDS):
                raise VectorStoreUnavailable(
                    f"another process has held {self.home / 'lock'} for {LOCK_TIMEOUT_SECONDS:.0f} s: retry"
                )
            with disk_errors(self.home):
                yield
        finally:
            os.close(descriptor)

    def _make_folders(self) -> None:
        with disk_errors(self._generations):
            make_private_folder(self._generations)

    def _folders(self) -> list[tuple[str, Path]]:
        """Return (generation, folder) of all generations and leftovers."""
        try:
            folders = [path for path in self._generations.iterdir() if path.is_dir()]
        except FileNotFoundError:
            return []
        found: list[tuple[str, Path]] = []
        for folder in folders:
            staging = _STAGING.fullmatch(folder.name)
            name = staging["name"] if staging else folder.name
            if is_name(name):
                found.append((name, folder))
        return found

    def _manifest_path(self, generation: str) -> Path:
        return self._generations / generation / "manifest.json"

    def _stored_manifest(self, generation: str) -> dict[str, Any] | None:
        if not is_name(generation):
            return None
        path = self._manifest_path(generation)
        stored = read_json(path)
        if stored is None:
            return None
        kinds = {"manifest": dict, "files": dict, "points": int, "dimensions": int, "tombstones": int}
        # Generations of earlier versions have no hashes.
        stored_hashes = stored.get("hashes", {})
        if not isinstance(stored_hashes, dict) or any(
            not isinstance(stored.get(key), kind) for key, kind in kinds.items()
        ):
            raise StateFormatError(f"{path} is damaged: materialize all assets to rebuild it")
        return stored
