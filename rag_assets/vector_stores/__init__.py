"""Vector stores: where generations of points live, and which of them serves."""

from pathlib import Path

from rag_assets.vector_stores.base import VectorStore


def build_vector_store(
    *, qdrant_url: str | None, qdrant_api_key: str | None, state_dir: Path, collection: str
) -> VectorStore:
    """Return the server's store if a URL is set, else the one in the state directory. Nothing is opened yet.

    Raises:
        ConfigurationError: the URL or the name of the collection cannot be used.
    """
    if qdrant_url:
        from rag_assets.vector_stores.server.client import connect
        from rag_assets.vector_stores.server.store import ServerVectorStore

        return ServerVectorStore(connect(qdrant_url, qdrant_api_key), collection)
    from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore

    return EmbeddedVectorStore(state_dir / "vector_store", collection)
