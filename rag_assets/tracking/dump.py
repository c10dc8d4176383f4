"""The rows of one knowledge base as files of JSON lines, one for each table: the same for every database. For backups.

The dump is of one moment. Loading it replaces the rows of the knowledge base, and leaves those of others alone. Purged
documents stay out: the marks of both sides count. Imports SQLAlchemy.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, select

from rag_assets.backports import batched
from rag_assets.disk.private_folders import make_private_folder
from rag_assets.fingerprint import name_hash
from rag_assets.text.wording import counted
from rag_assets.tracking.database import MetadataDatabase
from rag_assets.tracking.records import Row
from rag_assets.tracking.tables import (
    METADATA,
    VERSIONS,
    documents,
    evaluation_questions,
    forgotten_documents,
    metric_totals,
)
from rag_assets.tracking.totals import raise_totals, totals_of_rows
from rag_assets.tracking.versions import require_known

FORMAT_VERSION = 1
CONTENTS = "tables.json"
"""Version of the tables, and table -> number of rows. Written last."""
_ROWS = 1000


def dump(database: MetadataDatabase, folder: Path) -> dict[str, int]:
    """Write the rows into an empty folder, for this user alone. Return table -> number of rows."""
    make_private_folder(folder)
    counts: dict[str, int] = {}
    with database.snapshot() as connection:
        for name, table in METADATA.tables.items():
            mine = select(table).where(table.c.knowledge_base == database.knowledge_base)
            ordered = mine.order_by(*table.primary_key.columns)
            counts[name] = 0
            with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
                for row in connection.execution_options(yield_per=_ROWS).execute(ordered).mappings():
                    file.write(_line({key: value for key, value in row.items() if key != "knowledge_base"}))
                    counts[name] += 1
    contents = {"format_version": FORMAT_VERSION, "tables_version": VERSIONS[-1], "rows": counts}
    (folder / CONTENTS).write_text(json.dumps(contents, indent=1), encoding="utf-8")
    return counts


def load(database: MetadataDatabase, folder: Path) -> None:
    """Replace the rows of the knowledge base by those of a dump, all or none.

    Raises:
        NewerTablesError: a newer version of the program wrote the dump.
        ValueError, KeyError, OSError: the dump is damaged. Nothing was changed.
    """
    contents = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
    require_known(contents["tables_version"])
    if contents["format_version"] != FORMAT_VERSION:
        raise ValueError(f"a dump of format version {contents['format_version']}")
    with database.transaction() as connection:
        before = database.forgotten(connection)
        dumped = [
            row for row in _rows(folder, forgotten_documents.name) if row["document_hash"] not in before
        ]
        database.insert(connection, forgotten_documents, dumped)
        forgotten = database.forgotten(connection)
        for name, count in contents["rows"].items():
            table = METADATA.tables[name]
            if table is forgotten_documents or table is metric_totals:
                continue
            connection.execute(delete(table).where(table.c.knowledge_base == database.knowledge_base))
            num_rows = 0
            for rows in batched(_rows(folder, name), _ROWS):
                num_rows += len(rows)
                kept: list[Row] = list(rows)
                if table is documents and forgotten:
                    kept = [row for row in rows if name_hash(row["document_id"]) not in forgotten]
                if table is evaluation_questions:
                    kept = database.without_forgotten(kept, forgotten)
                database.insert(connection, table, kept)
            if num_rows != count:
                raise ValueError(f"{name} has {counted(num_rows, 'row')} instead of {count:,}")
        _load_totals(database, connection, folder, has_totals=metric_totals.name in contents["rows"])


def _load_totals(
    database: MetadataDatabase, connection: Connection, folder: Path, *, has_totals: bool
) -> None:
    """Raise the totals to those of the dump. They never fall: a fall would look like new work to Prometheus."""
    if has_totals:
        dumped = {row["series"]: row["total"] for row in _rows(folder, metric_totals.name)}
    else:  # from version 1
        dumped = totals_of_rows(connection).get(database.knowledge_base, {})
    raise_totals(connection, database.knowledge_base, dumped)


def _line(row: dict[Any, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, sort_keys=True, default=_time) + "\n"


def _time(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _rows(folder: Path, table: str) -> Iterator[Row]:
    with (folder / f"{table}.jsonl").open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
