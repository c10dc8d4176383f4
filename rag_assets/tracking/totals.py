"""The totals of the metrics in the tables: every run and every decision counts once, in the transaction of its record.

Totals only grow: they outlive deleted rows, and a later record of the same run adds the difference only. Imports SQLAlchemy.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, MetaData, Table, inspect, select
from sqlalchemy.dialects import postgresql, sqlite

from rag_assets.tracking.contributions import contributions
from rag_assets.tracking.records import Row, Rows
from rag_assets.tracking.tables import metric_totals


def growth(rows: Rows, counted: Mapping[str, float] | None) -> tuple[dict[str, float], dict[str, float]]:
    """Return what a record of a run still adds to the totals, and what is counted of the run afterwards.

    Args:
        counted: of an earlier record of the same run, None for none.
    """
    before, now = counted or {}, contributions(rows)
    after = {key: max(now.get(key, 0.0), before.get(key, 0.0)) for key in sorted(now.keys() | before.keys())}
    return {key: value - before.get(key, 0.0) for key, value in after.items()}, after


def add_to_totals(connection: Connection, knowledge_base: str, added: Mapping[str, float]) -> None:
    rows = [
        {"knowledge_base": knowledge_base, "series": key, "total": value}
        for key, value in sorted(
            added.items()
        )  # in one order: two processes never wait for each other in a circle
        if value > 0
    ]
    if not rows:
        return
    statement = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(metric_totals)
    raised = {"total": metric_totals.c.total + statement.excluded.total}
    key = [metric_totals.c.knowledge_base, metric_totals.c.series]
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=raised), rows)


def totals(connection: Connection, knowledge_base: str) -> dict[str, float]:
    """Return series -> its total."""
    mine = select(metric_totals.c.series, metric_totals.c.total).where(
        metric_totals.c.knowledge_base == knowledge_base
    )
    return dict(connection.execute(mine).tuples().all())


def totals_of_rows(connection: Connection) -> dict[str, dict[str, float]]:
    """Return knowledge base -> series -> total of the rows there are, for tables without totals.

    Reads the columns there are: a migration calls it before later ones exist.
    """
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name in ("rag_refreshes", "rag_costs", "rag_promotions"):
        if not inspect(connection).has_table(name):
            continue
        table = Table(name, MetaData(), autoload_with=connection)
        for row in connection.execute(select(table), execution_options={"yield_per": 1000}).mappings():
            plain: Row = {str(key): value for key, value in row.items()}
            found[plain["knowledge_base"]].update(contributions({name: [plain]}))
    return {knowledge_base: dict(counts) for knowledge_base, counts in found.items()}


def raise_totals(connection: Connection, knowledge_base: str, to: Mapping[str, Any]) -> None:
    """Raise the totals to these values, where they are lower."""
    before = totals(connection, knowledge_base)
    add_to_totals(
        connection, knowledge_base, {key: value - before.get(key, 0.0) for key, value in to.items()}
    )
