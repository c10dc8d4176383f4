"""A table in its own database on a real server, behind a proxy with failures on demand."""

import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from rag_assets.sources import postgres
from rag_assets_tests.optional_packages import require
from rag_assets_tests.sources.scenes.base import Failure
from rag_assets_tests.sources.scenes.postgres_server import PASSWORD, FailingProxy, server_port

MARK = "(carried)"


class PostgresScene:
    """Counts texts on the wire: each ends with a mark for the proxy.

    Attributes:
        connection: connection of the superuser, without the proxy.
        user: user of the source.
    """

    kind = "postgres"
    keys = ("team", "year")
    failures: tuple[Failure, ...] = ("refused", "forbidden", "error", "hang", "torn listing")

    def __init__(self, folder: Path) -> None:
        require("psycopg")
        import psycopg

        port = server_port()
        name = f"scene_{uuid.uuid4().hex}"
        server = f"postgresql://postgres:{quote(PASSWORD)}@127.0.0.1:{port}"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
            connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        self.user = name
        self.connection = psycopg.connect(f"{server}/{name}", autocommit=True)
        self.execute("""
            CREATE TABLE documents (
                id text PRIMARY KEY, body text, title text, updated_at timestamptz DEFAULT clock_timestamp()
            )
        """)
        self.execute(f"GRANT SELECT ON documents TO {name}")
        self.proxy = FailingProxy(port, MARK.encode())
        self.dsn = f"postgresql://{name}:{quote(PASSWORD)}@127.0.0.1:{self.proxy.port}/{name}"
        self._metadata_columns: list[str] = []
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(postgres, "_ROWS_A_FETCH", 2)

    def execute(self, statement: str, *parameters: object) -> list[Any]:
        cursor = self.connection.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []

    @property
    def num_bodies(self) -> int:
        return self.proxy.num_marked

    def declaration(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "dsn": self.dsn,
            "table": "documents",
            "text_column": "body",
            "title_column": "title",
            "updated_at_column": "updated_at",
            "metadata_columns": self._metadata_columns,
            "timeout_seconds": 1,
        }

    def put(self, name: str, text: str) -> None:
        self.execute(
            "INSERT INTO documents (id, body) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE "
            "SET body = excluded.body, updated_at = excluded.updated_at",
            name,
            f"{text} {MARK}",
        )

    def describe(self, name: str, word: str, number: int) -> None:
        self._metadata_columns = ["team", "year"]
        self.execute("ALTER TABLE documents ADD IF NOT EXISTS team text, ADD IF NOT EXISTS year int")
        self.execute("UPDATE documents SET team = %s, year = %s WHERE id = %s", word, number, name)

    def remove(self, name: str) -> None:
        self.execute("DELETE FROM documents WHERE id = %s", name)

    @contextmanager
    def failing(self, how: Failure) -> Generator[None]:
        if how == "refused":
            self.proxy.refuse()
        elif how == "forbidden":
            self.execute(f"REVOKE SELECT ON documents FROM {self.user}")
        elif how == "error":
            self.execute("ALTER TABLE documents RENAME body TO contents")
        else:
            self.proxy.failing = how
        try:
            yield
        finally:
            self.proxy.failing = None
            if how == "refused":
                self.proxy.listen_again()
            elif how == "forbidden":
                self.execute(f"GRANT SELECT ON documents TO {self.user}")
            elif how == "error":
                self.execute("ALTER TABLE documents RENAME contents TO body")

    def close(self) -> None:
        self.proxy.close()
        self.connection.close()
        self._patch.undo()
