"""A server store on a client with the alias batches of a server."""

from collections.abc import Callable
from typing import Any

import pytest

from rag_assets.vector_stores.server.store import ServerVectorStore


class ServerLikeClient:
    """An in-memory client with the alias batches of a server, after qdrant's `update_aliases`.

    It applies and saves one operation after the other. The first failure stops the batch, and the operations before it
    are kept. (The client's local mode undoes them.) `before_batch` runs once before the next batch, like another
    process between our reading and our change.
    """

    def __init__(self) -> None:
        from qdrant_client import QdrantClient

        self.inner = QdrantClient(":memory:")
        self.before_batch: Callable[[], object] | None = None
        self.fail_after_batch = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def update_collection_aliases(self, operations: list[Any], **_: Any) -> bool:
        hook, self.before_batch = self.before_batch, None
        if hook is not None:
            hook()
        for operation in operations:
            self.inner.update_collection_aliases([operation])
        if self.fail_after_batch:
            self.fail_after_batch = False
            raise ConnectionError("the answer was lost")
        return True

    def delete_alias(self, name: str) -> None:
        from qdrant_client import models

        deletion = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name))
        self.inner.update_collection_aliases([deletion])

    def aliases(self) -> dict[str, str]:
        return {one.alias_name: one.collection_name for one in self.inner.get_aliases().aliases}


@pytest.fixture
def client() -> ServerLikeClient:
    return ServerLikeClient()


@pytest.fixture
def store(client: ServerLikeClient) -> ServerVectorStore:
    return ServerVectorStore(client, "kb")  # type: ignore[arg-type]
