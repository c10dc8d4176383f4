"""The vector stores by setting: a server if a URL is set, else the embedded one."""

from rag_assets.settings import Settings
from rag_assets.vector_stores.base import VectorStore


def build_vector_store(settings: Settings) -> VectorStore:
    """Return the server store if a URL is set, else the embedded one. Nothing is opened yet.

    Raises:
        ConfigurationError: the URL, the file of certificates, or the name of the collection is unusable.
    """
    if not settings.qdrant_url:
        from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore

        folder = settings.state_dir / "vector_store"
        return EmbeddedVectorStore(folder, settings.collection, settings.metadata_policy.kinds)
    from rag_assets.vector_stores.server.client import connect
    from rag_assets.vector_stores.server.layout import CollectionLayout
    from rag_assets.vector_stores.server.store import ServerVectorStore

    key = settings.qdrant_api_key
    client = connect(
        settings.qdrant_url,
        key.get_secret_value() if key else None,
        ca_file=settings.qdrant_ca_file,
        timeout_seconds=settings.qdrant_timeout_seconds,
    )
    layout = CollectionLayout(
        settings.qdrant_shards,
        settings.qdrant_replicas,
        settings.qdrant_write_consistency,
        snapshots=settings.qdrant_snapshots,
        metadata_indexes=settings.metadata_policy.kinds,
    )
    return ServerVectorStore(client, settings.collection, layout)
