"""A knowledge base for trying out a refresh without changing anything.

It reads the real state and writes to a temporary folder, deleted at the end of the dry run. The state folder is not
touched, not even created. No endpoint is asked, neither to embed nor to read recordings and pictures.
"""

from collections.abc import Generator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from rag_assets.artifacts.store import ArtifactStore
from rag_assets.embedders.base import Embedder
from rag_assets.embedders.model_identity import recorded_model
from rag_assets.embedders.openai import OpenAIEmbedder
from rag_assets.ingestion.media_models import MediaModels
from rag_assets.inspection.read_only import ReadOnlyKnowledgeBase
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.base import Ledger
from rag_assets.ledgers.sqlite import SqliteLedger
from rag_assets.records import EmbeddingModel
from rag_assets.settings import Settings
from rag_assets.text.store import TextStore
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.embedded.reader import EmbeddedGenerationReader
from rag_assets.vector_stores.embedded.shard_copy import copy_files
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore

UNKNOWN_DIMENSIONS = 0
"""Stands in for a dimension known only to the endpoint of the model."""


@contextmanager
def dry_run(settings: Settings) -> Generator[KnowledgeBase]:
    """Yield a knowledge base for a dry run. Everything written to it is deleted when the block ends."""
    knowledge_base = _DryRunKnowledgeBase(settings)
    try:
        yield knowledge_base
    finally:
        knowledge_base.close()


class _DryRunKnowledgeBase(ReadOnlyKnowledgeBase):
    @cached_property
    def vector_store(self) -> VectorStore:
        store = super().vector_store
        if isinstance(store, EmbeddedVectorStore):
            return _CopyingVectorStore(
                self.settings.state_dir / "vector_store", self.settings.collection, self.scratch
            )
        return store

    def _ledger_above(self, identity: str) -> Ledger:
        # Not in memory: it holds the vectors of all new texts.
        return SqliteLedger(self.scratch / "ledger.sqlite", identity)

    @cached_property
    def artifacts(self) -> ArtifactStore:
        return ArtifactStore(self.scratch / "artifacts")

    @property
    def earlier_artifacts(self) -> ArtifactStore:
        return ArtifactStore(self.settings.state_dir / "artifacts" / self.settings.collection)

    @cached_property
    def text_store(self) -> TextStore:
        return _OverlayTextStore(
            self.scratch / "texts", self.settings.state_dir / "texts" / self.settings.collection
        )

    def media_models(self, *, asks: bool = False) -> MediaModels:
        return super().media_models(asks=asks)

    def _build_embedder(self, name: str) -> Embedder:
        embedder = super()._build_embedder(name)
        if isinstance(embedder, OpenAIEmbedder) and embedder.known_dimensions is None:
            manifest = self.production_manifest()
            recorded = recorded_model(manifest) if manifest else EmbeddingModel("", "", UNKNOWN_DIMENSIONS)
            same = (recorded.provider, recorded.model) == ("openai", embedder.model_name)
            # At another address only the probe of a refresh can tell.
            same = same and (recorded.endpoint == embedder.endpoint or bool(manifest and manifest.probe))
            embedder.expect_dimensions(recorded.dimensions if same else UNKNOWN_DIMENSIONS)
        return embedder


class _OverlayTextStore(TextStore):
    """Texts of two folders: writes go to the upper one, reads fall through to the lower one."""

    def __init__(self, root: Path, below: Path) -> None:
        super().__init__(root)
        self._below = TextStore(below)

    def get(self, text_hash: str) -> str | None:
        text = super().get(text_hash)
        return self._below.peek(text_hash) if text is None else text

    def has(self, text_hash: str) -> bool:
        return super().has(text_hash) or self._below.has(text_hash)


class _CopyingVectorStore(EmbeddedVectorStore):
    """Reads a copy of each generation, because the engine rewrites a file in every folder it opens."""

    def __init__(self, root: Path, collection: str, scratch: Path) -> None:
        super().__init__(root, collection)
        self._copies = scratch / "generations"

    def read(self, generation: str) -> EmbeddedGenerationReader:
        folder, stored = self.folders.complete(generation)
        copy = self._copies / generation
        if not copy.exists():
            copy_files(folder, ("manifest.json", *(f"shard/{file}" for file in stored["files"])), copy)
        return EmbeddedGenerationReader(generation, copy, stored["points"], stored["dimensions"])
