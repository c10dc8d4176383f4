"""The databases under the contract tests of the metadata tables: an SQLite file, and a real PostgreSQL server."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import pytest

from rag_assets.tracking.connections import Deadline
from rag_assets.tracking.database import MetadataDatabase
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.scenes.postgres_server import PASSWORD, server_port


class OpenDatabase(Protocol):
    """Opens one more handle on the same database, as another process would."""

    def __call__(self, knowledge_base_id: str = "kb") -> MetadataDatabase: ...


def new_postgres_url() -> str:
    """Return the URL of a new, empty schema: creating one takes less time than a database."""
    require("psycopg")
    import psycopg

    server = f"postgresql://postgres:{quote(PASSWORD)}@127.0.0.1:{server_port()}/postgres"
    name = f"tables_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{name}"')
    return f"{server}?options=-csearch_path%3D{name}"


@pytest.fixture
def postgres_url() -> str:
    return new_postgres_url()


@pytest.fixture(params=["sqlite", "postgres"])
def place_of_tables(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A place without tables."""
    if request.param == "sqlite":
        return tmp_path / "state" / "metadata.sqlite"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def open_database(place_of_tables: Path | str) -> Iterator[OpenDatabase]:
    opened: list[MetadataDatabase] = []

    def open_one(knowledge_base_id: str = "kb") -> MetadataDatabase:
        opened.append(MetadataDatabase(place_of_tables, knowledge_base_id, Deadline(60)))
        opened[-1].prepare()
        return opened[-1]

    yield open_one
    for database in opened:
        database.close()


@pytest.fixture
def database(open_database: OpenDatabase) -> MetadataDatabase:
    return open_database()


Query = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def query(place_of_tables: Path | str) -> Query:
    """Ask the database with SQL, as a user does."""
    return lambda sql: ask(place_of_tables, sql)


def ask(place: Path | str, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query, with a driver of its own."""
    if isinstance(place, Path):
        import sqlite3

        with sqlite3.connect(place) as connection:
            connection.row_factory = sqlite3.Row
            rows = [dict(row) for row in connection.execute(sql)]
        connection.close()
        return rows
    import psycopg
    from psycopg.rows import dict_row

    with psycopg.connect(place, row_factory=dict_row) as connection:
        return list(connection.execute(sql.encode()).fetchall())


def everything_in(place: Path | str) -> str:
    """Return every row of every table as text."""
    if isinstance(place, Path):
        names = ask(place, "SELECT name FROM sqlite_master WHERE type='table'")
    else:
        names = ask(place, "SELECT tablename AS name FROM pg_tables WHERE schemaname=current_schema()")
    return "\n".join(f"{one['name']}: {ask(place, 'SELECT * FROM ' + one['name'])}" for one in names)
