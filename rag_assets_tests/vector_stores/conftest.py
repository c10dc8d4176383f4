"""The stores that the contract is checked on: embedded, in memory, and a real server if there is one."""

import os
import secrets
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.embedded import EmbeddedVectorStore
from rag_assets.vector_stores.server import ServerVectorStore, connect

TEST_URL = os.environ.get("QDRANT_TEST_URL")


@dataclass
class Backend:
    """One kind of store.

    Attributes:
        open: returns another instance over the same data, as another process would have it.
        client: of the server adapters.
    """

    kind: str
    open: Callable[[], VectorStore]
    collection: str
    client: Any = None


def _in_memory(collection: str) -> Backend:
    from qdrant_client import QdrantClient

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = QdrantClient(":memory:")
    return Backend("in_memory", lambda: ServerVectorStore(client, collection), collection, client)


@pytest.fixture(params=["embedded", "in_memory", "server"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    if request.param == "embedded":
        yield Backend("embedded", lambda: EmbeddedVectorStore(tmp_path / "state", "kb"), "kb")
        return
    if request.param == "in_memory":
        yield _in_memory("kb")
        return
    if TEST_URL is None:
        pytest.skip("QDRANT_TEST_URL is not set")
    collection = f"rag-assets-test-{secrets.token_hex(6)}"
    client = connect(TEST_URL, os.environ.get("QDRANT_TEST_API_KEY"))
    yield Backend(
        "server",
        lambda: ServerVectorStore(connect(TEST_URL, os.environ.get("QDRANT_TEST_API_KEY")), collection),
        collection,
        client,
    )
    for one in client.get_collections().collections:
        if one.name.startswith(collection):
            client.delete_collection(one.name)


@pytest.fixture
def in_memory() -> Backend:
    return _in_memory("kb")


@pytest.fixture
def store(backend: Backend) -> VectorStore:
    return backend.open()
