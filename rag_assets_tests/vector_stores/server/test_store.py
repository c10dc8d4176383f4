"""What only the server adapter can get wrong: alias batches, races between clients, and what errors mean."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from rag_assets.errors import (
    ConfigurationError,
    GenerationDamaged,
    HandleClosed,
    PromotionRefused,
    RefusedError,
    StateFormatError,
    SupersededError,
    VectorStoreUnavailable,
)
from rag_assets.records import ProductionState
from rag_assets.vector_stores import build_vector_store
from rag_assets.vector_stores.server import aliases
from rag_assets.vector_stores.server import client as server_client
from rag_assets.vector_stores.server.client import connect
from rag_assets.vector_stores.server.reader import ServerGenerationReader
from rag_assets.vector_stores.server.store import ServerVectorStore
from rag_assets.vector_stores.server.writer import ATTEMPTS
from rag_assets_tests.vector_stores.conftest import Backend
from rag_assets_tests.vector_stores.samples import (
    DIMENSIONS,
    everything,
    manifest,
    point,
    point_id,
    stage,
    unit_vector,
)


class ServerLikeClient:
    """An in-memory client whose alias batches behave as a server's, after qdrant's `update_aliases`.

    One operation after the other is applied and saved; the first that fails stops the batch, and what came
    before it stays. (The client's local mode undoes it.) `before_batch` runs once before the next batch, as
    another process would between our look and our change.
    """

    def __init__(self) -> None:
        self.inner = QdrantClient(":memory:")
        self.before_batch: Callable[[], object] | None = None
        self.fail_after_batch = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def update_collection_aliases(self, operations: list[Any], **_: Any) -> bool:
        hook, self.before_batch = self.before_batch, None
        if hook is not None:
            hook()
        for operation in operations:
            self.inner.update_collection_aliases([operation])
        if self.fail_after_batch:
            self.fail_after_batch = False
            raise ConnectionError("the answer was lost")
        return True

    def aliases(self) -> dict[str, str]:
        return {one.alias_name: one.collection_name for one in self.inner.get_aliases().aliases}


@pytest.fixture
def client() -> ServerLikeClient:
    return ServerLikeClient()


@pytest.fixture
def store(client: ServerLikeClient) -> ServerVectorStore:
    return ServerVectorStore(client, "kb")  # type: ignore[arg-type]


def plain_read(client: ServerLikeClient) -> set[str]:
    """What a client that knows nothing of us sees."""
    return {str(record.id) for record in client.scroll("kb", limit=100)[0]}


# ── names on the server ──


def test_a_plain_client_reads_production_under_the_name_of_the_knowledge_base(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    stage(store, "g1", [point(1)])
    stage(store, "g2", [point(2)])
    store.promote("g1", None)
    assert plain_read(client) == {point_id(1)}
    store.promote("g2", "g1")
    assert plain_read(client) == {point_id(2)}
    assert client.aliases() == {
        "kb": "kb--g2",
        "kb--previous": "kb--g1",
        "kb--base--2--g2": "kb--meta",
        "kb--sealed--g1": "kb--g1",
        "kb--sealed--g2": "kb--g2",
    }
    store.rollback("g2")
    assert plain_read(client) == {point_id(1)}
    assert client.aliases() == {
        "kb": "kb--g1",
        "kb--held": "kb--g2",
        "kb--base--3--g1": "kb--meta",
        "kb--sealed--g1": "kb--g1",
        "kb--sealed--g2": "kb--g2",
    }
    store.resume()
    assert "kb--held" not in client.aliases()


def test_two_knowledge_bases_on_one_server_do_not_see_each_other(client: ServerLikeClient) -> None:
    one, other = ServerVectorStore(client, "kb"), ServerVectorStore(client, "kb-2")  # type: ignore[arg-type]
    stage(one, "g1", [point(1)])
    stage(other, "g2", [point(2)])
    one.promote("g1", None)
    assert other.production_state() == ProductionState()
    assert other.generations() == ["g2"]
    assert one.generations() == ["g1"]
    assert one.knowledge_base_id() != other.knowledge_base_id()


def test_a_collection_that_has_the_name_of_the_knowledge_base_is_said_at_once(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    client.create_collection("kb", vectors_config={})
    with pytest.raises(ConfigurationError, match="kb"):
        store.knowledge_base_id()
    with pytest.raises(ConfigurationError, match="kb"), store.write("g1", DIMENSIONS, None):
        pass


def test_an_alias_that_points_elsewhere_is_not_taken_for_production(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    client.create_collection("theirs", vectors_config={})
    create = models.CreateAlias(collection_name="theirs", alias_name="kb")
    client.inner.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    with pytest.raises(ConfigurationError, match="theirs"):
        store.production_state()


def test_a_manifest_or_meta_of_another_format_is_refused(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    stage(store, "g1", [point(1)])
    stored = json.loads(client.get_collection("kb--g1").config.metadata["rag_assets_manifest"])
    for text in (json.dumps({**stored, "format_version": 2}), "{", "[]"):
        client.update_collection("kb--g1", metadata={"rag_assets_manifest": text})
        with pytest.raises(StateFormatError):
            store.manifest("g1")
        with pytest.raises(StateFormatError):
            store.promote("g1", None)
    client.update_collection("kb--meta", metadata={"rag_assets_format_version": 2})
    with pytest.raises(StateFormatError):
        store.knowledge_base_id()


def test_a_server_that_keeps_no_metadata_is_named_as_too_old(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    client.create_collection("kb--meta", vectors_config={})
    with pytest.raises(ConfigurationError, match=r"1\.16"):
        store.knowledge_base_id()


# ── races, on batches that are not undone ──


def test_a_promotion_that_was_overtaken_changes_nothing(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    other = ServerVectorStore(client, "kb")  # type: ignore[arg-type]
    for name in ("g0", "g1", "g2"):
        stage(store, name, [point(1)])
    store.promote("g0", None)
    client.before_batch = partial(other.promote, "g1", "g0")
    with pytest.raises(SupersededError):
        store.promote("g2", "g0")
    assert store.production_state() == ProductionState("g1", "g0", None)
    assert {alias for alias in client.aliases() if "--base--" in alias} == {"kb--base--2--g1"}


def test_of_two_first_promotions_at_once_one_loses(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    other = ServerVectorStore(client, "kb")  # type: ignore[arg-type]
    stage(store, "g1", [point(1)])
    stage(store, "g2", [point(2)])
    client.before_batch = partial(other.promote, "g1", None)
    with pytest.raises(SupersededError):
        store.promote("g2", None)
    assert store.production_state() == ProductionState("g1", None, None)


def test_a_production_that_was_left_and_returned_to_is_noticed(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    """Between look and change another refresh promotes, and a person rolls it back: the hold must stand."""
    other = ServerVectorStore(client, "kb")  # type: ignore[arg-type]
    for name in ("g0", "g1", "g2"):
        stage(store, name, [point(1)])
    store.promote("g0", None)

    def there_and_back() -> None:
        other.promote("g1", "g0")
        other.rollback("g1")

    client.before_batch = there_and_back
    with pytest.raises(PromotionRefused, match="resume"):
        store.promote("g2", "g0")
    assert store.production_state() == ProductionState("g0", None, "g1")


def test_a_change_that_does_not_concern_production_only_makes_it_try_again(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    other = ServerVectorStore(client, "kb")  # type: ignore[arg-type]
    for name in ("g0", "g1", "g2"):
        stage(store, name, [point(1)])
    store.promote("g0", None)
    store.promote("g1", "g0")
    store.rollback("g1")
    client.before_batch = other.resume
    assert store.promote("g2", "g0", lift_hold=True) == ProductionState("g2", "g0", None)


def test_a_candidate_deleted_just_before_the_switch_leaves_production_alone(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    other = ServerVectorStore(client, "kb")  # type: ignore[arg-type]
    stage(store, "g0", [point(0)])
    stage(store, "g1", [point(1)])
    store.promote("g0", None)
    client.before_batch = partial(other.discard, "g1")
    with pytest.raises(SupersededError):
        store.promote("g1", "g0")
    assert store.production_state() == ProductionState("g0", None, None)
    assert plain_read(client) == {point_id(0)}
    stage(store, "g2", [point(2)])
    assert store.promote("g2", "g0") == ProductionState("g2", "g0", None)


def test_a_candidate_rejected_just_before_the_switch_is_not_promoted(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    other = ServerVectorStore(client, "kb")  # type: ignore[arg-type]
    stage(store, "g1", [point(1)])
    client.before_batch = partial(other.reject, "g1", "too late")
    with pytest.raises(PromotionRefused, match="too late"):
        store.promote("g1", None)
    assert store.production_state() == ProductionState()


def test_a_generation_promoted_while_it_was_about_to_be_deleted_stays(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    other = ServerVectorStore(client, "kb")  # type: ignore[arg-type]
    stage(store, "g1", [point(1)])
    stage(store, "g2", [point(2)])
    store.promote("g1", None)
    client.before_batch = partial(other.promote, "g2", "g1")
    with pytest.raises(RefusedError):
        store.discard("g2")
    assert plain_read(client) == {point_id(2)}
    assert "kb--sealed--g2" in client.aliases()
    assert not [alias for alias in client.aliases() if "discarded" in alias]
    assert store.rollback("g2").production == "g1"


def test_a_switch_whose_answer_was_lost_is_recognized(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    stage(store, "g1", [point(1)])
    store.knowledge_base_id()
    client.fail_after_batch = True
    assert store.promote("g1", None) == ProductionState("g1", None, None)
    assert store.production_state() == ProductionState("g1", None, None)


def test_a_switch_that_was_refused_for_another_reason_says_so(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    stage(store, "g1", [point(1)])

    def refuse() -> None:
        raise ConnectionError

    client.before_batch = refuse
    with pytest.raises(VectorStoreUnavailable):
        store.promote("g1", None)
    assert store.production_state() == ProductionState()
    assert store.promote("g1", None).production == "g1"


def test_a_knowledge_base_begun_by_two_at_once_gets_one_id_and_one_token(
    store: ServerVectorStore, client: ServerLikeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ServerVectorStore(client, "kb")  # type: ignore[arg-type]
    create = client.inner.create_collection
    theirs: list[str] = []

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(client.inner, "create_collection", create)
        theirs.append(other.knowledge_base_id())
        return create(*args, **kwargs)

    monkeypatch.setattr(client.inner, "create_collection", overtaken)
    assert store.knowledge_base_id() == theirs[0]
    assert [alias for alias in client.aliases() if "--base--" in alias] == ["kb--base--0--none"]


def test_a_beginning_that_was_killed_half_way_is_finished_by_the_next(
    store: ServerVectorStore, client: ServerLikeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aliases, "BOOTSTRAP_TIMEOUT_SECONDS", 0.3)

    def killed() -> None:
        raise ConnectionError

    client.before_batch = killed
    with pytest.raises(VectorStoreUnavailable):
        store.knowledge_base_id()
    assert not client.aliases()
    stage(store, "g1", [point(1)])
    assert store.promote("g1", None).production == "g1"


def test_deleting_generations_never_deletes_the_token(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    stage(store, "g1", [point(1)])
    store.promote("g1", None)
    client.inner.delete_collection("kb--g1")  # somebody, by hand
    assert store.production_state() == ProductionState()
    assert store.generations() == []
    stage(store, "g2", [point(2)])
    with pytest.raises(SupersededError):
        store.promote("g2", "g1")
    assert store.promote("g2", None) == ProductionState("g2", None, None)


def test_points_lost_on_the_server_are_noticed_when_reading_and_promoting(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    stage(store, "g1", [point(1), point(2)])
    client.inner.delete("kb--g1", points_selector=[point_id(1)])
    with pytest.raises(GenerationDamaged, match="1 point instead of 2"):
        store.read("g1")
    with pytest.raises(GenerationDamaged):
        store.promote("g1", None)


def test_a_hiccup_while_writing_is_tried_again_and_an_outage_ends_the_stage(
    store: ServerVectorStore, client: ServerLikeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_assets.vector_stores.server.writer.time.sleep", lambda seconds: None)
    upsert = client.inner.upsert
    failures = [2]

    def flaky(*args: Any, **kwargs: Any) -> Any:
        if failures[0]:
            failures[0] -= 1
            raise ConnectionError("reset")
        return upsert(*args, **kwargs)

    monkeypatch.setattr(client.inner, "upsert", flaky)
    with store.write("g1", DIMENSIONS, None) as writer:
        writer.upsert([point(1)])
        writer.seal(manifest("g1", 1))
    assert everything(store, "g1").keys() == {point_id(1)}
    failures[0] = 100
    with store.write("g2", DIMENSIONS, None) as writer:
        with pytest.raises(VectorStoreUnavailable):
            writer.upsert([point(1)])
        assert failures[0] == 100 - ATTEMPTS
        with pytest.raises(HandleClosed, match="not being written"):
            writer.seal(manifest("g2", 0))
    assert store.generations() == ["g1"]


# ── over HTTP ──


@contextlib.contextmanager
def answering(status: int, body: Any) -> Iterator[str]:
    """A server that gives the same answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: Any) -> None: ...

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


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
            with pytest.raises(ConfigurationError, match=r"QDRANT_URL.*QDRANT_API_KEY") as caught:
                call(store)
            assert "s3cret" not in str(caught.value)
            assert caught.value.__cause__ is None


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_in_trouble_is_unavailable(status: int) -> None:
    with answering(status, {"status": {"error": "busy"}}) as url:
        store = ServerVectorStore(connect(url, None), "kb")
        for call in CALLS:
            with pytest.raises(VectorStoreUnavailable):
                call(store)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    store = ServerVectorStore(connect("http://127.0.0.1:9", None), "kb")
    for call in CALLS:
        with pytest.raises(VectorStoreUnavailable, match="QDRANT_URL"):
            call(store)


def test_a_server_that_does_not_answer_in_time_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(server_client, "TIMEOUT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = ServerVectorStore(connect(f"http://127.0.0.1:{silent.getsockname()[1]}", None), "kb")
        with pytest.raises(VectorStoreUnavailable, match="QDRANT_URL"):
            store.production_state()


def test_an_error_while_documents_were_sent_does_not_quote_the_server(store: ServerVectorStore) -> None:
    stage(store, "g1", [point(1)])
    with answering(400, {"status": {"error": "invalid value: Grüße aus 東京 (document text)"}}) as url:
        reader = ServerGenerationReader(connect(url, None), "kb--g1", "g1", DIMENSIONS)
        with pytest.raises(ConfigurationError, match="400") as caught:
            reader.search(unit_vector(1), None, 5)
        assert "document text" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_building_the_store_for_a_url_sends_nothing(tmp_path: Path) -> None:
    built = build_vector_store(
        qdrant_url="http://127.0.0.1:9", qdrant_api_key=None, state_dir=tmp_path, collection="kb"
    )
    assert isinstance(built, ServerVectorStore)
    assert built.exact_vectors
    assert list(tmp_path.iterdir()) == []
    built.close()


def test_vectors_of_the_local_client_are_not_said_to_be_exact(in_memory: Backend) -> None:
    assert not in_memory.open().exact_vectors


@pytest.mark.parametrize("url", ["http://[::1", "localhost:port"])
def test_a_url_that_cannot_be_used_is_a_matter_of_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError, match="QDRANT_URL"):
        connect(url, "s3cret-key")
