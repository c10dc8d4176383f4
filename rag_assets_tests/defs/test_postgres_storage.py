"""Dagster's storage on PostgreSQL in trouble: no wait without limit, and an error that a person understands."""

from collections.abc import Iterator

import dagster_postgres.utils
import pytest
from psycopg2 import extensions
from sqlalchemy.exc import OperationalError

from rag_assets.defs.postgres_storage import PostgresStorage
from rag_assets.defs.storage_errors import storage_problem
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


def test_a_refused_login_names_the_user_and_no_password(proxy: TroubledProxy) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        opened(proxy, "a-wrong-password")
    problem = storage_problem(caught.value)
    assert "refuses the login of postgres. Check user and password" in problem
    assert "a-wrong-password" not in problem


def test_another_error_is_no_problem_of_the_storage() -> None:
    assert storage_problem(ValueError("something else")) == ""
