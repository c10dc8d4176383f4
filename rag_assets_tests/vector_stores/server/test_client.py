"""The meaning of errors over HTTP."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from rag_assets.errors import (
    ConfigurationError,
    VectorStoreUnavailable,
)
from rag_assets.records import Condition, SearchFilter
from rag_assets.vector_stores.server.client import connect
from rag_assets.vector_stores.server.reader import ServerGenerationReader
from rag_assets.vector_stores.server.store import ServerVectorStore
from rag_assets_tests.vector_stores.samples import (
    DIMENSIONS,
    point,
    stage,
    unit_vector,
)
from rag_assets_tests.vector_stores.server import other_servers
from rag_assets_tests.vector_stores.server.conftest import ServerLikeClient


@contextlib.contextmanager
def answering(status: int, body: Any) -> Iterator[str]:
    """Serve one answer to every request, and yield its URL."""
    with other_servers.answering(status, json.dumps(body).encode()) as place:
        yield f"http://{place}"


CALLS: list[Callable[[ServerVectorStore], object]] = [
    lambda store: store.production_state(),
    lambda store: store.knowledge_base_id(),
    lambda store: store.generations(),
    lambda store: store.manifest("g1"),
    lambda store: store.read("g1"),
    lambda store: store.discard("g1"),
    lambda store: store.promote("g1", None),
    lambda store: store.rollback(None),
    lambda store: store.resume(),
    lambda store: store.write("g1", DIMENSIONS, None).__enter__(),
]


@pytest.mark.filterwarnings("ignore:Api key is used")
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_the_settings_and_never_the_key(status: int) -> None:
    with answering(status, {"status": {"error": "forbidden"}}) as url:
        store = ServerVectorStore(connect(url, "s3cret-key"), "kb")
        for call in CALLS:
            with pytest.raises(ConfigurationError, match=r"Qdrant at http://127.*QDRANT_API_KEY") as caught:
                call(store)
            assert "s3cret" not in str(caught.value)
            assert caught.value.__cause__ is None


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_or_failing_server_is_unavailable(status: int) -> None:
    with answering(status, {"status": {"error": "busy"}}) as url:
        store = ServerVectorStore(connect(url, None), "kb")
        for call in CALLS:
            with pytest.raises(VectorStoreUnavailable):
                call(store)


def test_a_missing_server_is_unavailable() -> None:
    store = ServerVectorStore(connect("http://127.0.0.1:9", None), "kb")
    for call in CALLS:
        with pytest.raises(VectorStoreUnavailable, match="QDRANT_URL"):
            call(store)


@pytest.mark.slow
def test_a_server_that_times_out_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = connect(f"http://127.0.0.1:{silent.getsockname()[1]}", None, timeout_seconds=1)
        store = ServerVectorStore(client, "kb")
        with pytest.raises(VectorStoreUnavailable, match="QDRANT_URL"):
            store.production_state()


def test_an_error_after_sending_documents_does_not_quote_the_server(store: ServerVectorStore) -> None:
    stage(store, "g1", [point(1)])
    with answering(400, {"status": {"error": "invalid value: Grüße aus 東京 (document text)"}}) as url:
        reader = ServerGenerationReader(connect(url, None), "kb--g1", "g1", DIMENSIONS)
        with pytest.raises(ConfigurationError, match="400") as caught:
            reader.search(unit_vector(1), None, 5)
        assert "document text" not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("url", ["http://[::1", "localhost:port"])
def test_an_unusable_url_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="QDRANT_URL"):
        connect(url, "s3cret-key")


@pytest.mark.parametrize(
    ("url", "api_key", "scheme"),
    [("localhost:6333", None, "http"), ("qdrant.example", "s3cret-key", "https")],
)
def test_a_url_without_a_scheme_is_reported_with_the_assumed_scheme(
    url: str, api_key: str | None, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(url, api_key)
    client.close()
    assert client.init_options["url"] == url
    assert [record.getMessage() for record in caplog.records] == [
        f"QDRANT_URL has no scheme, {scheme}:// is assumed: write it out, as in http://localhost:6333"
    ]


def test_a_url_with_a_scheme_is_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    connect("http://localhost:6333", None).close()
    assert caplog.records == []


@pytest.mark.parametrize(("version", "is_known"), [("1.18.3", False), ("1.19.0", True), ("2.0.0-dev", True)])
def test_a_filter_by_prefix_names_the_version_of_an_older_server(
    store: ServerVectorStore,
    client: ServerLikeClient,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    is_known: bool,
) -> None:
    stage(store, "g1", [point(1)])
    monkeypatch.setattr(client.inner, "info", lambda: SimpleNamespace(version=version))
    below = SearchFilter((Condition("path", "prefix", "hr/"),))
    reader = store.read("g1")
    assert reader.search(
        unit_vector(1), None, 5, SearchFilter((Condition("source", "equals", "filesystem"),))
    )[0]
    if is_known:
        assert reader.search(unit_vector(1), None, 5, below)[0]
        return
    with pytest.raises(
        ConfigurationError, match=rf"prefix filters need Qdrant 1\.19, this server is {version}"
    ):
        reader.search(unit_vector(1), None, 5, below)


@pytest.mark.parametrize("status", [400, 403])
def test_a_server_in_strict_mode_names_the_field_without_an_index(
    store: ServerVectorStore, status: int
) -> None:
    stage(store, "g1", [point(1)])
    refusal = (
        'Bad request: Index required but not found for "locations[].metadata.year" of one of the following types: '
        "[integer]. Help: Create an index for this key or use a different filter."
    )
    with answering(status, {"status": {"error": refusal}}) as url:
        reader = ServerGenerationReader(connect(url, None), "kb--g1", "g1", DIMENSIONS)
        wanted = SearchFilter((Condition("metadata.year", "equals", 2024),))
        with pytest.raises(
            ConfigurationError, match=r"locations\[\]\.metadata\.year has none.*RAG_METADATA_INDEXES"
        ):
            reader.search(unit_vector(1), None, 5, wanted)
