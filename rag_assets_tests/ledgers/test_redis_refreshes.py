"""Whole refreshes with the ledger on Redis: emptied, full, evicting. Production is right, and a person reads what was lost."""

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_assets.errors import LedgerNotWritable
from rag_assets.inspection.doctor import describe, examine
from rag_assets.inspection.read_only import ReadOnlyKnowledgeBase
from rag_assets.inspection.status import describe as describe_status
from rag_assets.inspection.status import status
from rag_assets.operations.decisions import approve
from rag_assets_tests.histories.expectation import (
    Snapshot,
    after_refresh,
    known_documents,
    points_from_nothing,
    problems_of,
    read_sources,
    stored_points,
)
from rag_assets_tests.histories.world import STEPS, World
from rag_assets_tests.pipeline import assert_same_points, token_in
from rag_assets_tests.redis_servers import RedisServer, redis_server

pytestmark = pytest.mark.slow
POLICIES = (
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
)


@pytest.fixture
def world(redis: RedisServer, client: Any, tmp_path: Path) -> World:
    world = World(tmp_path / "home")
    world.settings["redis_url"] = redis.url
    for number in range(15):
        world.write("one", f"page{number:02}.md", f"# Page {number}\n\nsome text of page {number}")
    return world


@contextlib.contextmanager
def checked_refresh(world: World) -> Iterator[None]:
    """Compare production after the block with a build from nothing of what the sources hold."""
    before = known_documents(world)
    yield
    reading = read_sources(world)
    after = Snapshot(after_refresh(before, reading), world.settings["chunk_size"])
    production = world.production().production
    assert production is not None
    assert problems_of(world, production) == ()
    assert known_documents(world) == after.documents
    assert_same_points(stored_points(world, production), points_from_nothing(world, after, reading.texts))


def change(world: World) -> None:
    world.write("one", "page00.md", "quite another text")
    world.remove("one", "page01.md")
    world.move("one", "page02.md", "two", "sub/there.md")
    world.write("two", "new.md", "something new")


@pytest.mark.parametrize("step", STEPS)
def test_a_refresh_over_an_emptied_server_ends_right(
    world: World, client: Any, step: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.refresh().checked()
    change(world)

    @contextlib.contextmanager
    def emptying(name: str) -> Iterator[None]:
        if name == step:
            client.flushall()
        yield

    with checked_refresh(world):
        world.refresh(around=emptying).checked()
    lost = caplog.text.count("lease of this refresh was gone")
    assert lost == (0 if step == STEPS[0] else 1), "a refresh that begins has no lease to lose"
    caplog.clear()
    with checked_refresh(world):
        world.refresh().checked()
    assert caplog.records == []
    assert not client.exists(f"rag:{_id(world)}:lease")


def _id(world: World) -> str:
    with world.knowledge_base() as knowledge_base:
        return knowledge_base.vector_store.knowledge_base_id()


def test_a_lease_taken_by_another_refresh_is_not_taken_back(world: World, client: Any) -> None:
    world.refresh().checked()
    change(world)

    @contextlib.contextmanager
    def taking(name: str) -> Iterator[None]:
        if name == "embeddings":
            client.flushall()
            with world.knowledge_base() as other:
                assert other.ledger.acquire_lease("another", "elsewhere", 1) is None
        yield

    outcome = world.refresh(around=taking)
    with world.knowledge_base() as knowledge_base:
        holder = knowledge_base.ledger.lease_holder()
        assert holder is not None
        assert holder.owner == "another"
    assert outcome.succeeded, "the lease only saves work"


def test_a_lost_approval_is_asked_for_again_with_the_reason(world: World, client: Any) -> None:
    world.refresh().checked()
    for number in range(12):
        world.remove("one", f"page{number:02}.md")
    token = token_in(world.refresh().message)
    with world.knowledge_base() as knowledge_base:
        approve(knowledge_base, token, by="ana", reason="")
    client.flushall()
    refused = world.refresh()
    assert refused.kind == "DeletionRefused"
    assert "by ana, but the ledger no longer holds this approval" in refused.message
    with world.knowledge_base() as knowledge_base:
        knowledge_base.failures.forget()
        assert "by ana, but the ledger no longer holds" in describe_status(status(knowledge_base))
        approve(knowledge_base, token, by="ana", reason="")
    time.sleep(1.1)  # the candidate is sealed after the approval, to the second
    with checked_refresh(world):
        world.refresh().checked()
    # Used up: the same question is asked without it.
    for number in range(12):
        world.write("one", f"page{number:02}.md", f"# Page {number}\n\nsome text of page {number}")
    world.refresh().checked()
    for number in range(12):
        world.remove("one", f"page{number:02}.md")
    again = world.refresh()
    assert again.kind == "DeletionRefused"
    assert "no longer holds" not in again.message


# Full


@pytest.fixture
def small(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "small", "maxmemory-samples 10") as server:
        yield server


def fill(server: RedisServer) -> None:
    """Let it have no memory left."""
    server.client().config_set("maxmemory", 1)


@pytest.mark.parametrize("since", ["the start", "embeddings"])
def test_a_refresh_goes_on_without_remembering_if_redis_is_full(
    world: World, small: RedisServer, since: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.settings["redis_url"] = small.url
    world.refresh().checked()
    change(world)

    @contextlib.contextmanager
    def filling(name: str) -> Iterator[None]:
        if name == since:
            fill(small)
        yield

    if since == "the start":
        fill(small)
    caplog.set_level(logging.WARNING)
    with checked_refresh(world):
        caplog.clear()
        world.refresh(around=filling).checked()
        said = [record.getMessage() for record in caplog.records if "is full" in record.getMessage()]
    assert len([one for one in said if "does not remember" in one]) == 1
    assert len([one for one in said if "without a lease" in one]) == (since == "the start")
    with contextlib.closing(ReadOnlyKnowledgeBase(world.load())) as knowledge_base:
        found = {finding.part: describe(finding) for finding in examine(knowledge_base)}
    assert "NEARLY FULL" in found["ledger"]
    small.client().config_set("maxmemory", 0)
    with checked_refresh(world):
        world.refresh().checked()


def test_a_decision_that_a_full_server_does_not_take_is_an_error(world: World, small: RedisServer) -> None:
    world.settings["redis_url"] = small.url
    world.refresh().checked()
    for number in range(12):
        world.remove("one", f"page{number:02}.md")
    token = token_in(world.refresh().message)
    fill(small)
    with (
        world.knowledge_base() as knowledge_base,
        pytest.raises(LedgerNotWritable, match="Raise `maxmemory`"),
    ):
        approve(knowledge_base, token, by="ana", reason="")
    # The decision was not noted either.
    small.client().config_set("maxmemory", 0)
    assert "no longer holds" not in world.refresh().message


@pytest.mark.parametrize("policy", POLICIES)
def test_refreshes_end_right_under_every_policy_of_eviction(
    world: World, small: RedisServer, policy: str
) -> None:
    world.settings["redis_url"] = small.url
    client = small.client()
    client.config_set("maxmemory-policy", policy)
    world.refresh().checked()
    client.config_set("maxmemory", int(client.info("memory")["used_memory"]) - 10_000)
    for number in range(3):
        world.write("one", f"page{number:02}.md", f"edition two of page {number} " * 20)
        with checked_refresh(world):
            world.refresh().checked()
    if policy != "noeviction":
        assert int(client.info("stats")["evicted_keys"]) > 0
    with contextlib.closing(ReadOnlyKnowledgeBase(world.load())) as knowledge_base:
        found = {finding.part: describe(finding) for finding in examine(knowledge_base)}
    assert policy in found["ledger"]
    assert ("may EVICT" in found["ledger"]) == policy.startswith("allkeys")


def test_doctor_describes_the_server(world: World, redis: RedisServer) -> None:
    world.refresh().checked()
    with contextlib.closing(ReadOnlyKnowledgeBase(world.load())) as knowledge_base:
        found = {finding.part: describe(finding) for finding in examine(knowledge_base)}
    assert f"Redis at 127.0.0.1:{redis.port}, 17 documents in production" in found["ledger"]
    assert "NO maxmemory is set" in found["ledger"]


def test_status_names_the_server_and_the_running_refresh(world: World, redis: RedisServer) -> None:
    world.refresh().checked()
    with world.knowledge_base() as knowledge_base:
        knowledge_base.ledger.acquire_lease("running", "elsewhere", 1)
    with contextlib.closing(ReadOnlyKnowledgeBase(world.load())) as reader:
        report = status(reader)
    assert report["live_refresh"] == "running"
    assert describe_status(report).splitlines()[0].endswith(f", ledger in Redis at 127.0.0.1:{redis.port}")
