"""Dagster's storage on PostgreSQL in trouble: no wait without limit, and an error that a person understands."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import dagster_postgres.utils
import pytest
from dagster._core.events.log import EventLogEntry
from psycopg2 import extensions
from sqlalchemy import literal_column, select, text
from sqlalchemy.exc import OperationalError

from rag_assets.defs import reconnecting
from rag_assets.defs.postgres_storage import PostgresStorage
from rag_assets.defs.storage_errors import StorageUnavailable, storage_problem
from rag_assets.errors import causes_of
from rag_assets_tests.outages.postgres_error import postgres_error
from rag_assets_tests.sources.scenes.postgres_server import PASSWORD, server_port
from rag_assets_tests.troubled_proxy import Trouble, TroubledProxy

pytestmark = pytest.mark.slow
TEXTS: dict[Trouble, str] = {
    "refused": "refuses connections. Start it",
    "hanging": "did not answer within 1 s. Start it",
    "error": "refuses a connection (the database system is starting up). See its log",
    "dropped after send": "closed the connection. Start it",
}


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[TroubledProxy]:
    monkeypatch.setattr(dagster_postgres.utils.time, "sleep", lambda seconds: None)
    proxy = TroubledProxy(server_port(), postgres_error)
    yield proxy
    proxy.close()
    extensions.set_wait_callback(None)


def opened(proxy: TroubledProxy, password: str = PASSWORD, **more: object) -> PostgresStorage:
    place = {"hostname": "127.0.0.1", "port": str(proxy.port), "db_name": "postgres", "username": "postgres"}
    config = {"postgres_db": {**place, "password": password, "scheme": "postgresql+psycopg2"}, **more}
    storage = PostgresStorage.from_config_value(None, {"timeout_seconds": 1, **config})
    assert isinstance(storage, PostgresStorage.__mro__[1])
    return storage


@pytest.mark.parametrize("trouble", TEXTS)
def test_a_trouble_is_an_error_in_words_and_passes(proxy: TroubledProxy, trouble: Trouble) -> None:
    storage = opened(proxy)
    proxy.begin(trouble)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of Dagster, after its retries
        storage.run_storage.get_runs()
    proxy.end()
    assert storage_problem(caught.value).endswith("then try again")
    assert (
        f"Dagster's storage, PostgreSQL at 127.0.0.1:{proxy.port}, database postgres, {TEXTS[trouble]}"
        in (storage_problem(caught.value))
    )
    assert any(isinstance(cause, OperationalError) for cause in causes_of(caught.value)), "Dagster retries it"
    assert storage.run_storage.get_runs() == []


def an_event(run_id: str) -> EventLogEntry:
    return EventLogEntry(
        error_info=None, level=20, user_message="something", run_id=run_id, timestamp=time.time()
    )


def inserts_event(data: bytes) -> bool:
    return b"INSERT INTO event_logs" in data


def messages_of(storage: PostgresStorage, run_id: str) -> list[str]:
    return [entry.user_message for entry in storage.event_log_storage.get_logs_for_run(run_id)]


@pytest.mark.parametrize("lost", ["the answer", "the request"])
def test_an_event_is_stored_once_if_its_connection_is_lost(
    proxy: TroubledProxy, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    storage, run_id = opened(proxy), str(uuid4())
    # The server is back before the second attempt to connect.
    monkeypatch.setattr(dagster_postgres.utils.time, "sleep", lambda seconds: proxy.end())
    proxy.begin("one answer lost" if lost == "the answer" else "refused", inserts_event)
    storage.event_log_storage.store_event(an_event(run_id))
    assert proxy.has_begun
    assert messages_of(storage, run_id) == ["something"]


def test_a_reading_is_repeated_if_its_answer_is_lost(proxy: TroubledProxy) -> None:
    storage = opened(proxy)
    proxy.begin("one answer lost", lambda data: b"FROM runs" in data)
    assert storage.run_storage.get_runs() == []
    assert proxy.has_begun


def test_an_event_is_not_stored_again_while_the_server_may_still_store_it(
    proxy: TroubledProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, run_id = opened(proxy), str(uuid4())
    monkeypatch.setattr(reconnecting, "_END_SECONDS", 0.0)
    monkeypatch.setattr(reconnecting, "_SERVER_SIDE", text("SELECT 1 WHERE :pid > 0"))  # it never ends
    proxy.begin("one answer lost", inserts_event)
    with pytest.raises(StorageUnavailable, match="closed the connection"):
        storage.event_log_storage.store_event(an_event(run_id))
    assert messages_of(storage, run_id) == ["something"]


def test_a_part_of_a_transaction_is_not_repeated(proxy: TroubledProxy) -> None:
    storage: Any = opened(proxy)
    proxy.begin("one answer lost", lambda data: b"SELECT 1" in data)
    with pytest.raises(StorageUnavailable), storage.event_log_storage.index_transaction() as connection:
        connection.execute(select(literal_column("1")))


def test_a_refused_login_names_the_user_and_no_password(proxy: TroubledProxy) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        opened(proxy, "a-wrong-password")
    problem = storage_problem(caught.value)
    assert "refuses the login of postgres. Check user and password" in problem
    assert "a-wrong-password" not in problem


def test_another_error_is_no_problem_of_the_storage() -> None:
    assert storage_problem(ValueError("something else")) == ""
