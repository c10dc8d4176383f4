"""The vector stores by setting: a server if a URL is set, else the embedded one."""

from pathlib import Path

from rag_assets.vector_stores.base import VectorStore


def build_vector_store(
    *, qdrant_url: str | None, qdrant_api_key: str | None, state_dir: Path, collection: str
) -> VectorStore:
    """Return the server store if a URL is set, else the embedded one. Nothing is opened yet.

    Raises:
        ConfigurationError: the URL or the name of the collection is unusable.
    """
    if qdrant_url:
        from rag_assets.vector_stores.server.client import connect
        from rag_assets.vector_stores.server.store import ServerVectorStore

        return ServerVectorStore(connect(qdrant_url, qdrant_api_key), collection)
    from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore

    return EmbeddedVectorStore(state_dir / "vector_store", collection)
