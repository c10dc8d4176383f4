"""Compares the ways of asking in docs/querying.md: asks production every benchmark question in each of them.

    python eval_benchmarks/query_paths.py

Prints Recall@1, Recall@5 and MRR over five chunks, as applications ask for them, and the difference of Recall@5 from
`Retriever` on the same questions, with its standard error. Needs a knowledge base in production and the `dev` extra. The
generation is copied into an in-memory client, without a server.
"""

from collections.abc import Callable
from statistics import mean
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore as LangChainStore
from langchain_qdrant import RetrievalMode, SparseEmbeddings
from langchain_qdrant.sparse_embeddings import SparseVector
from llama_index.core import VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.vector_stores.qdrant import QdrantVectorStore as LlamaIndexStore
from qdrant_client import QdrantClient, models

from rag_assets.embedders.base import Embedder
from rag_assets.embedders.bm25 import Bm25Encoder
from rag_assets.evaluation.benchmark import DocumentNames, load_benchmark
from rag_assets.evaluation.retrieval_metrics import recall_at_k, reciprocal_rank
from rag_assets.evaluation.statistics import standard_error
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.retrieval import Retriever
from rag_assets.settings import load_settings
from rag_assets.vector_stores.server.store import ServerVectorStore

CHUNKS = 5
ALIAS = "knowledge_base"

Way = Callable[[str], list[str]]
"""Question -> ids of the found chunks, best first."""


def main() -> None:
    knowledge_base = KnowledgeBase(load_settings())
    client, contents = copy_of_production(knowledge_base)
    documents = knowledge_base.documents_of(knowledge_base.vector_store.production_state().production)
    names = DocumentNames(documents)
    questions = load_benchmark(knowledge_base.settings.benchmark_file).queries
    print("| way | Recall@1 | Recall@5 | against the first | MRR |\n|---|---|---|---|---|")
    first_way: list[float] = []
    for name, way in ways(knowledge_base, client).items():
        at_1, at_5, reciprocal = [], [], []
        for question in questions:
            relevant = {names.content_of(document) or document for document in question.expected_docs}
            ranked = list(dict.fromkeys(contents[chunk] for chunk in way(question.query)[:CHUNKS]))
            at_1.append(recall_at_k(ranked, relevant, 1))
            at_5.append(recall_at_k(ranked, relevant, 5))
            reciprocal.append(reciprocal_rank(ranked, relevant))
        first_way = first_way or at_5
        differences = [one - other for one, other in zip(at_5, first_way, strict=True)]
        print(
            f"| {name} | {mean(at_1):.3f} | {mean(at_5):.3f} "
            f"| {mean(differences):+.3f} ± {standard_error(differences):.3f} | {mean(reciprocal):.3f} |"
        )
    knowledge_base.close()


def copy_of_production(knowledge_base: KnowledgeBase) -> tuple[QdrantClient, dict[str, str]]:
    """Return a client with production under `ALIAS`, and chunk id -> content hash."""
    manifest = knowledge_base.production_manifest()
    if manifest is None:
        raise SystemExit("production is empty: refresh first")
    client = QdrantClient(":memory:")
    store = ServerVectorStore(client, ALIAS)
    contents: dict[str, str] = {}
    reader = knowledge_base.vector_store.read(manifest.generation)
    dimensions = manifest.fingerprint["embedding_model"]["dimensions"]
    with store.write(manifest.generation, dimensions, None) as writer:
        for batch in reader.scroll(with_vectors=True):
            writer.upsert(batch)
            contents.update({point.id: point.payload["content_hash"] for point in batch})
        writer.seal(manifest)
    reader.close()
    store.promote(manifest.generation, None)
    return client, contents


def ways(knowledge_base: KnowledgeBase, client: QdrantClient) -> dict[str, Way]:
    weight = knowledge_base.settings.dense_weight
    retriever = Retriever(ServerVectorStore(client, ALIAS), knowledge_base.embedder_of, weight)
    embedder, bm25 = knowledge_base.embedder, knowledge_base.bm25
    rrf = models.FusionQuery(fusion=models.Fusion.RRF)
    dbsf = models.FusionQuery(fusion=models.Fusion.DBSF)
    return {
        "Retriever": lambda question: [hit.point_id for hit in retriever.search(question, CHUNKS)],
        "plain client, reciprocal rank fusion": plain(client, embedder, bm25, rrf),
        "plain client, distribution-based score fusion": plain(client, embedder, bm25, dbsf),
        "LangChain, hybrid": langchain(client, embedder, bm25, RetrievalMode.HYBRID),
        "LangChain, dense": langchain(client, embedder, bm25, RetrievalMode.DENSE),
        "LlamaIndex, hybrid": llama_index(
            client,
            embedder,
            bm25,
            vector_store_query_mode="hybrid",
            similarity_top_k=100,
            sparse_top_k=100,
            hybrid_top_k=CHUNKS,
            alpha=weight,
        ),
        "LlamaIndex, dense": llama_index(client, embedder, bm25, similarity_top_k=CHUNKS),
    }


def plain(client: QdrantClient, embedder: Embedder, bm25: Bm25Encoder, fusion: models.FusionQuery) -> Way:
    def ask(question: str) -> list[str]:
        words = bm25.encode_query(question)
        sparse = models.SparseVector(indices=list(words.indices), values=list(words.values))
        answer = client.query_points(
            ALIAS,
            prefetch=[
                models.Prefetch(query=embedder.embed_query(question).tolist(), using="dense", limit=100),
                models.Prefetch(query=sparse, using="bm25", limit=100),
            ],
            query=fusion,
            limit=CHUNKS,
        )
        return [str(point.id) for point in answer.points]

    return ask


def langchain(client: QdrantClient, embedder: Embedder, bm25: Bm25Encoder, mode: RetrievalMode) -> Way:
    class Dense(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return embedder.embed_documents(texts).vectors.tolist()

        def embed_query(self, text: str) -> list[float]:
            return embedder.embed_query(text).tolist()

    class Sparse(SparseEmbeddings):
        def embed_documents(self, texts: list[str]) -> list[SparseVector]:
            raise NotImplementedError

        def embed_query(self, text: str) -> SparseVector:
            words = bm25.encode_query(text)
            return SparseVector(indices=list(words.indices), values=list(words.values))

    store = LangChainStore(
        client,
        ALIAS,
        embedding=Dense(),
        vector_name="dense",
        retrieval_mode=mode,
        sparse_embedding=Sparse(),
        sparse_vector_name="bm25",
        content_payload_key="text",
    )
    return lambda question: [
        document.metadata["_id"] for document in store.similarity_search(question, k=CHUNKS)
    ]


def llama_index(client: QdrantClient, embedder: Embedder, bm25: Bm25Encoder, **options: Any) -> Way:
    class Dense(BaseEmbedding):
        def _get_query_embedding(self, query: str) -> list[float]:
            return embedder.embed_query(query).tolist()

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

        def _get_text_embedding(self, text: str) -> list[float]:
            raise NotImplementedError

    def sparse(texts: list[str]) -> tuple[list[list[int]], list[list[float]]]:
        encoded = [bm25.encode_query(text) for text in texts]
        return [list(words.indices) for words in encoded], [list(words.values) for words in encoded]

    store = LlamaIndexStore(
        ALIAS,
        client=client,
        dense_vector_name="dense",
        sparse_vector_name="bm25",
        enable_hybrid=True,
        sparse_doc_fn=sparse,
        sparse_query_fn=sparse,
    )
    index = VectorStoreIndex.from_vector_store(store, embed_model=Dense())
    return lambda question: [node.node_id for node in index.as_retriever(**options).retrieve(question)]


if __name__ == "__main__":
    main()
