"""The vector store without a server: Qdrant's own engine in this process, one folder a generation.

    <root>/<collection>/
        knowledge_base.json        the id drawn for this knowledge base
        production.json            production, previous, held: the pointer that readers follow
        lock                       held for the moments in which these two, or the names below, change
        generations/<name>/        a sealed generation: manifest.json and shard/, never written again
        generations/.staging-…/    a candidate being written; its last act is to be renamed
        generations/.discarded-…/  on its way out

What the engine needs to be trusted is spread over this file and was learned by experiment; see DESIGN.md:
one writer a folder, nobody else looks in; only `flush()` makes durable; `load()` of an incomplete folder
destroys what is left, so names and sizes of all files are compared first; a full disk kills the process, so
the space is checked first; a handle does not survive `fork`; no optimizer ever runs, because its segments
count deleted texts in the inverse document frequency.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import time
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

from rag_assets.disk.durability import fsync_path
from rag_assets.disk.state_files import (
    FORMAT_VERSION,
    disk_errors,
    read_json,
    write_json,
)
from rag_assets.errors import (
    ConfigurationError,
    GenerationDamaged,
    PromotionRefused,
    RefusedError,
    StateFormatError,
    SupersededError,
    VectorStoreUnavailable,
)
from rag_assets.records import (
    GenerationManifest,
    ProductionState,
)
from rag_assets.vector_stores.base import (
    ProgressCallback,
)
from rag_assets.vector_stores.embedded.generation import (
    EmbeddedGenerationReader,
    EmbeddedGenerationWriter,
    check_files,
)
from rag_assets.vector_stores.manifest_format import manifest_from_json
from rag_assets.vector_stores.names import check_collection_name, check_generation_name, is_name

LOCK_TIMEOUT_SECONDS = 30.0

_STAGING = re.compile(r"\.staging-(?P<name>.+)-[0-9a-f]{12}")
_DISCARDED_PREFIX = ".discarded-"


class EmbeddedVectorStore:
    """A `VectorStore` in a folder. Any number of processes may use it at once.

    Nothing is read or written before the first call.
    """

    exact_vectors: bool = True

    def __init__(self, root: Path, collection: str) -> None:
        check_collection_name(collection)
        self._folder = Path(root).absolute() / collection
        self._generations = self._folder / "generations"

    def knowledge_base_id(self) -> str:
        found = self.find_knowledge_base_id()
        if found is not None:
            return found
        with self._locked():
            found = self.find_knowledge_base_id()
            if found is not None:
                return found
            drawn = str(uuid.uuid4())
            write_json(
                self._folder / "knowledge_base.json",
                {"format_version": FORMAT_VERSION, "knowledge_base_id": drawn},
            )
            return drawn

    def set_aside_unreadable(self) -> str | None:
        if self._is_readable():
            return None
        with self._locked():
            if self._is_readable():
                return None
            aside = self._folder.with_name(f"{self._folder.name}--unreadable-{secrets.token_hex(4)}")
            self._folder.rename(aside)
        return str(aside)

    def _is_readable(self) -> bool:
        try:
            self.production_state()
            self.find_knowledge_base_id()
        except StateFormatError:
            return False
        return True

    def find_knowledge_base_id(self) -> str | None:
        path = self._folder / "knowledge_base.json"
        stored = read_json(path)
        if stored is None:
            return None
        found = stored.get("knowledge_base_id")
        if not isinstance(found, str) or not found:
            raise StateFormatError(f"{path} is damaged: materialize all assets to build anew")
        return found

    def production_state(self) -> ProductionState:
        path = self._folder / "production.json"
        stored = read_json(path)
        if stored is None:
            return ProductionState()
        names = [stored.get(key) for key in ("production", "previous", "held")]
        if any(name is not None and not (isinstance(name, str) and is_name(name)) for name in names):
            raise StateFormatError(f"{path} is damaged: materialize all assets to build anew")
        # What somebody deleted by hand does not serve, whatever the pointer says: as on a server, where an
        # alias goes with its collection.
        return ProductionState(
            *(name if name and (self._generations / name).is_dir() else None for name in names)
        )

    def generations(self) -> list[str]:
        return sorted({name for name, _ in self._folders()})

    def manifest(self, generation: str) -> GenerationManifest | None:
        stored = self._stored_manifest(generation)
        if stored is None:
            return None
        return manifest_from_json(stored["manifest"], str(self._manifest_path(generation)))

    def write(
        self,
        generation: str,
        dimensions: int,
        base: str | None,
        on_progress: ProgressCallback | None = None,
    ) -> "EmbeddedGenerationWriter":
        check_generation_name(generation)
        if dimensions < 1:
            raise ConfigurationError(f"a vector cannot have {dimensions} dimensions")
        if (self._generations / generation).exists():
            raise RefusedError(f"generation {generation} exists already; a name is used once")
        return EmbeddedGenerationWriter(self, generation, dimensions, base, on_progress)

    def read(self, generation: str) -> "EmbeddedGenerationReader":
        stored = self._complete(generation)
        return EmbeddedGenerationReader(
            generation, self._generations / generation, stored["points"], stored["dimensions"]
        )

    def check_whole(self, generation: str) -> None:
        self._complete(generation)

    def reject(self, generation: str, reason: str) -> None:
        with self._locked():
            stored = self._stored_manifest(generation)
            if stored is None:
                return
            manifest_from_json(stored["manifest"], str(self._manifest_path(generation)))
            changed = {**stored, "manifest": {**stored["manifest"], "rejected": reason or "no reason given"}}
            write_json(self._manifest_path(generation), changed)

    def discard(self, generation: str) -> None:
        if not self._generations.is_dir():
            return
        with self._locked():
            state = self.production_state()
            if generation in (state.production, state.previous, state.held):
                raise RefusedError(
                    f"generation {generation} is production, previous or held, and is not deleted"
                )
            for name, folder in self._folders():
                if name == generation:
                    folder.rename(self._generations / f"{_DISCARDED_PREFIX}{secrets.token_hex(6)}")
        self._remove_discarded()

    def _remove_discarded(self) -> None:
        for folder in self._generations.iterdir():
            if folder.name.startswith(_DISCARDED_PREFIX):
                # Open readers keep their files; two processes may sweep the same folder.
                shutil.rmtree(folder, ignore_errors=True)

    def promote(
        self, generation: str, expected_production: str | None, *, lift_hold: bool = False
    ) -> ProductionState:
        with self._locked():
            state = self._state_if_production_is(expected_production)
            if not any(name == generation for name, _ in self._folders()):
                raise SupersededError(f"generation {generation} is gone; refresh again")
            manifest = self.manifest(generation)
            if manifest is None:
                raise PromotionRefused(f"generation {generation} was never sealed; stage it again")
            if manifest.rejected:
                raise PromotionRefused(f"generation {generation} was rejected: {manifest.rejected}")
            if generation == state.production:
                return state
            if state.held is not None and not lift_hold:
                raise PromotionRefused(
                    f"production is held at {state.production} since {state.held} was rolled back; resume first"
                )
            self._complete(generation)
            return self._write_state(ProductionState(production=generation, previous=state.production))

    def rollback(self, expected_production: str | None) -> ProductionState:
        with self._locked():
            state = self._state_if_production_is(expected_production)
            if state.previous is None:
                raise RefusedError("there is no previous generation to roll back to")
            self._complete(state.previous)
            return self._write_state(ProductionState(production=state.previous, held=state.production))

    def resume(self) -> ProductionState:
        if not self._folder.is_dir():
            return ProductionState()
        with self._locked():
            state = self.production_state()
            if state.held is None:
                return state
            return self._write_state(ProductionState(production=state.production, previous=state.previous))

    def close(self) -> None:
        """Do nothing: every reader and writer closes its own files."""

    # ── for the writer below ──

    def begin_staging(self, generation: str) -> Path:
        """Return a new folder that nobody else knows."""
        self._make_folders()
        self._remove_discarded()
        staging = self._generations / f".staging-{generation}-{secrets.token_hex(6)}"
        staging.mkdir(mode=0o700)
        return staging

    def publish(self, staging: Path, generation: str) -> None:
        """Give a finished folder its final name."""
        with self._locked():
            final = self._generations / generation
            if final.exists():
                raise VectorStoreUnavailable(f"generation {generation} was sealed by someone else meanwhile")
            staging.rename(final)
            fsync_path(self._generations)

    def complete_base(self, base: str) -> tuple[Path, dict[str, Any]]:
        """Return the folder of a sealed generation whose files are all there, and what is known of it."""
        return self._generations / base, self._complete(base)

    # ── inside ──

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
        if any(not isinstance(stored.get(key), kind) for key, kind in kinds.items()):
            raise StateFormatError(f"{path} is damaged: materialize all assets to build anew")
        return stored

    def _complete(self, generation: str) -> dict[str, Any]:
        """Return what is known of a sealed generation, after comparing its files with it."""
        stored = self._stored_manifest(generation)
        if stored is None:
            raise GenerationDamaged(f"generation {generation} does not exist or was never sealed")
        manifest_from_json(stored["manifest"], str(self._manifest_path(generation)))
        check_files(self._generations / generation / "shard", stored["files"])
        return stored

    def _state_if_production_is(self, expected: str | None) -> ProductionState:
        state = self.production_state()
        if state.production != expected:
            raise SupersededError(f"production is {state.production}, no longer {expected}; refresh again")
        return state

    def _write_state(self, state: ProductionState) -> ProductionState:
        write_json(
            self._folder / "production.json",
            {
                "format_version": FORMAT_VERSION,
                "production": state.production,
                "previous": state.previous,
                "held": state.held,
            },
        )
        return state

    def _make_folders(self) -> None:
        for folder in (*reversed(self._folder.parents), self._folder, self._generations):
            if not folder.exists():
                with disk_errors(folder):
                    folder.mkdir(mode=0o700, exist_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        """Hold the lock of the whole store. The kernel lets go of it when the process dies."""
        self._make_folders()
        with disk_errors(self._folder):
            descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise VectorStoreUnavailable(
                            f"{self._folder / 'lock'} has been held by another process for "
                            f"{LOCK_TIMEOUT_SECONDS:.0f} s"
                        ) from None
                    time.sleep(0.01)
            with disk_errors(self._folder):
                yield
        finally:
            os.close(descriptor)
