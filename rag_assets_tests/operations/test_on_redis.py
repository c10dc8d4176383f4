"""Backup, restore and purge with the ledger on Redis."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_assets.errors import RefusedError
from rag_assets.operations.backup.create import back_up
from rag_assets.operations.backup.places import backup_place
from rag_assets.operations.backup.restore import restore
from rag_assets.operations.purge.purge import purge
from rag_assets_tests.canary import CANARY, holds, places_of
from rag_assets_tests.operations.conftest import Installations
from rag_assets_tests.redis_servers import RedisServer, redis_server

pytestmark = pytest.mark.slow
SECRET = f"---\ntitle: {CANARY}\nkeywords: {CANARY}\n---\n# {CANARY}\n\n{CANARY}.\n"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def emptied(redis: RedisServer) -> RedisServer:
    redis.client().flushall()
    return redis


def everything_in(redis: RedisServer) -> bytes:
    """Return names and values of all keys, and the dump of each."""
    client = redis.client()
    parts: list[bytes] = []
    for name in client.keys("*"):
        parts += [name, client.dump(name) or b""]
        kind = client.type(name)
        read: dict[bytes, Any] = {b"string": client.get, b"hash": client.hgetall, b"set": client.smembers}
        parts.append(repr(read[kind](name)).encode("utf-8", "replace") if kind in read else b"")
        if kind == b"string":
            value = client.get(name)
            parts.append(value if isinstance(value, bytes) else b"")
    return b"\n".join(parts)


def restored_on(redis: RedisServer, installations: Installations, folder: Path, **options: Any) -> Any:
    with (
        installations.elsewhere(redis_url=redis.url) as knowledge_base,
        backup_place(str(folder)) as place,
    ):
        return restore(knowledge_base, place, **options)


def test_a_backup_from_sqlite_restores_into_redis_and_back(
    installations: Installations, emptied: RedisServer, tmp_path: Path
) -> None:
    made = installations.back_up()
    restored_on(emptied, installations, installations.backup)
    with installations.original() as before, installations.elsewhere(redis_url=emptied.url) as after:
        generation = made.index.state.production
        assert after.ledger.documents(str(generation)) == before.ledger.documents(str(generation))
        parses = {one.source_uri: one for batch in before.ledger.all_parses() for one in batch}
        assert after.ledger.parses(list(parses)) == parses
        vectors = {key: one for batch in before.ledger.all_vectors() for key, one in batch.items()}
        assert after.ledger.vectors(list(vectors)).keys() == vectors.keys()
        with backup_place(str(tmp_path / "back")) as place:
            back_up(after, place)
    with contextlib.suppress(FileNotFoundError):
        installations.other.rename(tmp_path / "gone")
    assert installations.restore(tmp_path / "back").state == made.index.state


def test_a_second_restore_over_one_redis_asks_for_the_id(
    installations: Installations, emptied: RedisServer, tmp_path: Path
) -> None:
    made = installations.back_up()
    restored_on(emptied, installations, installations.backup)
    installations.other.rename(tmp_path / "gone")
    with pytest.raises(RefusedError, match=r"--same-id.*--new-id"):
        restored_on(emptied, installations, installations.backup)
    restored_on(emptied, installations, installations.backup, identity="new")
    with installations.elsewhere(redis_url=emptied.url) as knowledge_base:
        identity = knowledge_base.vector_store.find_knowledge_base_id()
    assert identity != made.index.knowledge_base_id
    prefixes = {name.split(b":")[1].decode() for name in emptied.client().keys("*")}
    assert prefixes == {identity, made.index.knowledge_base_id}


def test_the_sentence_is_in_zero_bytes_of_redis(
    installations: Installations, emptied: RedisServer, tmp_path: Path
) -> None:
    world = installations.world
    world.write("one", "secret.md", SECRET)
    with world.knowledge_base(state_dir=installations.other, redis_url=emptied.url) as knowledge_base:
        assert knowledge_base.vector_store.find_knowledge_base_id() is None
    world.refresh(state_dir=installations.other, redis_url=emptied.url).checked()
    assert holds(CANARY, everything_in(emptied))
    with world.knowledge_base(state_dir=installations.other, redis_url=emptied.url) as knowledge_base:
        purge(knowledge_base, "secret.md", by="ana", reason="a request")
        assert not holds(CANARY, everything_in(emptied))
        assert places_of(CANARY, installations.other) == []
        with backup_place(str(tmp_path / "after")) as place:
            back_up(knowledge_base, place)
    assert places_of(CANARY, tmp_path / "after") == []
    world.refresh(state_dir=installations.other, redis_url=emptied.url).checked()
    assert not holds(CANARY, everything_in(emptied))
