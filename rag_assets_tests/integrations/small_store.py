"""Two small generations in a store of the server's kind, for the tests of both libraries."""

from dataclasses import asdict, replace
from typing import Any

from rag_assets.document_metadata.values import NO_METADATA, Metadata
from rag_assets.records import EmbeddingModel
from rag_assets.retrieval import Retriever
from rag_assets.vector_stores.server.store import ServerVectorStore
from rag_assets_tests.documents import FINGERPRINT, MODEL, document, embedder_of, stage

QUESTION = "reset a password\n"
OTHER_MODEL = replace(MODEL, model="another-8")
FIRST = {"it/passwords.md": QUESTION, "hr/leave.md": "parental leave lasts\n"}
METADATA = {
    "it/passwords.md": Metadata.of(
        {"year": 2024, "tags": ("it", "security"), "title": "Another", "draft": True}
    ),
    "hr/leave.md": Metadata.of({"year": 2023}),
}
SECOND = {"it/passwords.md": "a password is never reset\n"}


class SmallStore:
    """A knowledge base named `kb`. The vectors are hashes of the texts."""

    def __init__(self) -> None:
        from qdrant_client import QdrantClient

        self.client: Any = QdrantClient(":memory:")
        self._store = ServerVectorStore(self.client, "kb")
        self.promote("g1", FIRST)

    def promote(self, generation: str, texts: dict[str, str], model: EmbeddingModel = MODEL) -> None:
        stage(
            self._store,
            generation,
            [
                document(path, text, title=path.upper(), metadata=METADATA.get(path, NO_METADATA))
                for path, text in texts.items()
            ],
            texts.values(),
            fingerprint=FINGERPRINT | {"embedding_model": asdict(model)},
        )
        state = self._store.promote(generation, self._store.production_state().production)
        for old in self._store.generations():
            if old not in (state.production, state.previous):
                self._store.discard(old)

    def retriever(self) -> Retriever:
        return Retriever(self._store, embedder_of, dense_weight=1.0)
