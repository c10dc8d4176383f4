"""The version of the tables in a database: created, brought up to date, or refused.

Two processes may begin at once: the work is one transaction behind a lock of the database.
"""

from pathlib import Path

from sqlalchemy import Connection, MetaData, Table, inspect, select, text

from rag_assets.tracking.tables import VERSION_TABLE, VERSIONS

_LOCK = 7_161_676_001
"""Key of the advisory lock on PostgreSQL. Any number, the same for all versions."""


class NewerTablesError(Exception):
    """The tables were written by a newer version of the program. They are left as they are."""


def version_of(connection: Connection) -> str | None:
    """Return the version of the tables, or None if there are none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    table = Table(VERSION_TABLE, MetaData(), autoload_with=connection)
    return connection.execute(select(table.c.version_num)).scalar()


def require_known(version: str | None) -> None:
    """Raises NewerTablesError."""
    if version is not None and version not in VERSIONS:
        raise NewerTablesError(
            f"the tables have version {version}, and this program knows none after {VERSIONS[-1]}: a newer version of "
            "rag-assets wrote them. Nothing is changed. Update this installation, or give it another database or schema"
        )


def bring_up_to_date(connection: Connection) -> None:
    """Create the tables, or migrate them, within the transaction of the connection.

    Raises:
        NewerTablesError: see there.
    """
    version = version_of(connection)
    require_known(version)
    if version == VERSIONS[-1]:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        version = version_of(connection)  # another process may have done it
        require_known(version)
    if version != VERSIONS[-1]:
        _migrate(connection)


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    # Alembic replaces %(…)s in values.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
