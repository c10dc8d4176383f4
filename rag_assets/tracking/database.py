"""The tables in their database: records in, a purged document out. Served documents are written by `served`.

Every row has the id of its knowledge base in its key, so several may share a database. Each record is one transaction, and
replaces the rows of its run, so that one delivered twice counts once. Imports SQLAlchemy.
"""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, or_, select, update

from rag_assets.fingerprint import name_hash
from rag_assets.text.forgotten_names import forgetting
from rag_assets.tracking.connections import Deadline, RowsLeftError, engine_for
from rag_assets.tracking.contributions import contributions
from rag_assets.tracking.records import (
    DIED,
    SUCCESSES,
    Record,
    Row,
    now,
    storable,
    without_ids,
)
from rag_assets.tracking.tables import (
    METADATA,
    OF_A_RUN,
    chunks,
    documents,
    evaluation_questions,
    evaluations,
    forgotten_documents,
    incidents,
    promotions,
    refresh_sources,
    refreshes,
)
from rag_assets.tracking.totals import add_to_totals, growth
from rag_assets.tracking.versions import bring_up_to_date, require_known, version_of

_WITH_TEXTS = (
    (refreshes, ("reason",)),
    (incidents, ("reason",)),
    (promotions, ("reason",)),
    (evaluations, ("verdict",)),
    (refresh_sources, ("problem",)),
)
"""Sentences with names of documents, perhaps."""
_WITH_NAMES = (*(table for table, _ in _WITH_TEXTS), evaluation_questions, documents, chunks)
_LISTS = ("expected_documents", "retrieved_documents", "missing_documents")


class MetadataDatabase:
    """The rows of one knowledge base.

    Args:
        place: path of an SQLite file, or the URL of a PostgreSQL database.
        knowledge_base_id: from the vector store.
        deadline: of all calls together.
    """

    def __init__(self, place: Path | str, knowledge_base_id: str, deadline: Deadline) -> None:
        self.knowledge_base = knowledge_base_id
        self.deadline = deadline
        self._place = place
        self._engine = engine_for(place, deadline)

    def prepare(self) -> None:
        """Create the tables, or migrate them.

        Raises:
            NewerTablesError: a newer version of the program wrote them. Nothing was changed.
        """
        with self._engine.begin() as connection:
            bring_up_to_date(connection)

    def version(self) -> str | None:
        """Return the version of the tables, None without tables. Changes nothing, and creates no file.

        Raises:
            NewerTablesError: see `prepare`.
        """
        engine = engine_for(self._place, self.deadline, writes=False)
        try:
            with engine.begin() as connection:
                version = version_of(connection)
        finally:
            engine.dispose()
        require_known(version)
        return version

    @contextmanager
    def transaction(self) -> Generator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Generator[Connection]:
        """Read within one transaction, all of one moment."""
        engine = self._engine
        if engine.dialect.name == "postgresql":
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with engine.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    # Records

    def put(self, record: Record) -> None:
        """Write a record, in place of an earlier one with its id."""
        with self.transaction() as connection:
            match record.kind:
                case "run":
                    self._put_run(connection, record)
                case "decision":
                    self._put_decision(connection, record)
                case "forget":
                    self._forget(connection, record)

    def erase_removed_rows(self) -> None:
        """Write the tables again, after `forget`: the files of a database keep removed rows.

        Raises:
            RowsLeftError: another program keeps them. Call it again.
        """
        if self._engine.dialect.name == "sqlite":
            # SQLite has overwritten them in the file itself. Its write-ahead log has them until it is emptied.
            connection = self._engine.raw_connection()
            try:
                busy = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            finally:
                connection.close()
            if busy:
                raise RowsLeftError(
                    "another program reads the file, so removed rows are left in its log: close it"
                )
            return
        for table in _WITH_NAMES:
            # Not VACUUM FULL: that takes no time limit from a transaction. Statistics hold values too.
            with self.transaction() as connection:
                connection.exec_driver_sql(f"CLUSTER {table.name} USING {table.name}_pkey")
                connection.exec_driver_sql(f"ANALYZE {table.name}")

    def _put_run(self, connection: Connection, record: Record) -> None:
        mine = (refreshes.c.knowledge_base == self.knowledge_base) & (refreshes.c.run_id == record.id)
        earlier = connection.execute(select(refreshes.c.outcome, refreshes.c.counted).where(mine)).first()
        if record.outcome == DIED and earlier is not None and earlier.outcome != DIED:
            return  # it was not dead: its own record came first
        added, counted = growth(record.rows, earlier.counted if earlier is not None else None)
        for table in (*OF_A_RUN.values(), promotions):
            self._delete(connection, table, table.c.run_id == record.id)
        [run] = record.rows[refreshes.name]
        self._insert_rows(
            connection, replace(record, rows=record.rows | {refreshes.name: [run | {"counted": counted}]})
        )
        self._resolve(connection, record)
        if earlier is None or earlier.counted is not None:  # version 1 of the tables counted it, all at once
            add_to_totals(connection, self.knowledge_base, added)

    def _put_decision(self, connection: Connection, record: Record) -> None:
        mine = promotions.c.knowledge_base == self.knowledge_base, promotions.c.event_id == record.id
        is_new = connection.execute(select(promotions.c.event_id).where(*mine)).first() is None
        self._delete(connection, promotions, promotions.c.event_id == record.id)
        self._insert_rows(connection, record)
        if is_new:
            add_to_totals(connection, self.knowledge_base, contributions(record.rows))

    def _resolve(self, connection: Connection, record: Record) -> None:
        """The first success after an incident ends it, in any order of delivery."""
        if record.outcome in SUCCESSES:
            [row] = record.rows[refreshes.name]
            at = row["ended_at"]
            open_until_now = or_(incidents.c.resolved_at.is_(None), incidents.c.resolved_at > at)
            connection.execute(
                update(incidents)
                .where(incidents.c.knowledge_base == self.knowledge_base)
                .where(incidents.c.occurred_at <= at, open_until_now)
                .values(resolved_at=at)
            )
        elif record.rows.get(incidents.name):
            mine = incidents.c.knowledge_base == self.knowledge_base, incidents.c.run_id == record.id
            later = (
                select(func.min(refreshes.c.ended_at))
                .where(refreshes.c.knowledge_base == self.knowledge_base)
                .where(refreshes.c.outcome.in_(SUCCESSES), refreshes.c.ended_at >= incidents.c.occurred_at)
                .scalar_subquery()
            )
            connection.execute(update(incidents).where(*mine).values(resolved_at=later))

    def _delete(self, connection: Connection, table: Table, *conditions: Any) -> None:
        connection.execute(delete(table).where(table.c.knowledge_base == self.knowledge_base, *conditions))

    def _insert_rows(self, connection: Connection, record: Record) -> None:
        for name, rows in record.rows.items():
            if name == evaluation_questions.name:
                rows = self.without_forgotten(rows, self.forgotten(connection))
            self.insert(connection, METADATA.tables[name], rows)

    def insert(self, connection: Connection, table: Table, rows: Iterable[Row]) -> None:
        """Insert rows. A missing column is NULL, and an unknown one is left out."""
        complete = [
            {column: storable(row.get(column)) for column in table.columns.keys()}  # noqa: SIM118 - names, not columns
            | {"knowledge_base": self.knowledge_base}
            for row in rows
        ]
        if complete:
            connection.execute(insert(table), complete)

    # Purged documents

    def forgotten(self, connection: Connection) -> frozenset[str]:
        """Return the hashes of the purged documents. See `name_hash`."""
        mine = forgotten_documents.c.knowledge_base == self.knowledge_base
        return frozenset(
            connection.execute(select(forgotten_documents.c.document_hash).where(mine)).scalars()
        )

    def without_forgotten(self, rows: Sequence[Row], hashes: frozenset[str]) -> list[Row]:
        """Return the rows of questions without purged documents. They may be older than the purge."""
        if not hashes:
            return list(rows)
        return [
            row
            | {column: without_ids(row[column], lambda name: name_hash(name) in hashes) for column in _LISTS}
            for row in rows
        ]

    def _forget(self, connection: Connection, record: Record) -> None:
        names = record.forgotten_names
        hashes = {name_hash(one) for one in names} - self.forgotten(connection)
        self.insert(
            connection,
            forgotten_documents,
            [{"document_hash": one, "forgotten_at": now()} for one in sorted(hashes)],
        )
        self._delete(connection, documents, documents.c.document_id == storable(record.forgotten[0]))
        if contents := record.forgotten_contents:
            self._delete(connection, chunks, chunks.c.content_hash.in_(contents))
        for table, columns in _WITH_TEXTS:
            for column in columns:
                self._rewrite(connection, table, column, names)
        self._forget_in_questions(connection, names)

    def _rewrite(self, connection: Connection, table: Table, column: str, names: frozenset[str]) -> None:
        forget = forgetting(names)
        found = select(table.c[column]).where(
            table.c.knowledge_base == self.knowledge_base,
            or_(*(table.c[column].contains(name, autoescape=True) for name in sorted(names))),
        )
        for text in set(connection.execute(found).scalars()):
            connection.execute(
                update(table)
                .where(table.c.knowledge_base == self.knowledge_base, table.c[column] == text)
                .values({column: forget(text)})
            )

    def _forget_in_questions(self, connection: Connection, names: frozenset[str]) -> None:
        table = evaluation_questions
        found = select(table).where(table.c.knowledge_base == self.knowledge_base)
        for row in connection.execute(found).mappings().all():
            lists = {column: without_ids(row[column], lambda name: name in names) for column in _LISTS}
            if any(lists[column] != row[column] for column in _LISTS):
                connection.execute(
                    update(table)
                    .where(
                        table.c.knowledge_base == self.knowledge_base,
                        table.c.run_id == row["run_id"],
                        table.c.position == row["position"],
                    )
                    .values(lists)
                )

    def readmit_document(self, hashes: Sequence[str]) -> None:
        """Let a document in again, after a person has ended its purge.

        Args:
            hashes: of its names.
        """
        with self.transaction() as connection:
            self._delete(
                connection, forgotten_documents, forgotten_documents.c.document_hash.in_(list(hashes))
            )
