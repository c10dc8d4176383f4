"""Versions of the tables: created once by processes at once, equal to the description in Python, and a newer one refused."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from rag_assets import tracking
from rag_assets.tracking.connections import Deadline
from rag_assets.tracking.database import MetadataDatabase
from rag_assets.tracking.tables import METADATA, VERSION_TABLE, VERSIONS
from rag_assets.tracking.versions import NewerTablesError
from rag_assets_tests.tracking.conftest import OpenDatabase, Query, ask, everything_in
from rag_assets_tests.tracking.sample_records import run_record


def test_every_migration_has_a_place_in_the_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(tracking.__file__).parent / "migrations"))
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(revisions)) == VERSIONS


def test_migrated_tables_are_those_that_the_program_uses(database: MetadataDatabase) -> None:
    with database.transaction() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, METADATA) == []
    assert database.version() == VERSIONS[-1]


def test_preparing_again_changes_nothing(open_database: OpenDatabase, query: Query) -> None:
    open_database().put(run_record("r1", 1))
    open_database()
    assert len(query("SELECT * FROM rag_refreshes")) == 1


def test_looking_for_a_version_creates_nothing(place_of_tables: Path | str) -> None:
    database = MetadataDatabase(place_of_tables, "kb", Deadline(60))
    if isinstance(place_of_tables, Path):
        place_of_tables.parent.mkdir()
        place_of_tables.touch()
    assert database.version() is None
    assert everything_in(place_of_tables) == ""
    database.close()


def test_tables_of_a_newer_version_are_refused_and_left_alone(
    database: MetadataDatabase, place_of_tables: Path | str
) -> None:
    database.put(run_record("r1", 1))
    with database.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num='99'")
    before = everything_in(place_of_tables)
    other = MetadataDatabase(place_of_tables, "kb", Deadline(60))
    with pytest.raises(NewerTablesError, match=r"version 99.*Update this installation"):
        other.prepare()
    other.close()
    assert everything_in(place_of_tables) == before


_PREPARE = """
import sys
from pathlib import Path
from rag_assets.tracking.connections import Deadline
from rag_assets.tracking.database import MetadataDatabase

place = sys.argv[1]
database = MetadataDatabase(place if "://" in place else Path(place), sys.argv[2], Deadline(60))
print("ready", flush=True)
sys.stdin.readline()
database.prepare()
database.prepare()
"""


@pytest.mark.slow
def test_processes_at_once_create_the_tables_once(place_of_tables: Path | str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PREPARE, str(place_of_tables), f"kb{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    assert ask(place_of_tables, f"SELECT version_num FROM {VERSION_TABLE}") == [{"version_num": VERSIONS[-1]}]
