"""The tables of documents and chunks: brought to the generation in production, by writing the difference only.

The rows in the database are compared with the documents of the generation, so missed changes
and rollbacks make no difference. A small difference is one transaction: readers see one generation or the other. A
large one is written in parts, marked as incomplete, and goes on with the next refresh if the time is used up. Imports SQLAlchemy.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import Connection, delete, select

from rag_assets.backports import batched
from rag_assets.fingerprint import name_hash
from rag_assets.records import DocumentState
from rag_assets.tracking.database import MetadataDatabase
from rag_assets.tracking.records import Row, now, storable
from rag_assets.tracking.tables import chunks, documents, knowledge_bases

_PART = 2000
"""Documents or contents in one transaction of a large difference."""
_SMALL = 4000
"""Up to so many documents and contents, a difference is written in one transaction."""
_KEYS = 500

ChunkRows = Callable[[Sequence[str]], Iterable[Row]]
"""Returns the rows of the chunks of some contents."""


@dataclass(frozen=True, slots=True)
class Served:
    """The contents of production.

    Attributes:
        generation: None if nothing is in production.
        documents: returns the documents of the generation. Called only if it is not the one in the tables.
        chunk_rows: takes all contents of the calls to come, and returns a `ChunkRows`. Of this generation.
    """

    name: str
    generation: str | None
    index_fingerprint: str
    embedding_model: str
    hold: tuple[str, str, str] | None
    documents: Callable[[], list[DocumentState]]
    chunk_rows: Callable[[Sequence[str]], ChunkRows]


@dataclass(slots=True)
class _Difference:
    """Ids and contents to remove, and those to write in their place."""

    gone: list[str]
    rows: list[Row]
    gone_contents: list[str]
    new_contents: list[str]

    @property
    def size(self) -> int:
        return len(self.gone) + len(self.rows) + len(self.gone_contents) + len(self.new_contents)


def bring_to_production(database: MetadataDatabase, served: Served) -> None:
    """Write the differences from production.

    Raises:
        OutOfTime: a part is left for the next time.
    """
    with database.transaction() as connection:
        state = _state(database, connection)
        if state is not None and state["is_complete"] and state["generation"] == served.generation:
            _put_state(database, connection, served, is_complete=True)
            return
    # Not within the transaction: the documents of a forgotten generation are read from its points.
    target = served.documents() if served.generation is not None else []
    with database.transaction() as connection:
        difference = _difference(database, connection, served, target)
        chunk_rows = served.chunk_rows(difference.new_contents)
        is_small = difference.size <= _SMALL
        if is_small:
            _write(database, connection, served, difference, chunk_rows)
        _put_state(database, connection, served, is_complete=is_small)
    if not is_small:
        for part in _parts(difference):
            database.deadline.left_seconds()
            with database.transaction() as connection:
                _write(database, connection, served, part, chunk_rows)
        with database.transaction() as connection:
            _put_state(database, connection, served, is_complete=True)


def _state(database: MetadataDatabase, connection: Connection) -> Any:
    mine = select(knowledge_bases).where(knowledge_bases.c.knowledge_base == database.knowledge_base)
    return connection.execute(mine).mappings().first()


def _put_state(
    database: MetadataDatabase, connection: Connection, served: Served, *, is_complete: bool
) -> None:
    since, by, reason = served.hold or (None, None, None)
    connection.execute(
        delete(knowledge_bases).where(knowledge_bases.c.knowledge_base == database.knowledge_base)
    )
    row = {
        "name": served.name,
        "generation": served.generation,
        "index_fingerprint": served.index_fingerprint,
        "embedding_model": served.embedding_model,
        "is_complete": is_complete,
        "held_since": since,
        "held_by": by,
        "hold_reason": reason,
        "written_at": now(),
    }
    database.insert(connection, knowledge_bases, [row])


def _difference(
    database: MetadataDatabase, connection: Connection, served: Served, target: Iterable[DocumentState]
) -> _Difference:
    forgotten = database.forgotten(connection)
    rows = [_row(state) for state in target if state.content_hash is not None]
    if forgotten:
        rows = [row for row in rows if name_hash(row["document_id"]) not in forgotten]
    found = select(documents.c.document_id, documents.c.row_hash)
    known = dict(
        connection.execute(found.where(documents.c.knowledge_base == database.knowledge_base)).tuples().all()
    )
    ids = {row["document_id"] for row in rows}
    contents = {row["content_hash"] for row in rows}
    mine = chunks.c.knowledge_base == database.knowledge_base
    stored = select(chunks.c.content_hash, chunks.c.index_fingerprint).where(mine).distinct()
    # Chunks of another index are other chunks.
    there, outdated = set[str](), set[str]()
    for content_hash, fingerprint in connection.execute(stored):
        (there if fingerprint == served.index_fingerprint else outdated).add(content_hash)
    return _Difference(
        gone=[document_id for document_id in known if document_id not in ids],
        rows=[row for row in rows if known.get(row["document_id"]) != row["row_hash"]],
        gone_contents=sorted((there | outdated) - contents),
        new_contents=sorted(contents - there),
    )


def _parts(difference: _Difference) -> Iterable[_Difference]:
    for gone in batched(difference.gone, _PART):
        yield _Difference(list(gone), [], [], [])
    for gone in batched(difference.gone_contents, _PART):
        yield _Difference([], [], list(gone), [])
    for rows in batched(difference.rows, _PART):
        yield _Difference([], list(rows), [], [])
    for new in batched(difference.new_contents, _PART):
        yield _Difference([], [], [], list(new))


def _write(
    database: MetadataDatabase,
    connection: Connection,
    served: Served,
    difference: _Difference,
    chunk_rows: ChunkRows,
) -> None:
    mine = documents.c.knowledge_base == database.knowledge_base
    replaced = chain(difference.gone, (row["document_id"] for row in difference.rows))
    for ids in batched(replaced, _KEYS):
        connection.execute(delete(documents).where(mine, documents.c.document_id.in_(ids)))
    written_at = now()
    database.insert(connection, documents, (row | {"written_at": written_at} for row in difference.rows))
    mine = chunks.c.knowledge_base == database.knowledge_base
    for contents in batched(chain(difference.gone_contents, difference.new_contents), _KEYS):
        connection.execute(delete(chunks).where(mine, chunks.c.content_hash.in_(contents)))
    for contents in batched(difference.new_contents, _PART):
        fingerprint = {"index_fingerprint": served.index_fingerprint}
        database.insert(connection, chunks, (row | fingerprint for row in chunk_rows(contents)))


def _row(state: DocumentState) -> Row:
    place = state.location
    row: Row = {
        "document_id": storable(place.document_id),
        "source": place.source,
        "source_uri": place.source_uri,
        "path": place.path,
        "filename": place.filename,
        "modified_at": _time(place.modified_at),
        "content_hash": state.content_hash,
    }
    row["row_hash"] = hashlib.sha256(json.dumps(list(row.values())).encode()).hexdigest()[:16]
    return row


def _time(text: str | None) -> str | None:
    """Return a time, or None if it is none: some sources pass on any text."""
    with suppress(ValueError):
        return datetime.fromisoformat(text).isoformat() if text else None
    return None
