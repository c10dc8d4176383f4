"""The vector store without a server: Qdrant's own engine in this process, one folder per generation.

`folders.py` describes the layout of the folders, `engine.py` the conditions for trusting the engine.
"""

from collections.abc import Mapping
from pathlib import Path

from rag_assets.document_metadata.policy import MetadataIndexes
from rag_assets.records import GenerationManifest, Readings
from rag_assets.vector_stores.base import Depth, ProgressCallback, RecordKind
from rag_assets.vector_stores.embedded.folders import GenerationFolders
from rag_assets.vector_stores.embedded.reader import EmbeddedGenerationReader
from rag_assets.vector_stores.embedded.writer import EmbeddedGenerationWriter
from rag_assets.vector_stores.names import check_collection_name
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets.vector_stores.promotion_rules import (
    check_deletable,
    check_exchanged,
    check_hold,
    check_promotable,
    check_readings,
    count_readings,
    expect_production,
    expect_state,
    later_readings,
    next_reading,
    previous_of,
    rolled_back,
)
from rag_assets.vector_stores.write_checks import check_new_generation


class EmbeddedVectorStore:
    """A `VectorStore` in a folder. Any number of processes may use it at once.

    Nothing is read or written before the first call.

    Args:
        metadata_indexes: metadata keys with an index in new generations. Other keys are scanned.
    """

    exact_vectors: bool = True

    def __init__(self, root: Path, collection: str, metadata_indexes: MetadataIndexes | None = None) -> None:
        check_collection_name(collection)
        self._metadata_indexes = metadata_indexes or {}
        self.folders = GenerationFolders(Path(root).absolute() / collection)

    def knowledge_base_id(self, new: str = "") -> str:
        found = self.find_knowledge_base_id()
        return found if found is not None else self.folders.draw_knowledge_base_id(new)

    def find_knowledge_base_id(self) -> str | None:
        return self.folders.find_knowledge_base_id()

    def set_aside_unreadable(self) -> str | None:
        if self.folders.is_readable():
            return None
        with self.folders.locked():
            return None if self.folders.is_readable() else self.folders.set_aside()

    def production_state(self) -> ProductionState:
        return self.folders.production_state()

    def begin_reading(self, above: int = 0) -> int:
        with self.folders.locked():
            readings = next_reading(self.folders.readings(), above)
            self.folders.write_readings(readings)
            return readings.last

    def readings(self) -> Readings:
        return self.folders.readings()

    def records(self, kind: RecordKind) -> dict[str, str]:
        return self.folders.records(kind)

    def put_records(self, kind: RecordKind, records: Mapping[str, str]) -> None:
        with self.folders.locked():
            self.folders.write_records(kind, {**self.folders.records(kind), **records})

    def generations(self) -> list[str]:
        return sorted(self.folders.names())

    def manifest(self, generation: str) -> GenerationManifest | None:
        return self.folders.manifest(generation)

    def write(
        self,
        generation: str,
        dimensions: int,
        base: str | None,
        on_progress: ProgressCallback | None = None,
    ) -> EmbeddedGenerationWriter:
        check_new_generation(generation, dimensions, lambda: self.folders.exists(generation))
        return EmbeddedGenerationWriter(
            self.folders, generation, dimensions, base, on_progress, self._metadata_indexes
        )

    def read(self, generation: str) -> EmbeddedGenerationReader:
        folder, stored = self.folders.complete(generation)
        return EmbeddedGenerationReader(generation, folder, stored["points"], stored["dimensions"])

    def check_whole(self, generation: str) -> None:
        self.folders.complete(generation)

    def verify(self, generation: str, *, depth: Depth = "usual") -> bool:  # noqa: ARG002 - hashes are quick
        return self.folders.verify(generation)

    def mark_damaged(self, generation: str, problem: str) -> None:
        self.folders.mark_damaged(generation, problem)

    def reject(self, generation: str, reason: str) -> None:
        with self.folders.locked():
            self.folders.reject(generation, reason or "no reason given")

    def record_report(self, generation: str, digest: str) -> None:
        if self.report_digest(generation) != digest and self.folders.exists(generation):
            with self.folders.locked():
                self.folders.record_report(generation, digest)

    def report_digest(self, generation: str) -> str | None:
        return self.folders.report_digest(generation)

    def discard(self, generation: str) -> None:
        if not self.folders.has_generations():
            return
        with self.folders.locked():
            check_deletable(generation, self.production_state())
            self.folders.discard(generation)
        self.folders.remove_discarded()

    def promote(
        self, generation: str, expected_production: str | None, readings: Mapping[str, int] | None = None
    ) -> ProductionState:
        with self.folders.locked():
            state = self.production_state()
            check_hold(generation, state)
            expect_production(state, expected_production)
            exists = generation in self.folders.names()
            manifest = self.manifest(generation)
            check_promotable(generation, manifest, exists=exists)
            if readings is not None:
                check_readings(readings, self.readings())
            if generation != state.production:
                self.folders.complete(generation)
            # First, so that a process killed in between leaves no production with an uncounted reading.
            if readings:
                self.folders.write_readings(count_readings(self.readings(), readings))
            if generation == state.production:
                return state
            return self.folders.write_state(ProductionState(production=generation, previous=state.production))

    def rollback(self, expected_production: str | None, *, by: str = "", reason: str = "") -> ProductionState:
        with self.folders.locked():
            state = self.production_state()
            previous = previous_of(state, expected_production)
            self.folders.complete(previous)
            return self.folders.write_state(rolled_back(state, previous, by, reason))

    def resume(self) -> ProductionState:
        if not self.folders.home.is_dir():
            return ProductionState()
        with self.folders.locked():
            state = self.production_state()
            if state.hold is None:
                return state
            return self.folders.write_state(
                ProductionState(production=state.production, previous=state.previous)
            )

    def exchange(
        self, state: ProductionState, expected: ProductionState, readings: Readings | None = None
    ) -> ProductionState:
        with self.folders.locked():
            now = self.production_state()
            expect_state(now, expected)
            check_exchanged(state, self.manifest)
            for name in {state.production, state.previous} - {None}:
                self.folders.complete(str(name))
            # First, as in `promote`.
            counted = later_readings(self.readings(), readings)
            if counted != self.readings():
                self.folders.write_readings(counted)
            return now if state == now else self.folders.write_state(state)

    def add_missing_indexes(self, generation: str) -> tuple[str, ...]:  # noqa: ARG002 - it stays as it was sealed
        return ()

    def close(self) -> None:
        """Do nothing: every reader and writer closes its own files."""
