"""The vector store on a Qdrant server or cluster, through `qdrant-client`.

`collections.py` describes the collections of a knowledge base, `aliases.py` its aliases.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rag_assets.errors import GenerationDamaged, RefusedError, SupersededError, VectorStoreUnavailable
from rag_assets.records import GenerationManifest, Readings
from rag_assets.vector_stores.base import Depth, ProgressCallback, RecordKind
from rag_assets.vector_stores.manifest_format import manifest_to_json
from rag_assets.vector_stores.names import check_collection_name, is_name
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
    previous_of,
    rolled_back,
)
from rag_assets.vector_stores.server.about import describe_server
from rag_assets.vector_stores.server.aliases import DISCARDED, REJECTED, SEALED, Aliases, AliasView
from rag_assets.vector_stores.server.collections import Collections
from rag_assets.vector_stores.server.layout import CollectionLayout
from rag_assets.vector_stores.server.reader import ServerGenerationReader
from rag_assets.vector_stores.server.snapshots import remove_snapshots
from rag_assets.vector_stores.server.writer import ServerGenerationWriter
from rag_assets.vector_stores.write_checks import check_new_generation

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


class ServerVectorStore:
    """A `VectorStore` on a server. Any number of processes may use it at once.

    Nothing is sent before the first call.
    """

    exact_vectors: bool

    def __init__(
        self, client: "QdrantClient", collection: str, layout: CollectionLayout | None = None
    ) -> None:
        check_collection_name(collection)
        self._collections = Collections(client, collection, layout)
        self._aliases = Aliases(self._collections)
        # The client's local mode normalizes with numpy, and again when it copies.
        self.exact_vectors = not self._collections.local

    def knowledge_base_id(self, new: str = "") -> str:
        found = self.find_knowledge_base_id()
        if found is not None:
            return found
        self._aliases.bootstrap(new)
        found = self._collections.consensus.seen(self.find_knowledge_base_id)
        if found is None:
            raise VectorStoreUnavailable(
                f"collection {self._collections.name_of('meta')} was deleted in the meantime: retry"
            )
        return found

    def find_knowledge_base_id(self) -> str | None:
        return self._aliases.find_knowledge_base_id()

    def set_aside_unreadable(self) -> str | None:
        return None

    def production_state(self) -> ProductionState:
        return self._aliases.look().state

    def begin_reading(self, above: int = 0) -> int:
        self._aliases.bootstrap()
        return self._aliases.begin_reading(above)

    def readings(self) -> Readings:
        return self._aliases.look().readings

    def records(self, kind: RecordKind) -> dict[str, str]:
        return self._collections.records(kind)

    def put_records(self, kind: RecordKind, records: Mapping[str, str]) -> None:
        self._aliases.bootstrap()
        self._collections.put_records(kind, records)

    def generations(self) -> list[str]:
        return self._collections.generations()

    def manifest(self, generation: str) -> GenerationManifest | None:
        return self._collections.manifest(generation)

    def write(
        self,
        generation: str,
        dimensions: int,
        base: str | None,
        on_progress: ProgressCallback | None = None,
    ) -> ServerGenerationWriter:
        check_new_generation(generation, dimensions, lambda: self._collections.exists(generation))
        return ServerGenerationWriter(
            self._collections, self._aliases, generation, dimensions, base, on_progress
        )

    def read(self, generation: str) -> ServerGenerationReader:
        try:
            return self._collections.open(generation)
        except GenerationDamaged:
            aliases = self._aliases.look()
            if generation not in aliases.marks and generation not in aliases.state.kept:
                raise
            # An alias contradicts: a node of the cluster may be a moment behind.
            return self._collections.consensus.settled(lambda: self._collections.open(generation))

    def check_whole(self, generation: str) -> None:
        self.read(generation).close()

    def verify(self, generation: str, *, depth: Depth = "usual") -> bool:
        return self._collections.verify(generation, depth)

    def mark_damaged(self, generation: str, problem: str) -> None:
        self._collections.mark_damaged(generation, problem)

    def reject(self, generation: str, reason: str) -> None:
        manifest = self.manifest(generation)
        if manifest is None:
            return
        stored = {**manifest_to_json(manifest), "rejected": reason or "no reason given"}
        self._collections.store_manifest(generation, stored)
        # The manifest stops every later promotion. The missing mark stops one that has just read the manifest.
        self._aliases.move_mark(generation, SEALED, REJECTED)

    def record_report(self, generation: str, digest: str) -> None:
        if self.manifest(generation) is not None and self.report_digest(generation) != digest:
            self._collections.record_report(generation, digest)

    def report_digest(self, generation: str) -> str | None:
        return self._collections.report_digest(generation)

    def discard(self, generation: str) -> None:
        if not is_name(generation) or not self._collections.exists(generation):
            return
        aliases = self._aliases.look()
        check_deletable(generation, aliases.state)
        mark = aliases.marks.get(generation)
        if mark in (SEALED, REJECTED):
            # From here on no promotion and no rollback can use it. The check below notices one that was faster.
            self._aliases.move_mark(generation, mark, DISCARDED)
            try:
                check_deletable(generation, self.production_state())
            except RefusedError:
                self._aliases.move_mark(generation, DISCARDED, mark)
                raise
        self._collections.delete(generation)

    def promote(
        self, generation: str, expected_production: str | None, readings: Mapping[str, int] | None = None
    ) -> ProductionState:
        self._aliases.bootstrap()
        if is_name(generation):
            self._collections.prepare_for_promotion(generation)

        def change(aliases: AliasView) -> ProductionState:
            state = aliases.state
            check_hold(generation, state)
            expect_production(state, expected_production)
            exists = self._collections.exists(generation)
            manifest = self.manifest(generation)
            check_promotable(generation, manifest, exists=exists)
            if readings is not None:
                check_readings(readings, aliases.readings)
            if generation == state.production:
                return state
            if aliases.marks.get(generation) != SEALED:
                raise SupersededError(f"generation {generation} is being deleted: refresh again")
            self.check_whole(generation)
            return ProductionState(production=generation, previous=state.production)

        return self._aliases.swap(change, lambda counted: count_readings(counted, readings or {}))

    def rollback(self, expected_production: str | None, *, by: str = "", reason: str = "") -> ProductionState:
        wished: ProductionState | None = None

        def change(aliases: AliasView) -> ProductionState:
            nonlocal wished
            if wished is not None and aliases.state == wished:
                return wished  # done by an attempt with a lost answer
            previous = previous_of(aliases.state, expected_production)
            self.check_whole(previous)
            wished = rolled_back(aliases.state, previous, by, reason)
            return wished

        return self._aliases.swap(change)

    def resume(self) -> ProductionState:
        def change(aliases: AliasView) -> ProductionState:
            return ProductionState(production=aliases.state.production, previous=aliases.state.previous)

        return self._aliases.swap(change)

    def exchange(
        self, state: ProductionState, expected: ProductionState, readings: Readings | None = None
    ) -> ProductionState:
        self._aliases.bootstrap()
        for name in sorted({state.production, state.previous, state.held} - {None}, key=str):
            if is_name(str(name)) and self._collections.exists(str(name)):
                self._collections.prepare_for_promotion(str(name))
        begun = False

        def change(aliases: AliasView) -> ProductionState:
            nonlocal begun
            if begun and aliases.state == state:
                return state  # done by an attempt with a lost answer
            expect_state(aliases.state, expected)
            check_exchanged(state, self.manifest)
            for name in {state.production, state.previous} - {None}:
                if aliases.marks.get(str(name)) == DISCARDED:
                    raise SupersededError(f"generation {name} is being deleted: retry")
                self.check_whole(str(name))
            begun = True
            return state

        return self._aliases.swap(change, lambda counted: later_readings(counted, readings))

    def remove_snapshots(self, generations: Sequence[str]) -> list[str]:
        """See `KeepsSnapshots`."""
        names = [self._collections.name_of(generation) for generation in generations]
        return remove_snapshots(self._collections.client, names)

    def describe_server(self) -> list[str]:
        """See `DescribesServer`."""
        names = self._collections.generations()
        collection = self._collections.name_of(names[-1]) if names else None
        return describe_server(self._collections.client, collection)

    def add_missing_indexes(self, generation: str) -> tuple[str, ...]:
        return self._collections.add_missing_indexes(generation)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._collections.client.close()
