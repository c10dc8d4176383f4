"""Rows of a PostgreSQL table or query, each a document.

Options name the columns of a document. Rows are fetched ahead, so that not every row costs a query. The connection is
in `postgres_connection`.
"""

import hashlib
import json
import re
import weakref
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, LiteralString, NamedTuple, cast
from urllib.parse import quote

from rag_assets.document_metadata.values import Metadata
from rag_assets.errors import DocumentUnreadable, SourceUnavailable
from rag_assets.records import SourceEntry
from rag_assets.sources.base import (
    Reading,
    SourceOptions,
    missing_error,
    missing_package_error,
    too_large_error,
)
from rag_assets.sources.option_types import SUFFIXES
from rag_assets.sources.postgres_metadata import column_as_json, metadata_of
from rag_assets.sources.postgres_options import PostgresOptions
from rag_assets.sources.times import iso_utc

if TYPE_CHECKING:
    from psycopg import sql

    from rag_assets.sources.postgres_connection import Connection

_ROWS_A_FETCH = 1000
_MOST_ROWS_AHEAD = 127
_MOST_BYTES_AHEAD = 64 * 1024
"""Maximum length of a text fetched ahead."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d( |$)")


class _Row(NamedTuple):
    """A row, read from the database.

    Attributes:
        content_hash: hash of title and text, or "" for a text above the size limit.
        data: the text, or None if it was not transferred.
    """

    size_bytes: int
    content_hash: str
    data: bytes | None
    title: str


class PostgresSource:
    """The rows of a table, a view or a query.

    A listing reads ids, versions and access lists, never texts. Rows are then read one by one. While they are requested
    in the order of the listing, more and more are fetched ahead. So a first reading of many rows needs few queries, and
    a reading of few rows fetches little in vain.
    """

    Options: ClassVar[type[SourceOptions]] = PostgresOptions
    parallel_reads = 1  # one connection

    def __init__(self, name: str, options: PostgresOptions) -> None:
        if find_spec("psycopg") is None:
            raise missing_package_error(name, "psycopg", "postgres")
        self.name = name
        self.options = options
        what = [options.table, options.query, options.text_column, options.title_column, options.format]
        # Part of every token: other columns make other documents from the same rows.
        self._columns_hash = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:8]
        self._forget()
        self._reader: Connection | None = None
        self._close_reader: weakref.finalize[..., PostgresSource] | None = None

    def list_entries(self) -> Iterator[SourceEntry]:
        """Yield one entry per row, sorted by id.

        Raises:
            SourceUnavailable: the rows cannot be listed, or an id is NULL or a duplicate.
        """
        self._forget()
        ids, positions = self._ids, self._positions
        for row_id, version, access, metadata in self._listed_rows():
            if row_id is None:
                raise SourceUnavailable(
                    f"source {self.name}: {self.options.id_column} is NULL in a row. Choose a column without NULL as id_column."
                )
            if row_id in positions:
                raise SourceUnavailable(
                    f"source {self.name}: two rows have the {self.options.id_column} {row_id[:100]!r}. "
                    "Choose a unique column as id_column."
                )
            positions[row_id] = len(ids)
            ids.append(row_id)
            yield self._entry(row_id, version, access, metadata)

    def read(self, entry: SourceEntry, known_token: str = "") -> Reading | None:
        """Return the text of one row.

        Raises:
            DocumentUnreadable: `too_large`, the row is missing, or its columns cannot be computed.
            SourceUnavailable: the database cannot be queried.
        """
        row = self._ahead.pop(entry.path, None)
        if row is None or (row.data is None and self._token(entry, row) != known_token):
            row = self._fetch(entry, known_token)
        if row.size_bytes > self.options.max_bytes:
            raise too_large_error(row.size_bytes, self.options.max_bytes)
        token = self._token(entry, row)
        if token == known_token:
            return None
        return Reading(row.data or b"", title=row.title, version_token=token)

    def _forget(self) -> None:
        """Forget the last listing."""
        self._ids: list[str] = []
        self._positions: dict[str, int] = {}
        self._ahead: dict[str, _Row] = {}
        self._rows_ahead = 0
        self._next_id = ""

    def _entry(self, row_id: str, version: str | None, access: Any, metadata: Metadata) -> SourceEntry:
        template = self.options.url_template or f"postgres:{self.name}/{{id}}"
        return SourceEntry(
            document_id=f"{self.name}:{row_id}",
            source=self.name,
            uri=template.replace("{id}", quote(row_id, safe="")),
            path=row_id,
            filename=(row_id.rpartition("/")[2] or "row") + SUFFIXES[self.options.format],
            version_token=f"{version} {self._columns_hash}" if version else "",
            size_bytes=0,  # not requested: a query might have to compute the text for it
            modified_at=_time_of(version),
            access=self._principals(access) if self.options.access_column else None,
            metadata=metadata,
        )

    def _principals(self, access: Any) -> tuple[str, ...]:
        if access is None:
            return ()  # unknown readers must not become everyone
        values = access.split(",") if isinstance(access, str) else access
        if not isinstance(values, list) or not all(isinstance(it, str | None) for it in values):
            raise SourceUnavailable(
                f"source {self.name}: {self.options.access_column} must be of type text[] or text"
            )
        return tuple(dict.fromkeys(it.strip() for it in values if it and it.strip()))

    def _token(self, entry: SourceEntry, row: _Row) -> str:
        return entry.version_token or f"sha256-{row.content_hash} {self._columns_hash}"

    # Queries

    def _listed_rows(self) -> Iterator[tuple[str | None, str | None, Any, Metadata]]:
        """Yield id, version, access list and metadata of each row."""
        import psycopg

        connection = None
        try:
            connection = self._connect()
            connection.begin(self.options.timeout_seconds)
            are_hidden = self._check_statement(connection)
            types = self._types_of_metadata(connection)
            with connection.cursor("rag_assets_listing") as cursor:
                cursor.execute(self._listing(types))
                while rows := cursor.fetchmany(_ROWS_A_FETCH):
                    for row_id, version, access, *values in rows:
                        yield row_id, version, access, metadata_of(types, values)
            if are_hidden:
                raise SourceUnavailable(
                    f"source {self.name}: row-level security may hide rows from the user, and hidden rows would look deleted. "
                    "Grant BYPASSRLS to the user, or set `row_security` if only visible rows are meant"
                )
        except (psycopg.Error, UnicodeDecodeError) as error:
            raise self._unavailable(error) from None
        finally:
            if connection is not None:
                connection.close()

    def _check_statement(self, connection: "Connection") -> bool:
        """Try the statement for texts, and return whether row-level security may hide rows of it.

        Errors in the columns are better found before thousands of rows are listed.
        """
        from psycopg.errors import InsufficientPrivilege

        statement = self._texts([None], "", "", 0, limit=0)
        if self.options.row_security:
            connection.execute(*statement)
            return False
        # Then a statement under a policy fails, also one through a view. pg_dump does the same.
        connection.execute("SET LOCAL row_security = off")
        try:
            connection.execute(*statement)
        except InsufficientPrivilege:
            connection.rollback()
            connection.begin(self.options.timeout_seconds)
            connection.execute(*statement)  # fails again if another permission is missing
            return True
        return False

    def _types_of_metadata(self, connection: "Connection") -> dict[str, str]:
        """Return column with metadata -> name of its type, or "" for an array and for a type unknown to psycopg."""
        from psycopg import sql

        columns = self.options.metadata_columns
        if not columns:
            return {}
        statement = sql.SQL("SELECT {columns} FROM {rows} LIMIT 0").format(
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)), rows=self._rows()
        )
        found = connection.execute(statement).description or ()
        types: dict[str, str] = {}
        for name, column in zip(columns, found, strict=True):
            known = connection.adapters.types.get(column.type_code)  # also of the elements of an array
            types[name] = known.name if known and known.oid == column.type_code else ""
        return types

    def _fetch(self, entry: SourceEntry, known_token: str) -> _Row:
        """Read a row, and perhaps the next rows, which are kept."""
        import psycopg

        wanted = entry.path
        # Twice as many each time, while rows are requested in order.
        self._rows_ahead = min(2 * self._rows_ahead + 1, _MOST_ROWS_AHEAD) if wanted == self._next_id else 0
        position = self._positions.get(wanted, len(self._ids))
        ids = [wanted, *self._ids[position + 1 : position + 1 + self._rows_ahead]]
        end = position + len(ids)
        self._next_id = self._ids[end] if end < len(self._ids) else ""
        known_hash = ""
        if not entry.version_token and known_token.endswith(f" {self._columns_hash}"):
            known_hash = known_token.partition(" ")[0].removeprefix("sha256-")
        # If this text is probably unchanged, so are the next ones: fetch only their hashes.
        bytes_ahead = 0 if known_hash else _MOST_BYTES_AHEAD
        try:
            rows = self._ask(*self._texts(ids, wanted, known_hash, bytes_ahead))
        except psycopg.DataError as error:
            if len(ids) > 1:
                self._rows_ahead, self._next_id = 0, ""
                return self._fetch(entry, known_token)
            raise DocumentUnreadable(
                "unreadable",
                f"The database cannot compute its text ({type(error).__name__}). Fix the row, or the query.",
            ) from None
        except psycopg.Error as error:
            raise self._unavailable(error) from None
        found = {
            row_id: _Row(size or 0, content_hash or "", data, title or "")
            for row_id, size, content_hash, data, title in rows
        }
        row = found.pop(wanted, None)
        self._ahead = found
        if row is None:
            raise missing_error()
        return row

    def _ask(self, statement: "sql.Composed", parameters: dict[str, Any]) -> list[Any]:
        """Return the rows of a statement, on a persistent connection. A lost connection is opened again."""
        import psycopg

        from rag_assets.sources.postgres_connection import ServerSilent

        kept = self._reader is not None
        try:
            if self._reader is None:
                self._reader = self._connect()
                self._close_reader = weakref.finalize(self, self._reader.close)
            self._reader.begin(self.options.timeout_seconds)
            rows = self._reader.execute(statement, parameters, binary=True).fetchall()
            self._reader.rollback()
        except psycopg.Error as error:
            lost = self._reader is not None and self._reader.broken
            if self._close_reader is not None:
                self._close_reader()
            self._reader = self._close_reader = None
            if kept and lost and not isinstance(error, ServerSilent):
                return self._ask(statement, parameters)
            raise
        return rows

    def _connect(self) -> "Connection":
        try:
            from rag_assets.sources.postgres_connection import connect

            return connect(self.options.dsn.get_secret_value(), self.options.timeout_seconds)
        except (ValueError, ImportError) as error:
            # The message of an ImportError is about a missing libpq.
            raise SourceUnavailable(f"source {self.name}: {error}", lasting=True) from None

    def _unavailable(self, error: Exception) -> SourceUnavailable:
        from rag_assets.sources.postgres_connection import explain, is_lasting

        return SourceUnavailable(
            f"source {self.name}: {explain(error, self.options.dsn.get_secret_value())}.",
            lasting=is_lasting(error),
        )

    # Statements

    def _listing(self, types: Mapping[str, str]) -> "sql.Composed":
        from psycopg import sql

        columns = (
            sql.SQL("{}::text").format(sql.Identifier(self.options.id_column)),
            sql.SQL("{}::text").format(_column_or_null(self.options.updated_at_column)),
            _column_or_null(self.options.access_column),
            *(column_as_json(column, type_name) for column, type_name in types.items()),
        )
        # Ordered, because a listing is compared with the previous one.
        return sql.SQL("SELECT {columns} FROM {rows} ORDER BY {id}").format(
            columns=sql.SQL(", ").join(columns),
            id=sql.Identifier(self.options.id_column),
            rows=self._rows(),
        )

    def _texts(
        self,
        ids: Sequence[str | None],
        wanted: str,
        known_hash: str,
        bytes_ahead: int,
        limit: int | None = None,
    ) -> tuple["sql.Composed", dict[str, Any]]:
        """Return a statement and its parameters for size, hash, text and title of rows.

        Texts above the size limit or with the known hash are not transferred. Ids are compared in their own type, not
        as text, so that the database can use an index.
        """
        from psycopg import sql

        statement = sql.SQL(
            """
            SELECT id, size, hash,
                CASE WHEN size <= CASE WHEN id = %(wanted)s THEN %(max_bytes)s ELSE %(bytes_ahead)s END
                    AND hash <> %(known_hash)s THEN convert_to(body, 'UTF8') END,
                title
            FROM (
                SELECT id, body, size, title,
                    CASE WHEN size <= %(max_bytes)s
                        THEN encode(sha256(convert_to(concat(title, ' ', body), 'UTF8')), 'hex') END AS hash
                FROM (
                    SELECT {id}::text AS id, {text} AS body, octet_length({text}) AS size, {title}::text AS title
                    FROM {rows} WHERE {id} IN ({ids}) LIMIT {limit}
                ) AS found
            ) AS hashed
            """
        ).format(
            id=sql.Identifier(_doubled(self.options.id_column)),
            text=sql.Identifier(_doubled(self.options.text_column)),
            title=_column_or_null(_doubled(self.options.title_column or "") or None),
            rows=self._rows(in_statement_with_parameters=True),
            ids=sql.SQL(", ").join(sql.Placeholder(f"id_{number}") for number in range(len(ids))),
            limit=sql.Literal(limit),
        )
        parameters: dict[str, Any] = {f"id_{number}": row_id for number, row_id in enumerate(ids)}
        limits = {"max_bytes": self.options.max_bytes, "bytes_ahead": bytes_ahead}
        return statement, {**parameters, **limits, "wanted": wanted, "known_hash": known_hash}

    def _rows(self, *, in_statement_with_parameters: bool = False) -> "sql.Composable":
        """Return the table or the query for a FROM clause."""
        from psycopg import sql

        table_or_query = self.options.table or self.options.query or ""
        if in_statement_with_parameters:
            table_or_query = _doubled(table_or_query)
        if self.options.table is not None:
            return sql.Identifier(*table_or_query.split("."))
        query = table_or_query.strip().rstrip(";")
        # SQL on purpose, written by the user. The line break ends a comment in the last line.
        return sql.SQL("({}\n) AS documents").format(sql.SQL(cast(LiteralString, query)))


def _doubled(text: str) -> str:
    """Write `%` as `%%`. In a statement with parameters psycopg reads `%` as a placeholder, even in a name."""
    return text.replace("%", "%%")


def _column_or_null(column: str | None) -> "sql.Composable":
    from psycopg import sql

    return sql.Identifier(column) if column is not None else sql.SQL("NULL")


def _time_of(version: str | None) -> str | None:
    """Return a version as a time, or None for a number or infinity."""
    return iso_utc(version) if version is not None and _DATE.match(version) else None
