"""The services that a refresh depends on, beside its sources, and their troubles.

A new service is a class here: how a knowledge base uses it, and how it answers in trouble.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from rag_assets_tests.histories.world import World
from rag_assets_tests.redis_servers import redis_error, redis_server
from rag_assets_tests.troubled_proxy import TroubledProxy


class Service(Protocol):
    """One service behind a proxy.

    Attributes:
        name: of its rows in the table.
        host: in place of the address of the proxy, in the table.
    """

    name: str
    host: str
    proxy: TroubledProxy

    def use(self, world: World) -> None:
        """Let the world use the service through the proxy, with short time limits."""
        ...


class RedisService:
    """The ledger. In trouble it still loads its data, as after a restart."""

    name = "Redis"
    host = "redis.example.com:6379"

    def __init__(self, port: int) -> None:
        self.proxy = TroubledProxy(port, redis_error("LOADING Redis is loading the dataset in memory"))

    def use(self, world: World) -> None:
        world.settings["redis_url"] = f"redis://127.0.0.1:{self.proxy.port}"
        world.settings["redis_timeout_seconds"] = 0.2


@contextlib.contextmanager
def redis_service(folder: Path) -> Iterator[Service]:
    with redis_server(folder) as server:
        service = RedisService(server.port)
        try:
            yield service
        finally:
            service.proxy.close()


SERVICES = {"Redis": redis_service}
"""Name -> context manager of a folder that yields the service."""
