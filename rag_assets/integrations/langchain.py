"""The knowledge base as a LangChain retriever: our hybrid search, with filters, across promotions."""

from rag_assets.records import SearchFilter
from rag_assets.retrieval import Retriever

try:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: install rag-assets with its extra `langchain`", name=error.name
    ) from None


class KnowledgeBaseRetriever(BaseRetriever):
    """Returns chunks as documents. Their metadata are the payload, fields and metadata of the first location, and `score`.

    `k` and `search_filter` can be given for one question: `invoke(question, k=3)`, or with `bind` inside a chain.
    """

    retriever: Retriever
    k: int = 5
    search_filter: SearchFilter | None = None

    # Named arguments, not `**options`: a misspelled `search_filter` must be an error, not an answer from all documents.
    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain requires it
        k: int | None = None,
        search_filter: SearchFilter | None = None,
    ) -> list[Document]:
        hits = self.retriever.search(
            query,
            self.k if k is None else k,
            self.search_filter if search_filter is None else search_filter,
        )
        return [
            Document(
                id=hit.point_id, page_content=hit.text, metadata={**hit.to_metadata(), "score": hit.score}
            )
            for hit in hits
        ]
