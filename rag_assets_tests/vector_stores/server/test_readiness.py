"""Waiting for the index and the copies of a generation: what is waited for, and what happens at the deadline."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from qdrant_client.models import ReplicaState

from rag_assets.errors import VectorStoreUnavailable
from rag_assets.vector_stores.server import readiness
from rag_assets.vector_stores.server.readiness import wait_until_ready


class Client:
    """Answers with these statuses of the collection and states of its copies, the last ones for ever."""

    init_options: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, statuses: list[str], states: list[list[str]]) -> None:
        self.statuses, self.states = statuses, states

    def get_collection(self, _: str) -> Any:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return SimpleNamespace(status=SimpleNamespace(value=status), indexed_vectors_count=0)

    def collection_cluster_info(self, _: str) -> Any:
        states = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        shards = [SimpleNamespace(shard_id=0, state=ReplicaState(state)) for state in states]
        return SimpleNamespace(local_shards=shards[:1], remote_shards=shards[1:])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(readiness, "AWAY_SECONDS", 0.05)


@pytest.fixture
def deadline_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "TIMEOUT_SECONDS", -1.0)


def wait(client: Client) -> None:
    wait_until_ready(client, "kb--g1", "g1", is_cluster=True)  # type: ignore[arg-type]


def test_the_optimizer_and_copies_in_transfer_are_waited_for() -> None:
    client = Client(
        ["yellow", "yellow", "green"], [["Active", "Partial"], ["Active", "Partial"], ["Active", "Active"]]
    )
    wait(client)
    assert (client.statuses, client.states) == (["green"], [["Active", "Active"]])


@pytest.mark.usefixtures("deadline_passed")
def test_a_slow_index_does_not_stop_a_refresh(caplog: pytest.LogCaptureFixture) -> None:
    wait(Client(["yellow"], [["Active"]]))
    assert "g1 is still being indexed" in caplog.text


@pytest.mark.usefixtures("deadline_passed")
def test_an_incomplete_copy_does() -> None:
    with pytest.raises(VectorStoreUnavailable, match="1 copy in transfer"):
        wait(Client(["green"], [["Active", "Partial"]]))


@pytest.mark.parametrize("state", ["Dead", "Initializing"])
def test_a_copy_on_a_node_that_is_away_is_waited_for_briefly(
    state: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    wait(Client(["green"], [["Active", state]]))
    assert "1 copy is on a node that is away" in caplog.text


def test_a_copy_that_comes_back_is_complete_before_the_evaluation(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    client = Client(["green"], [["Active", "Dead"], ["Active", "Recovery"], ["Active", "Active"]])
    wait(client)
    assert (client.states, caplog.text) == ([["Active", "Active"]], "")


def test_a_part_without_a_copy_that_serves_is_an_error() -> None:
    with pytest.raises(VectorStoreUnavailable, match=r"no other copy of it.*RAG_QDRANT_REPLICAS"):
        wait(Client(["green"], [["Dead", "Dead"]]))


def test_a_broken_collection_is_an_error() -> None:
    with pytest.raises(VectorStoreUnavailable, match="status red"):
        wait(Client(["red"], [["Active"]]))
