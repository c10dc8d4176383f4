"""The knowledge base as a LlamaIndex retriever: our hybrid search, with filters, across promotions."""

import asyncio

from rag_assets.records import SearchFilter, SearchHit
from rag_assets.retrieval import Retriever

try:
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import (
        NodeRelationship,
        NodeWithScore,
        QueryBundle,
        RelatedNodeInfo,
        TextNode,
    )
    from llama_index.core.vector_stores import MetadataFilters

    from rag_assets.integrations.llama_index_filters import search_filter_of
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: install rag-assets with its extra `llama-index`", name=error.name
    ) from None

_FOR_THE_MODEL = ("title", "path")


class KnowledgeBaseRetriever(BaseRetriever):
    """Returns chunks as text nodes. Their metadata are the payload, and fields and metadata of the first location.

    Cheap to create: use one per request, with the filter of its reader and a shared `Retriever`.

    Args:
        filters: LlamaIndex's own form of a filter. It holds together with `search_filter`.

    Raises:
        ConfigurationError: `filters` has a comparison without a counterpart.
    """

    def __init__(
        self,
        retriever: Retriever,
        similarity_top_k: int = 5,
        search_filter: SearchFilter | None = None,
        filters: MetadataFilters | None = None,
    ) -> None:
        super().__init__()
        if filters is not None:
            conditions = search_filter.conditions if search_filter is not None else ()
            search_filter = SearchFilter(conditions + search_filter_of(filters).conditions)
        self._retriever = retriever
        self._similarity_top_k = similarity_top_k
        self._search_filter = search_filter

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = self._retriever.search(query_bundle.query_str, self._similarity_top_k, self._search_filter)
        return [NodeWithScore(node=_node(hit), score=hit.score) for hit in hits]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


def _node(hit: SearchHit) -> TextNode:
    metadata = hit.to_metadata()
    return TextNode(
        id_=hit.point_id,
        text=hit.text,
        start_char_idx=hit.payload["start"],
        end_char_idx=hit.payload["end"],
        metadata=metadata,
        # LlamaIndex puts all other metadata into the prompt. Excluded are hashes, ids and offsets.
        excluded_llm_metadata_keys=[key for key in metadata if key not in _FOR_THE_MODEL],
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.locations[0].document_id)},
    )
