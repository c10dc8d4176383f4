"""Aliases on the server: their names, and races between clients."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from rag_assets.errors import (
    ConfigurationError,
    PromotionRefused,
    RefusedError,
    SupersededError,
    VectorStoreUnavailable,
)
from rag_assets.vector_stores.production_state import Hold, ProductionState
from rag_assets.vector_stores.server import aliases
from rag_assets.vector_stores.server.store import ServerVectorStore
from rag_assets_tests.vector_stores.samples import (
    DIMENSIONS,
    names,
    point,
    point_id,
    stage,
)
from rag_assets_tests.vector_stores.server.conftest import ServerLikeClient
from rag_assets_tests.vector_stores.server.lagging_client import LaggingClient


def plain_read(client: ServerLikeClient) -> set[str]:
    """The points visible to any client, under the alias of production."""
    return {str(record.id) for record in client.scroll("kb", limit=100)[0]}


def without_random_digits(aliases: Mapping[str, str]) -> dict[str, str]:
    return {re.sub(r"(--base--.*)--[0-9a-f]{8}$", r"\1", alias): target for alias, target in aliases.items()}


def test_a_plain_client_reads_production_under_the_name_of_the_knowledge_base(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    stage(store, "g1", [point(1)])
    stage(store, "g2", [point(2)])
    store.promote("g1", None)
    assert plain_read(client) == {point_id(1)}
    store.promote("g2", "g1")
    assert plain_read(client) == {point_id(2)}
    assert without_random_digits(client.aliases()) == {
        "kb": "kb--g2",
        "kb--previous": "kb--g1",
        "kb--base--2--g2": "kb--meta",
        f"kb--id--1--{store.knowledge_base_id()}": "kb--meta",
        "kb--sealed--g1": "kb--g1",
        "kb--sealed--g2": "kb--g2",
    }
    store.rollback("g2")
    assert plain_read(client) == {point_id(1)}
    aliases = without_random_digits(client.aliases())
    assert {alias: to for alias, to in aliases.items() if "--note--" not in alias} == {
        "kb": "kb--g1",
        "kb--held": "kb--g2",
        "kb--hold--g2": "kb--meta",
        "kb--base--3--g1": "kb--meta",
        f"kb--id--1--{store.knowledge_base_id()}": "kb--meta",
        "kb--sealed--g1": "kb--g1",
        "kb--sealed--g2": "kb--g2",
    }
    store.resume()
    assert not [alias for alias in client.aliases() if "hold" in alias or "held" in alias or "note" in alias]


def test_a_hold_of_the_first_released_version_stands_and_ends(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    stage(store, "g1", [point(1)])
    stage(store, "g2", [point(2)])
    store.promote("g1", None)
    store.promote("g2", "g1")
    store.rollback("g2")
    client.delete_alias("kb--hold--g2")
    assert names(store.production_state()) == ("g1", None, "g2")
    assert store.resume() == store.production_state() == ProductionState("g1", None, None)


def test_a_collection_with_the_name_of_the_knowledge_base_is_an_error(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    client.create_collection("kb", vectors_config={})
    with pytest.raises(ConfigurationError, match="kb"):
        store.knowledge_base_id()
    with pytest.raises(ConfigurationError, match="kb"), store.write("g1", DIMENSIONS, None):
        pass


def test_an_alias_to_another_collection_is_not_production(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    from qdrant_client import models

    client.create_collection("theirs", vectors_config={})
    create = models.CreateAlias(collection_name="theirs", alias_name="kb")
    client.inner.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    with pytest.raises(ConfigurationError, match="theirs"):
        store.production_state()


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
    assert [alias for alias in without_random_digits(client.aliases()) if "--base--" in alias] == [
        "kb--base--2--g1"
    ]


def test_two_readings_begun_at_once_on_two_nodes_have_different_numbers() -> None:
    client: Any = LaggingClient(lag=0)
    store, other = ServerVectorStore(client, "kb"), ServerVectorStore(client, "kb")
    store.begin_reading()
    theirs: list[int] = []
    client.before_batch = lambda: theirs.append(other.begin_reading())
    assert store.begin_reading() not in theirs
    assert theirs != []


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


def test_a_production_replaced_and_restored_in_between_is_noticed(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    """Between reading and change another refresh promotes, and a person rolls it back: production must stay held."""
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
    assert names(store.production_state()) == ("g0", None, "g1")


def test_a_change_other_than_of_production_causes_a_retry(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    other = ServerVectorStore(client, "kb")  # type: ignore[arg-type]
    for name in ("g0", "g1", "g2"):
        stage(store, name, [point(1)])
    store.promote("g0", None)
    store.promote("g1", "g0")
    store.rollback("g1")
    store.resume()
    store.promote("g2", "g0")
    client.before_batch = partial(other.promote, "g2", "g2")
    assert names(store.rollback("g2")) == ("g0", None, "g2")


def test_a_candidate_deleted_just_before_the_switch_leaves_production_unchanged(
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


def test_a_generation_promoted_during_its_deletion_is_kept(
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


def test_a_switch_with_a_lost_answer_is_recognized(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    stage(store, "g1", [point(1)])
    store.knowledge_base_id()
    client.fail_after_batch = True
    assert store.promote("g1", None) == ProductionState("g1", None, None)
    assert store.production_state() == ProductionState("g1", None, None)


def test_a_rollback_with_a_lost_answer_is_recognized(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    stage(store, "g1", [point(1)])
    stage(store, "g2", [point(2)])
    store.promote("g1", None)
    store.promote("g2", "g1")
    client.fail_after_batch = True
    state = store.rollback("g2", by="ana", reason="prices are wrong")
    assert names(state) == ("g1", None, "g2")
    assert store.production_state() == state


def test_of_two_rollbacks_at_once_the_faster_one_is_described(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    other = ServerVectorStore(client, "kb")  # type: ignore[arg-type]
    stage(store, "g1", [point(1)])
    stage(store, "g2", [point(2)])
    store.promote("g1", None)
    store.promote("g2", "g1")
    client.before_batch = partial(other.rollback, "g2", by="ana", reason="prices are wrong")
    with pytest.raises(RefusedError, match=r"already held at g1 since .* by ana: prices are wrong"):
        store.rollback("g2", by="ben", reason="me too")
    hold = store.production_state().hold
    assert hold is not None
    assert (hold.by, hold.reason) == ("ana", "prices are wrong")


def test_the_note_of_an_earlier_hold_does_not_describe_a_later_one(
    store: ServerVectorStore, client: ServerLikeClient
) -> None:
    """A version without notes leaves them behind when it resumes, and writes none when it holds again."""
    from qdrant_client import models

    for name in ("g1", "g2", "g3"):
        stage(store, name, [point(1)])
    store.promote("g1", None)
    store.promote("g2", "g1")
    store.rollback("g2", by="ana", reason="prices are wrong")
    left = [alias for alias in client.aliases() if "--note--" in alias]
    store.resume()
    store.promote("g3", "g1")
    store.rollback("g3", by="ben", reason="too slow")
    theirs = [alias for alias in client.aliases() if "--note--" in alias]
    meta = "kb--meta"
    for alias in theirs:
        client.delete_alias(alias)
    for alias in left:
        create = models.CreateAlias(collection_name=meta, alias_name=alias)
        client.inner.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    assert store.production_state().hold == Hold("g3")
    assert store.resume() == ProductionState("g1")
    assert not [alias for alias in client.aliases() if "--note--" in alias]


def test_every_alias_of_a_hold_is_a_name_that_a_server_takes(client: ServerLikeClient) -> None:
    store = ServerVectorStore(client, "k" * 120)  # type: ignore[arg-type]
    stage(store, "a" * 100, [point(1)])
    stage(store, "b" * 100, [point(2)])
    store.promote("a" * 100, None)
    store.promote("b" * 100, "a" * 100)
    before = client.aliases().keys()
    state = store.rollback("b" * 100, by="é" * 100, reason="🚒?" * 250)
    assert store.production_state() == state
    new = client.aliases().keys() - before
    assert all(len(alias) <= 255 and re.fullmatch(r"[A-Za-z0-9_-]+", alias) for alias in new)


def test_a_failed_switch_raises(store: ServerVectorStore, client: ServerLikeClient) -> None:
    stage(store, "g1", [point(1)])

    def refuse() -> None:
        raise ConnectionError

    client.before_batch = refuse
    with pytest.raises(VectorStoreUnavailable):
        store.promote("g1", None)
    assert store.production_state() == ProductionState()
    assert store.promote("g1", None).production == "g1"


def test_two_processes_creating_a_knowledge_base_get_one_id_and_one_token(
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


def test_an_interrupted_creation_is_completed_by_the_next_process(
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
    client.inner.delete_collection("kb--g1")  # by hand
    assert store.production_state() == ProductionState()
    assert store.generations() == []
    stage(store, "g2", [point(2)])
    with pytest.raises(SupersededError):
        store.promote("g2", "g1")
    assert store.promote("g2", None) == ProductionState("g2", None, None)
