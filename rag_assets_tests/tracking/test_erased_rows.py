"""A purged name is in no file of the database: neither in removed rows nor in its statistics."""

import sqlite3
from pathlib import Path

import psycopg
import pytest

from rag_assets.errors import MetadataTablesUnavailable
from rag_assets_tests.canary import places_of
from rag_assets_tests.sources.scenes.postgres_server import data_folder
from rag_assets_tests.tracking.conftest import everything_in
from rag_assets_tests.tracking.test_observer import end, observing

pytestmark = pytest.mark.slow
DOCUMENT, NAME = "filesystem:hr/kaplan_severance.md", "kaplan_severance"


@pytest.fixture(autouse=True)
def short_deliveries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_assets.tracking.observer.DELIVERY_SECONDS", 10.0)


def on_disk(url: str) -> list[str]:
    """Return the files of tables with the name. The log of all changes, `pg_wal`, belongs to the server."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    return places_of(NAME, data_folder() / "base")


def test_removed_rows_leave_the_files_of_postgresql(tmp_path: Path, postgres_url: str) -> None:
    with observing(tmp_path, postgres_url) as observer:
        for number in range(50):
            end(observer, f"r{number}", reason=f"the deletion of {DOCUMENT}")
        observer.deliver()
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("ANALYZE rag_refreshes")
        assert len(on_disk(postgres_url)) >= 2
        observer.forget_documents({DOCUMENT: []}, [], by="Ada", reason="")
        assert NAME not in everything_in(postgres_url)
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            [kept] = connection.execute(
                "SELECT count(*) FROM pg_stats WHERE pg_stats::text LIKE %s", [f"%{NAME}%"]
            ).fetchone() or [None]
            assert kept == 0
            # Of all the server, its superuser can: old statistics are rows of a catalog.
            connection.execute("VACUUM FULL pg_catalog.pg_statistic")
        assert on_disk(postgres_url) == []


def test_a_reader_of_a_table_leaves_the_purge_unfinished(tmp_path: Path, postgres_url: str) -> None:
    with observing(tmp_path, postgres_url) as observer:
        end(observer, "r1", reason=f"the deletion of {DOCUMENT}")
        observer.deliver()
        with psycopg.connect(postgres_url) as reader:
            reader.execute("SELECT * FROM rag_refreshes").fetchall()
            with pytest.raises(MetadataTablesUnavailable):
                observer.forget_documents({DOCUMENT: []}, [], by="Ada", reason="")
        assert observer.deliver() is None
        assert on_disk(postgres_url) == []


def test_a_reader_of_the_sqlite_file_leaves_the_purge_unfinished(tmp_path: Path) -> None:
    with observing(tmp_path) as observer:
        end(observer, "r1", reason=f"the deletion of {DOCUMENT}")
        observer.deliver()
        tables = tmp_path / "state" / "metadata.sqlite"
        reader = sqlite3.connect(tables, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM rag_refreshes").fetchall()
        with pytest.raises(MetadataTablesUnavailable, match="close it"):
            observer.forget_documents({DOCUMENT: []}, [], by="Ada", reason="")
        assert places_of(NAME, tmp_path / "state")
        reader.close()
        assert observer.deliver() is None
        assert places_of(NAME, tmp_path / "state") == []
