"""Snapshots on a Qdrant server: copies of a collection that outlive it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rag_assets.errors import ConfigurationError
from rag_assets.vector_stores.server.server_errors import is_missing, server_errors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


def remove_snapshots(client: "QdrantClient", collections: Iterable[str]) -> list[str]:
    """Delete the snapshots of collections, and return those that stay. See `KeepsSnapshots`.

    Each node of a cluster lists its own. A snapshot of the whole server has other collections too, so it is never deleted.
    """
    left: list[str] = []
    try:
        for collection in collections:
            with server_errors(client, f"delete the snapshots of collection {collection}"):
                for snapshot in _snapshots_of(client, collection):
                    client.delete_snapshot(collection, snapshot, wait=True)
        with server_errors(client, "list the snapshots of the server"):
            left += [f"the snapshot {one.name} of the whole server" for one in client.list_full_snapshots()]
    except ConfigurationError as error:  # refused: this key may not, or the server knows no snapshots
        left.append(f"snapshots of its generations ({error})")
    return left


def _snapshots_of(client: "QdrantClient", collection: str) -> list[str]:
    try:
        return [one.name for one in client.list_snapshots(collection)]
    except Exception as error:
        if is_missing(error):
            return []
        raise
