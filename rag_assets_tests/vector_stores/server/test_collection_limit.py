"""A server with a maximum of collections: named before a candidate is begun."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from qdrant_client import QdrantClient

from rag_assets.errors import ConfigurationError
from rag_assets.vector_stores.server.client import connect
from rag_assets.vector_stores.server.collection_limit import CollectionLimit, check_room
from rag_assets_tests.vector_stores.server.other_servers import answering


@contextmanager
def server_with(used: int, most: int | None) -> Iterator[QdrantClient]:
    """Yield a client of a server that answers the question about its collections."""
    collections = {"number_of_collections": used, "max_collections": most}
    answer = {"result": {"id": "1", "collections": collections}, "status": "ok", "time": 0.1}
    with answering(200, json.dumps(answer).encode()) as place:
        yield connect(f"http://{place}", None)


def test_without_room_the_candidate_is_refused_with_both_numbers() -> None:
    with (
        server_with(10, 10) as client,
        pytest.raises(ConfigurationError, match="10 of at most 10 collections"),
    ):
        check_room(client)


@pytest.mark.parametrize("most", [11, None])
def test_with_room_or_without_a_limit_nothing_is_said(most: int | None) -> None:
    with server_with(10, most) as client:
        check_room(client)


def test_a_key_that_may_not_ask_is_no_error() -> None:
    with answering(403, b"{}") as place:
        assert CollectionLimit.of(connect(f"http://{place}", None)) is None
