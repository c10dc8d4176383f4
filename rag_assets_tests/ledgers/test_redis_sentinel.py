"""A master, its replica and a Sentinel: refreshes go on after a failover."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rag_assets.errors import ConfigurationError, LedgerUnavailable
from rag_assets.ledgers.registry import build_ledger
from rag_assets.settings import load_settings
from rag_assets_tests.documents import vector_of
from rag_assets_tests.histories.world import World
from rag_assets_tests.redis_servers import RedisServer, free_port, require_redis

pytestmark = pytest.mark.slow
KEY = b"k" * 32
PASSWORD, OF_SENTINEL = "open-sesame-of-a-test", "another-word-of-a-test"


@dataclass
class Group:
    master: RedisServer
    replica: RedisServer
    sentinel: RedisServer

    def settings(self, **more: Any) -> dict[str, Any]:
        return {
            "redis_url": f"redis://:{PASSWORD}@mymaster",
            "redis_sentinels": (f"127.0.0.1:{self.sentinel.port}",),
            "redis_sentinel_password": OF_SENTINEL,
            "redis_timeout_seconds": 1,
            **more,
        }


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    require_redis()
    login = (f"requirepass {PASSWORD}", f"masterauth {PASSWORD}")
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(RedisServer(tmp_path / "master", *login))
        replica = stack.enter_context(
            RedisServer(
                tmp_path / "replica",
                *login,
                f"replicaof 127.0.0.1 {master.port}",
                "repl-diskless-sync-delay 0",
            )
        )
        sentinel = stack.enter_context(
            RedisServer(
                tmp_path / "sentinel",
                f"requirepass {OF_SENTINEL}",
                f"sentinel monitor mymaster 127.0.0.1 {master.port} 1",
                f"sentinel auth-pass mymaster {PASSWORD}",
                # With 300, a living master of a busy machine counted as down.
                "sentinel down-after-milliseconds mymaster 2000",
                "sentinel failover-timeout mymaster 3000",
                sentinel=True,
            )
        )
        client = sentinel.client(password=OF_SENTINEL)
        wait_until(lambda: master.client(password=PASSWORD).info("replication")["connected_slaves"] == 1)
        wait_until(lambda: len(client.sentinel_slaves("mymaster")) == 1)
        yield Group(master, replica, sentinel)


def fail_over(group: Group) -> None:
    group.master.client(password=PASSWORD).wait(1, 2000)
    group.master.kill()
    wait_for_failover(group)


def wait_for_failover(group: Group) -> None:
    sentinel = group.sentinel.client(password=OF_SENTINEL)
    wait_until(lambda: sentinel.sentinel_get_master_addr_by_name("mymaster")[1] == group.replica.port)
    replica = group.replica.client(password=PASSWORD)
    wait_until(lambda: replica.info("replication")["role"] == "master")
    wait_until(lambda: not sentinel.sentinel_masters()["mymaster"]["is_sdown"])


def test_a_refresh_goes_on_after_a_failover(group: Group, tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    world.settings.update(group.settings())
    world.refresh().checked()
    world.write("one", "new.md", "something new")

    @contextlib.contextmanager
    def failing_over(step: str) -> Iterator[None]:
        if step == "embeddings":
            fail_over(group)
        yield

    world.refresh(around=failing_over).checked()
    world.write("one", "new.md", "something newer")
    world.refresh().checked()
    with world.knowledge_base() as knowledge_base:
        assert len(knowledge_base.served_documents()) == 3
        assert "mymaster of the Sentinels" in str(knowledge_base.settings.redis_address)
    assert group.replica.client(password=PASSWORD).dbsize() > 0


def test_a_refresh_without_a_master_fails_and_the_next_one_goes_on(group: Group, tmp_path: Path) -> None:
    world = World(tmp_path / "home")
    world.settings.update(group.settings())
    world.refresh().checked()
    world.write("one", "new.md", "something new")
    group.master.kill()
    group.sentinel.kill()
    outcome = world.refresh()
    assert outcome.kind == "LedgerUnavailable"
    assert "mymaster" in outcome.message
    group.sentinel.start()
    wait_for_failover(group)
    world.refresh().checked()


def test_a_wrong_login_at_the_sentinels_or_an_unknown_master_is_named(group: Group) -> None:
    for changed, kind, says in (
        ({"redis_sentinel_password": "wrong"}, ConfigurationError, "RAG_REDIS_SENTINEL_PASSWORD"),
        ({"redis_sentinel_password": None}, ConfigurationError, "RAG_REDIS_SENTINEL_PASSWORD"),
        (
            {"redis_url": f"redis://:{PASSWORD}@other"},
            LedgerUnavailable,
            "know no living master of this name",
        ),
        ({"redis_url": "redis://:wrong@mymaster"}, ConfigurationError, "user and password in REDIS_URL"),
        ({"redis_sentinels": (f"127.0.0.1:{free_port()}",)}, LedgerUnavailable, "no Sentinel answers"),
    ):
        ledger = build_ledger(load_settings(**group.settings(**changed)), "kb")
        with pytest.raises(kind, match=says) as raised:  # type: ignore[call-overload]
            ledger.vectors([KEY])
        assert PASSWORD not in str(raised.value)
        assert OF_SENTINEL not in str(raised.value)
        ledger.close()


def test_one_silent_sentinel_of_two_is_enough(group: Group) -> None:
    hosts = (f"127.0.0.1:{free_port()}", f"127.0.0.1:{group.sentinel.port}")
    ledger = build_ledger(load_settings(**group.settings(redis_sentinels=hosts)), "kb")
    ledger.put_vectors({KEY: vector_of("a")})
    assert ledger.vectors([KEY]).keys() == {KEY}
    ledger.close()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"redis_url": "redis://mymaster:6379", "redis_sentinels": "a:1"}, "without a port"),
        ({"redis_sentinels": "a:1,b c"}, "RAG_REDIS_SENTINELS: expected hosts"),
        ({"redis_sentinels": "a:99999"}, "RAG_REDIS_SENTINELS: expected a port"),
    ],
)
def test_malformed_hosts_are_refused(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        assert load_settings(**changed).redis_address


def test_sentinels_alone_are_enough() -> None:
    address = load_settings(redis_sentinels="a,[::1]:7").redis_address
    assert str(address) == "mymaster of the Sentinels a:26379, [::1]:7"
