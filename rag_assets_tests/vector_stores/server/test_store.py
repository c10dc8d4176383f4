"""The server store as a whole."""

import json
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from rag_assets.document_metadata.policy import MetadataIndexes
from rag_assets.errors import (
    ConfigurationError,
    GenerationDamaged,
    HandleClosed,
    StateFormatError,
    VectorStoreUnavailable,
)
from rag_assets.settings import load_settings
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets.vector_stores.registry import build_vector_store
from rag_assets.vector_stores.server.store import ServerVectorStore
from rag_assets.vector_stores.server.writer import ATTEMPTS
from rag_assets_tests.vector_stores.conftest import Backend, server_store
from rag_assets_tests.vector_stores.samples import (
    DIMENSIONS,
    everything,
    manifest,
    point,
    point_id,
    stage,
)
from rag_assets_tests.vector_stores.server.conftest import ServerLikeClient


def test_two_knowledge_bases_on_one_server_do_not_see_each_other(client: ServerLikeClient) -> None:
    one, other = ServerVectorStore(client, "kb"), ServerVectorStore(client, "kb-2")  # type: ignore[arg-type]
    stage(one, "g1", [point(1)])
    stage(other, "g2", [point(2)])
    one.promote("g1", None)
    assert other.production_state() == ProductionState()
    assert other.generations() == ["g2"]
    assert one.generations() == ["g1"]
    assert one.knowledge_base_id() != other.knowledge_base_id()


def rename_alias(client: ServerLikeClient, old: str, new: str) -> None:
    rename = models.RenameAlias(old_alias_name=old, new_alias_name=new)
    client.update_collection_aliases([models.RenameAliasOperation(rename_alias=rename)])


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
    identity = store.knowledge_base_id()
    rename_alias(client, f"kb--id--1--{identity}", f"kb--id--2--{identity}")
    with pytest.raises(StateFormatError):
        store.knowledge_base_id()


def test_state_without_the_alias_of_its_id_gets_it_with_the_next_reading(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    identity = store.knowledge_base_id()
    client.delete_alias(f"kb--id--1--{identity}")
    assert store.find_knowledge_base_id() == identity
    store.begin_reading()
    assert f"kb--id--1--{identity}" in client.aliases()
    client.delete_alias(f"kb--id--1--{identity}")
    client.update_collection("kb--meta", metadata={"rag_assets_format_version": 2})
    with pytest.raises(StateFormatError):
        store.knowledge_base_id()


def test_the_error_about_a_server_without_metadata_says_so(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    client.create_collection("kb--meta", vectors_config={})
    with pytest.raises(ConfigurationError, match="does not store the metadata of a collection"):
        store.knowledge_base_id()


def test_points_lost_on_the_server_are_noticed_when_reading_and_promoting(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    stage(store, "g1", [point(1), point(2)])
    client.inner.delete("kb--g1", points_selector=[point_id(1)])
    with pytest.raises(GenerationDamaged, match="1 point instead of 2"):
        store.read("g1")
    with pytest.raises(GenerationDamaged):
        store.promote("g1", None)


def test_a_hiccup_is_retried_and_an_outage_discards_the_candidate(
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


def test_a_server_that_limits_the_rate_is_given_the_time_it_asks_for(
    store: ServerVectorStore, client: ServerLikeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

    waited: list[float] = []
    monkeypatch.setattr("rag_assets.vector_stores.server.writer.time.sleep", waited.append)
    upsert, asked = client.inner.upsert, ["7", "100000"]

    def limited(*args: Any, **kwargs: Any) -> Any:
        if asked:
            raise ResourceExhaustedResponse("too many", asked.pop(0))
        return upsert(*args, **kwargs)

    monkeypatch.setattr(client.inner, "upsert", limited)
    stage(store, "g1", [point(1)])
    assert waited == [7.0, 60.0]
    assert everything(store, "g1").keys() == {point_id(1)}


def test_building_the_store_for_a_url_sends_nothing(tmp_path: Path) -> None:
    built = build_vector_store(
        load_settings(qdrant_url="http://127.0.0.1:9", state_dir=tmp_path, collection="kb")
    )
    assert isinstance(built, ServerVectorStore)
    assert built.exact_vectors
    assert list(tmp_path.iterdir()) == []
    built.close()


def test_vectors_of_the_local_client_are_not_exact(in_memory: Backend) -> None:
    assert not in_memory.open().exact_vectors


# Indexes of metadata


class _CreatesIndexes(ServerLikeClient):
    """Records the payload indexes, as a server does. The client's local mode has none."""

    def __init__(self) -> None:
        super().__init__()
        self.init_options = {"url": "http://localhost"}
        self.indexes: dict[str, dict[str, Any]] = {}

    def create_payload_index(self, collection: str, field_name: str, field_schema: Any, **_: Any) -> None:
        self.indexes.setdefault(collection, {})[field_name] = field_schema

    def get_collection(self, collection: str) -> Any:
        info = self.inner.get_collection(collection)
        return info.model_copy(update={"payload_schema": self.indexes.get(collection, {})})


def test_a_generation_has_the_indexes_of_the_named_keys_and_gets_those_named_later() -> None:
    client = _CreatesIndexes()
    one = server_store(client, "kb", {"year": "integer", "größe": "keyword"})
    stage(one, "g1", [point(1)])
    indexes = client.indexes["kb--g1"]
    year, size = indexes["locations[].metadata.year"], indexes['locations[].metadata."größe"']
    assert (year.type, year.range, year.nested) == ("integer", True, "locations")
    assert (size.type, size.prefix, size.nested) == ("keyword", True, "locations")
    kinds: MetadataIndexes = {"year": "integer", "share": "float", "reviewed": "datetime", "draft": "bool"}
    two = server_store(client, "kb", kinds)
    added = tuple(f"locations[].metadata.{key}" for key in ("draft", "reviewed", "share"))
    assert two.add_missing_indexes("g1") == added
    assert [client.indexes["kb--g1"][name].type for name in added] == ["bool", "datetime", "float"]
    assert two.add_missing_indexes("g1") == ()
    assert two.add_missing_indexes("g2") == ()
