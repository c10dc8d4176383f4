"""The services that a refresh depends on, beside its sources, and their troubles.

A new service is a class here: how a knowledge base uses it, with which request a trouble begins, and how it answers in trouble.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Literal, get_args
from unittest import mock
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from rag_assets.embedders.base import checked_unit_vectors
from rag_assets.embedders.openai import OpenAIEmbedder
from rag_assets.records import Vector
from rag_assets.vector_stores.server import writer
from rag_assets_tests import fake_openai
from rag_assets_tests.documents import vector_of
from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI
from rag_assets_tests.histories.world import World
from rag_assets_tests.local_qdrant import local_qdrant
from rag_assets_tests.qdrant_nodes import ONE_SERVER, real_server
from rag_assets_tests.redis_servers import redis_error, redis_server
from rag_assets_tests.troubled_proxy import (
    TROUBLES,
    Trouble,
    TroubledProxy,
    http_error,
    is_whole_http_request,
)

Moment = Literal[
    "at the start", "in the middle", "at the evaluation", "at the promotion", "after the promotion"
]
MOMENTS: tuple[Moment, ...] = get_args(Moment)
_DIMENSIONS = fake_openai.DIMENSIONS["tiny-embedding"]


class Service:
    """One service behind a proxy.

    Attributes:
        host: in place of the address of the proxy, in the table.
        moments: the moments at which a refresh needs it.
        steps: moment -> the step with which a trouble begins, in place of the usual one.
    """

    host: str
    moments: tuple[Moment, ...] = MOMENTS
    steps: ClassVar[dict[Moment, str]] = {}
    proxy: TroubledProxy

    def use(self, world: World) -> None:
        """Let the world use the service through the proxy, with short time limits."""
        raise NotImplementedError

    def first_request(self, moment: Moment) -> Callable[[bytes], bool] | None:
        """Return how to recognize the request with which the trouble begins. None: any."""
        return None

    def vector_of(self, text: str) -> Vector:
        return vector_of(text)


class RedisService(Service):
    """The ledger. In trouble it still loads its data, as after a restart."""

    host = "redis.example.com:6379"

    def __init__(self, port: int) -> None:
        self.proxy = TroubledProxy(port, redis_error("LOADING Redis is loading the dataset in memory"))

    def use(self, world: World) -> None:
        world.settings["redis_url"] = f"redis://127.0.0.1:{self.proxy.port}"
        world.settings["redis_timeout_seconds"] = 0.2


class QdrantService(Service):
    """The vector store. Its troubles begin while points are written, and with the batch that switches production."""

    host = "qdrant.example.com:6333"
    steps: ClassVar[dict[Moment, str]] = {"in the middle": "staging_collection"}

    def __init__(
        self, port: int, collection: str, api_key: str | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.proxy = TroubledProxy(port, http_error, is_whole_http_request, to_host=host)
        self._collection, self._api_key = collection, api_key

    def use(self, world: World) -> None:
        world.settings |= {
            "qdrant_url": f"http://127.0.0.1:{self.proxy.port}",
            "qdrant_timeout_seconds": 1,
            "collection": self._collection,
        }
        if self._api_key:
            world.settings["qdrant_api_key"] = SecretStr(self._api_key)

    def first_request(self, moment: Moment) -> Callable[[bytes], bool] | None:
        switched = f'"alias_name":"{self._collection}"'.encode()
        requests: dict[Moment, Callable[[bytes], bool]] = {
            "in the middle": lambda data: (
                data.startswith(b"PUT ") and b"/points?" in data.partition(b"\r\n")[0]
            ),
            "at the promotion": lambda data: (
                data.startswith(b"POST /collections/aliases") and switched in data
            ),
        }
        return requests.get(moment)


class EmbedderService(Service):
    """A server with OpenAI's API."""

    host = "models.example.com"
    moments = ("at the start", "in the middle", "at the evaluation")

    def __init__(self, port: int) -> None:
        self.proxy = TroubledProxy(port, http_error, is_whole_http_request)

    def use(self, world: World) -> None:
        address = f"http://127.0.0.1:{self.proxy.port}/v1"
        world.embedder = OpenAIEmbedder(
            "tiny-embedding", API_KEY, address, timeout_seconds=1.0, max_retries=1
        )
        world.settings["embedding_model"] = "openai:tiny-embedding"

    def vector_of(self, text: str) -> Vector:
        # Its length is corrected once more, as in an embedder.
        return checked_unit_vectors(fake_openai.vector_of(text, _DIMENSIONS)[None], 1, _DIMENSIONS, "")[0]


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[Service]:
    with redis_server(folder) as server:
        yield RedisService(server.port)


@contextlib.contextmanager
def _qdrant(_folder: Path) -> Iterator[Service]:
    """A real server, if there is one without TLS."""
    collection = f"rag-assets-test-{secrets.token_hex(6)}"
    with mock.patch.object(writer, "FIRST_PAUSE_SECONDS", 0.01), contextlib.ExitStack() as stack:
        if not ONE_SERVER:
            yield QdrantService(stack.enter_context(local_qdrant()), collection)
            return
        server = real_server(*ONE_SERVER)
        address = urlsplit(server.urls[0])
        if address.scheme != "http":
            pytest.skip("a proxy cannot look into TLS")
        stack.callback(server.delete_collections, collection)
        yield QdrantService(address.port or 80, collection, server.api_key, str(address.hostname))


@contextlib.contextmanager
def _embedder(_folder: Path) -> Iterator[Service]:
    with FakeOpenAI() as server:
        yield EmbedderService(server.port)


SERVICES: dict[str, Callable[[Path], AbstractContextManager[Service]]] = {
    "Redis": _redis,
    "Qdrant": _qdrant,
    "embedder": _embedder,
}
"""Name -> context manager of a folder that yields the service."""


@contextlib.contextmanager
def running(name: str, folder: Path) -> Iterator[Service]:
    """Run a service behind its proxy."""
    with SERVICES[name](folder) as service:
        try:
            yield service
        finally:
            service.proxy.close()


def cells() -> list[tuple[str, Trouble, Moment]]:
    """Return all (service, trouble, moment)."""
    moments = {
        "embedder": EmbedderService.moments,
    }
    return [
        (name, trouble, moment)
        for name in SERVICES
        for trouble in TROUBLES
        for moment in moments.get(name, MOMENTS)
    ]
