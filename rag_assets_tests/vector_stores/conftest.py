"""The stores under the contract: embedded, in memory, a lagging cluster, and real servers if there are some.

An embedded generation is created and opened in 0.3 s with its fourteen payload indexes, in 0.03 s with one. So tests
run with one index. Filters are tested with all indexes, writing and sealing with one and with all.
"""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import pytest

from rag_assets.document_metadata.policy import MetadataIndexes
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets.vector_stores.server import consensus
from rag_assets.vector_stores.server.layout import CollectionLayout
from rag_assets.vector_stores.server.store import ServerVectorStore
from rag_assets_tests.qdrant_nodes import REAL_SERVERS, real_server
from rag_assets_tests.small_generations import small_generations
from rag_assets_tests.vector_stores.server.lagging_client import LaggingClient


class OpenStore(Protocol):
    def __call__(self, metadata_indexes: MetadataIndexes | None = None, /) -> VectorStore: ...


def server_store(
    client: Any, collection: str, indexes: MetadataIndexes | None, replicas: int | None = None
) -> ServerVectorStore:
    layout = CollectionLayout(replicas=replicas, metadata_indexes=indexes or {})
    return ServerVectorStore(client, collection, layout)


@dataclass
class Backend:
    """One kind of store.

    Attributes:
        open: returns another instance for the same data, as in another process, with these metadata indexes.
        client: client of the server adapters.
    """

    kind: str
    open: OpenStore
    collection: str
    client: Any = None


ONE_INDEX = "embedded with one index"
KINDS = [ONE_INDEX, "in_memory", "lagging", *REAL_SERVERS]
ALL_INDEXES = ["embedded", *KINDS[1:]]
ONE_AND_ALL_INDEXES = [*KINDS, pytest.param("embedded", marks=pytest.mark.slow)]


def in_memory_backend(collection: str = "kb") -> Backend:
    from qdrant_client import QdrantClient

    client = QdrantClient(":memory:")
    return Backend(
        "in_memory", lambda indexes=None: server_store(client, collection, indexes), collection, client
    )


@contextlib.contextmanager
def short_deadlines() -> Iterator[None]:
    """Wait for many late reads, but not long."""
    with (
        mock.patch.object(consensus, "DEADLINE_SECONDS", 0.2),
        mock.patch.object(consensus, "_FIRST_PAUSE_SECONDS", 0.001),
        mock.patch.object(consensus, "_LONGEST_PAUSE_SECONDS", 0.01),
    ):
        yield


@contextlib.contextmanager
def open_backend(kind: str, folder: Path) -> Iterator[Backend]:
    if kind in ("embedded", ONE_INDEX):
        with small_generations() if kind == ONE_INDEX else contextlib.nullcontext():
            yield Backend(
                "embedded", lambda indexes=None: EmbeddedVectorStore(folder / "state", "kb", indexes), "kb"
            )
        return
    if kind == "in_memory":
        yield in_memory_backend()
        return
    if kind == "lagging":
        client: Any = LaggingClient()
        with short_deadlines():
            yield Backend(
                "in_memory", lambda indexes=None: server_store(client, "kb", indexes), "kb", client.inner
            )
        return
    server = real_server(kind)
    collection = f"rag-assets-test-{secrets.token_hex(6)}"
    # Every refusal waits for the deadline, and these nodes are on one machine.
    with mock.patch.object(consensus, "DEADLINE_SECONDS", 2.0):
        yield Backend(
            "server",
            lambda indexes=None: server_store(server.connect(), collection, indexes, server.replicas),
            collection,
            server.connect(),
        )
    server.delete_collections(collection)


@pytest.fixture(params=KINDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with open_backend(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def in_memory() -> Backend:
    return in_memory_backend()


@pytest.fixture
def store(backend: Backend) -> VectorStore:
    return backend.open()
