"""A client of a cluster with nodes that are a moment behind: they show collections and aliases as they were.

Collections, their metadata and aliases go through the consensus of a cluster. After each change of them, the next reads
answer as before it. A collection not seen yet takes no points. Of two equal changes proposed at once, by two nodes, both
get the answer of the first: a node waits for a change with this content, not for its own.
"""

import copy
import threading
from typing import Any

from rag_assets_tests.vector_stores.server.conftest import ServerLikeClient

_CHANGES = ("create_collection", "update_collection", "delete_collection")
_LOOKS = ("get_collections", "get_aliases")
_POINTS = ("upsert", "delete", "retrieve", "count", "scroll", "query_batch_points", "batch_update_points")


class ClusterStatus:
    status = "enabled"
    peers: dict[str, str] = {"1": "http://a", "2": "http://b", "3": "http://c"}  # noqa: RUF012


class LaggingClient(ServerLikeClient):
    """A `ServerLikeClient` with late reads.

    Args:
        lag: number of reads that show the state before a change.
    """

    def __init__(self, lag: int = 3) -> None:
        super().__init__()
        self.lag = lag
        self._late_reads = 0
        self._last_batch: list[Any] = []
        self._before: tuple[Any, Any, dict[str, Any]] | None = None
        self._guard = threading.RLock()

    def cluster_status(self) -> ClusterStatus:
        return ClusterStatus()

    def __getattr__(self, name: str) -> Any:
        original = getattr(self.inner, name)
        if name in _CHANGES:
            return lambda *args, **kwargs: self._changed(original, *args, **kwargs)
        if name in _LOOKS:
            return lambda: self._shown(name) or original()
        if name == "get_collection":
            return self._collection
        if name in _POINTS:
            return lambda collection, *args, **kwargs: self._on_points(original, collection, *args, **kwargs)
        return original

    def update_collection_aliases(self, operations: list[Any], **_: Any) -> bool:
        hook, self.before_batch = self.before_batch, None
        if hook is not None:
            hook()
            if operations == self._last_batch:
                return True
        self._last_batch = operations
        return self._changed(super().update_collection_aliases, operations)

    def _changed(self, change: Any, *args: Any, **kwargs: Any) -> Any:
        with self._guard:
            before = self._before if self._late_reads else self._now()
            try:
                return change(*args, **kwargs)
            finally:
                self._before, self._late_reads = before, self.lag

    def _now(self) -> tuple[Any, Any, dict[str, Any]]:
        collections = self.inner.get_collections()
        infos = {
            one.name: copy.deepcopy(self.inner.get_collection(one.name)) for one in collections.collections
        }
        return collections, copy.deepcopy(self.inner.get_aliases()), infos

    def _shown(self, name: str) -> Any:
        with self._guard:
            if not self._late_reads or self._before is None:
                return None
            self._late_reads -= 1
            return self._before[_LOOKS.index(name)]

    def _collection(self, name: str) -> Any:
        with self._guard:
            if not self._late_reads or self._before is None:
                return self.inner.get_collection(name)
            self._late_reads -= 1
            if name not in self._before[2]:
                raise ValueError(f"Collection {name} not found")
            return self._before[2][name]

    def _on_points(self, original: Any, collection: str, *args: Any, **kwargs: Any) -> Any:
        with self._guard:
            if self._late_reads and self._before is not None and collection not in self._before[2]:
                self._late_reads -= 1
                raise ValueError(f"Collection {collection} not found")
            return original(collection, *args, **kwargs)
