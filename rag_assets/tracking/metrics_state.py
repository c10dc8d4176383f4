"""The rows behind one scrape, read in one transaction: a scrape during a delivery shows one state or the other.

Each query reads a few rows along an index, so a scrape costs the same after ten thousand runs. Imports SQLAlchemy.
"""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, select

from rag_assets.tracking.connections import Deadline, engine_for
from rag_assets.tracking.database import MetadataDatabase
from rag_assets.tracking.records import SUCCESSES, Row
from rag_assets.tracking.tables import (
    VERSIONS,
    evaluations,
    knowledge_bases,
    promotions,
    refresh_sources,
    refresh_steps,
    refreshes,
)
from rag_assets.tracking.totals import totals
from rag_assets.tracking.versions import require_known, version_of

_CHANGES_OF_PRODUCTION = ("promotion", "rollback")


class AmbiguousNameError(Exception):
    """Two knowledge bases of this name share the database, and the state folder does not say which is meant."""


@dataclass(slots=True)
class MetricsState:
    """What the tables say about one knowledge base. Rows are None if there is none.

    Attributes:
        totals: series -> total, see `rag_assets.tracking.contributions`.
        is_held: whether a person holds production.
        last_run, last_reading, last_parsing, last_chunking, last_upsert: rows of `rag_refreshes`: the latest run, and the
            latest that read the sources, parsed, cut chunks, wrote points.
        last_success: end of the last successful run.
        durations: run id -> step -> seconds, of these runs.
        served: the latest run that left the generation in production, with its counts.
        served_since: the promotion or rollback to the generation in production.
        candidate, production: rows of `rag_evaluations`: the last measured candidate, and the last measurement of the
            generation in production, as a candidate or as production.
        sources: source -> whether the last reading listed all of it.
    """

    totals: dict[str, float] = field(default_factory=dict[str, float])
    is_held: bool = False
    last_run: Row | None = None
    last_reading: Row | None = None
    last_parsing: Row | None = None
    last_chunking: Row | None = None
    last_upsert: Row | None = None
    last_success: datetime | None = None
    durations: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    served: Row | None = None
    served_since: datetime | None = None
    candidate: Row | None = None
    production: Row | None = None
    sources: dict[str, bool] = field(default_factory=dict[str, bool])


def read_metrics_state(
    place: Path | str, name: str, knowledge_base_id: str | None, deadline: Deadline
) -> MetricsState:
    """Read all rows of one moment. Without tables the state is empty.

    Tables of an earlier version are migrated first: their totals are missing.

    Args:
        name: `RAG_COLLECTION`.
        knowledge_base_id: None if the state folder does not know it. Then the name has to be the only one of the database.

    Raises:
        NewerTablesError: a newer version of the program wrote the tables.
        AmbiguousNameError: see there.
        Exception: of the database or its driver.
    """
    if isinstance(place, Path) and not place.exists():
        return MetricsState()
    engine = engine_for(place, deadline, writes=False)
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    try:
        with engine.begin() as connection:
            version = version_of(connection)
            require_known(version)
            if version is None:
                return MetricsState()
            if version == VERSIONS[-1]:
                return _read(connection, name, knowledge_base_id)
    finally:
        engine.dispose()
    database = MetadataDatabase(place, "", deadline)
    try:
        database.prepare()
    finally:
        database.close()
    return read_metrics_state(place, name, knowledge_base_id, deadline)


def _read(connection: Connection, name: str, knowledge_base_id: str | None) -> MetricsState:
    identity = knowledge_base_id or _identity(connection, name)
    if identity is None:
        return MetricsState()
    table = refreshes
    mine = select(table).where(table.c.knowledge_base == identity).order_by(table.c.ended_at.desc())
    state = MetricsState(
        totals=totals(connection, identity),
        last_run=_first(connection, mine),
        last_reading=_first(connection, mine.where(table.c.num_unchanged.is_not(None))),
        last_parsing=_first(connection, mine.where(table.c.num_parsed > 0)),
        last_chunking=_first(connection, mine.where(table.c.num_chunks > 0, table.c.num_points_added > 0)),
        last_upsert=_first(connection, mine.where(table.c.upsert_seconds > 0)),
    )
    success = _first(connection, mine.where(table.c.outcome.in_(SUCCESSES)))
    state.last_success = success["ended_at"] if success else None
    for row in (state.last_parsing, state.last_chunking):
        if row is not None:
            state.durations[row["run_id"]] = _durations(connection, identity, row["run_id"])
    _read_sources(connection, identity, state)
    _read_production(connection, identity, state)
    return state


def _first(connection: Connection, query: Select[Any]) -> Row | None:
    row = connection.execute(query.limit(1)).mappings().first()
    return None if row is None else {str(key): value for key, value in row.items()}


def _identity(connection: Connection, name: str) -> str | None:
    table = knowledge_bases
    found = connection.execute(select(table.c.knowledge_base).where(table.c.name == name)).scalars().all()
    if len(found) > 1:
        raise AmbiguousNameError(
            f"{len(found)} knowledge bases named {name} share the database: run the exporter with the state folder of the "
            "right one"
        )
    return found[0] if found else None


def _durations(connection: Connection, identity: str, run_id: str) -> dict[str, float]:
    table = refresh_steps
    found = connection.execute(
        select(table.c.step, table.c.duration_seconds).where(
            table.c.knowledge_base == identity,
            table.c.run_id == run_id,
            table.c.duration_seconds.is_not(None),
        )
    )
    return dict(found.tuples().all())


def _read_sources(connection: Connection, identity: str, state: MetricsState) -> None:
    table = refresh_sources
    of_run = (table.c.knowledge_base == refreshes.c.knowledge_base) & (table.c.run_id == refreshes.c.run_id)
    with_sources = (
        select(refreshes.c.run_id)
        .where(refreshes.c.knowledge_base == identity, select(table.c.source).where(of_run).exists())
        .order_by(refreshes.c.ended_at.desc())
        .limit(1)
    )
    run_id = connection.execute(with_sources).scalar()
    rows = select(table.c.source, table.c.is_complete).where(
        table.c.knowledge_base == identity, table.c.run_id == run_id
    )
    state.sources = dict(connection.execute(rows).tuples().all())


def _read_production(connection: Connection, identity: str, state: MetricsState) -> None:
    """Read what concerns the generation in production, and the last candidate."""
    table = knowledge_bases
    known = _first(connection, select(table).where(table.c.knowledge_base == identity))
    state.is_held = known is not None and known["held_since"] is not None
    of_run = (evaluations.c.knowledge_base == refreshes.c.knowledge_base) & (
        evaluations.c.run_id == refreshes.c.run_id
    )
    measured: Select[Any] = (
        select(evaluations)
        .join(refreshes, of_run)
        .where(refreshes.c.knowledge_base == identity, evaluations.c.recall_at_5.is_not(None))
        .order_by(refreshes.c.ended_at.desc())
    )
    state.candidate = _first(connection, measured.where(evaluations.c.subject == "candidate"))
    generation = known["generation"] if known else None
    if generation is None:
        return
    state.production = _first(connection, measured.where(evaluations.c.generation == generation))
    state.served = _first(
        connection,
        select(refreshes)
        .where(refreshes.c.knowledge_base == identity, refreshes.c.production_after == generation)
        .where(refreshes.c.num_points.is_not(None))
        .order_by(refreshes.c.ended_at.desc()),
    )
    changed = _first(
        connection,
        select(promotions)
        .where(promotions.c.knowledge_base == identity, promotions.c.generation_after == generation)
        .where(promotions.c.kind.in_(_CHANGES_OF_PRODUCTION))
        .order_by(promotions.c.decided_at.desc()),
    )
    state.served_since = changed["decided_at"] if changed else None
