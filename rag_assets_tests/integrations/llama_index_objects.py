"""LlamaIndex's own vector store over the alias, with our embedder. Imported by the tests that use it."""

from typing import Any

from llama_index.core import VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.retrievers import BaseRetriever
from llama_index.vector_stores.qdrant import QdrantVectorStore

from rag_assets_tests.documents import FakeEmbedder
from rag_assets_tests.integrations.small_store import QUESTION, SmallStore


class FakeEmbedding(BaseEmbedding):
    embedder: Any

    def _get_query_embedding(self, query: str) -> list[float]:
        return self.embedder.embed_query(query).tolist()

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_query_embedding(text)


def own_retriever(store: SmallStore, embedder: FakeEmbedder, **options: Any) -> BaseRetriever:
    own = QdrantVectorStore("kb", client=store.client, dense_vector_name="dense")
    index = VectorStoreIndex.from_vector_store(own, embed_model=FakeEmbedding(embedder=embedder))
    return index.as_retriever(similarity_top_k=1, **options)


def ask(retriever: BaseRetriever) -> list[str]:
    return [node.get_content() for node in retriever.retrieve(QUESTION)]
