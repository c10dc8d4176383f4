"""LangChain's own vector store over the alias, with our embedder. Imported by the tests that use it."""

from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore

from rag_assets_tests.documents import FakeEmbedder
from rag_assets_tests.integrations.small_store import SmallStore


class FakeEmbeddings(Embeddings):
    def __init__(self, embedder: FakeEmbedder) -> None:
        self._embedder = embedder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._embedder.embed_documents(texts).vectors.tolist()

    def embed_query(self, text: str) -> list[float]:
        return self._embedder.embed_query(text).tolist()


def own_store(store: SmallStore, embedder: FakeEmbedder) -> QdrantVectorStore:
    return QdrantVectorStore(
        store.client, "kb", FakeEmbeddings(embedder), vector_name="dense", content_payload_key="text"
    )
