"""A collection with the limits of a shared cluster: everything stays within them, or names the one in the way."""

from types import SimpleNamespace
from typing import Any

import pytest
from qdrant_client.models import ReplicaState

from rag_assets.errors import ConfigurationError
from rag_assets.vector_stores.server.seal_comparison import COMPARED_IN_FULL
from rag_assets.vector_stores.server.store import ServerVectorStore
from rag_assets_tests.vector_stores.samples import (
    DIMENSIONS,
    everything,
    location,
    manifest,
    point,
    point_id,
    stage,
    unit_vector,
)
from rag_assets_tests.vector_stores.server.conftest import ServerLikeClient


class StrictClient(ServerLikeClient):
    """Refuses what a server in strict mode refuses, by `lib/collection/src/operations/verification` of Qdrant."""

    def __init__(self, **limits: Any) -> None:
        super().__init__()
        known = {
            "enabled": True,
            "max_query_limit": None,
            "upsert_max_batchsize": None,
            "search_max_batchsize": None,
            "search_allow_exact": None,
        }
        self.limits = SimpleNamespace(**{**known, **limits})

    def get_collection(self, name: str) -> Any:
        info = self.inner.get_collection(name)
        config = info.config.model_copy(update={"strict_mode_config": self.limits})
        return info.model_copy(update={"config": config})

    def scroll(self, collection: str, **options: Any) -> Any:
        self._check(options["limit"], self.limits.max_query_limit)
        return self.inner.scroll(collection, **options)

    def upsert(self, collection: str, points: list[Any], **options: Any) -> Any:
        self._check(len(points), self.limits.upsert_max_batchsize)
        return self.inner.upsert(collection, points, **options)

    def query_batch_points(self, collection: str, requests: list[Any]) -> Any:
        self._check(len(requests), self.limits.search_max_batchsize)
        for request in requests:
            self._check(request.limit, self.limits.max_query_limit)
        return self.inner.query_batch_points(collection, requests)

    def count(self, collection: str, *, exact: bool) -> Any:
        if exact and self.limits.search_allow_exact is False:
            raise AssertionError("exact counts are not allowed")
        return self.inner.count(collection, exact=exact)

    def _check(self, number: int, limit: int | None) -> None:
        if limit is not None and number > limit:
            raise AssertionError(f"{number} > {limit}")


@pytest.fixture
def strict() -> StrictClient:
    return StrictClient(
        max_query_limit=20, upsert_max_batchsize=3, search_max_batchsize=1, search_allow_exact=False
    )


def test_a_generation_is_written_copied_read_and_searched_within_the_limits(strict: StrictClient) -> None:
    store = ServerVectorStore(strict, "kb")  # type: ignore[arg-type]
    stage(store, "g1", [point(n) for n in range(50)])
    with store.write("g2", DIMENSIONS, "g1") as writer:
        writer.delete([point_id(1)])
        writer.set_payload({point_id(n): {"locations": [location(9)]} for n in range(2, 12)})
        writer.upsert([point(n) for n in range(60, 70)])
        writer.seal(manifest("g2", 59))
    store.promote("g2", None)
    assert store.verify("g2", depth="every point")
    assert store.verify("g2", depth="quick")
    assert len(everything(store, "g2")) == 59
    dense, sparse = store.read("g2").search(unit_vector(1), point(5).sparse, 10)
    assert len(dense) == 10
    assert sparse


def test_a_sample_of_a_large_generation_is_compared_within_the_limits(
    strict: StrictClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert COMPARED_IN_FULL
    monkeypatch.setattr("rag_assets.vector_stores.server.seal_comparison.COMPARED_IN_FULL", 10)
    monkeypatch.setattr("rag_assets.vector_stores.server.seal_comparison.SAMPLE", 10)
    store = ServerVectorStore(strict, "kb")  # type: ignore[arg-type]
    stage(store, "g1", [point(n) for n in range(50)])
    assert store.verify("g1")


def test_more_results_than_allowed_name_the_limit(strict: StrictClient) -> None:
    store = ServerVectorStore(strict, "kb")  # type: ignore[arg-type]
    stage(store, "g1", [point(n) for n in range(50)])
    with pytest.raises(ConfigurationError, match=r"at most 20 results.*max_query_limit.*not 21"):
        store.read("g1").search(unit_vector(1), None, 21)


def test_limits_of_a_collection_without_strict_mode_count_for_nothing() -> None:
    client = StrictClient(enabled=False, max_query_limit=None)
    store = ServerVectorStore(client, "kb")  # type: ignore[arg-type]
    stage(store, "g1", [point(n) for n in range(5)])
    assert len(everything(store, "g1")) == 5


def test_the_doctor_names_version_nodes_copies_and_limits(strict: StrictClient) -> None:
    store = ServerVectorStore(strict, "kb")  # type: ignore[arg-type]
    assert store.describe_server()[1:] == ["a single node"]
    stage(store, "g1", [point(1)])
    strict.inner.info = lambda: SimpleNamespace(version="1.18.3")  # type: ignore[method-assign]
    strict.cluster_status = lambda: SimpleNamespace(peers={"1": "a", "2": "b"}, status="enabled")  # type: ignore[attr-defined]
    dead = SimpleNamespace(shard_id=0, state=ReplicaState.DEAD)
    active = SimpleNamespace(shard_id=0, state=ReplicaState.ACTIVE)
    strict.collection_cluster_info = lambda name: SimpleNamespace(  # type: ignore[attr-defined]
        local_shards=[active], remote_shards=[dead]
    )
    assert store.describe_server() == [
        "Qdrant 1.18.3",
        "no filters by prefix, they need Qdrant 1.19",
        "2 nodes",
        "1 copy of 1 part",
        "1 copy on a node that is away",
        "at most 20 results of a search (max_query_limit)",
        "at most 3 points in a request (upsert_max_batchsize)",
        "at most 1 search in a request",
        "points are counted page by page (search_allow_exact is off)",
    ]
