"""The one sensor of messages in Slack. It also ends the runs whose process died, and sends late runs to MLflow.

It runs by default, once a minute.

Its cursor has the time of its first tick, and the time until when ended runs were seen. The rules are in `rag_assets.alerts.rules`, and the open incidents in a
file of the state folder, which `rag-assets refresh` shares.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import dagster as dg

from rag_assets.alerts.book import Book
from rag_assets.alerts.book_file import BusyError
from rag_assets.alerts.teller import Teller
from rag_assets.defs.hidden_secrets import secrets_hidden
from rag_assets.defs.mlflow.reports import report_address
from rag_assets.defs.runs.dead_runs import end_dead_runs
from rag_assets.defs.runs.facts import facts_of, is_ours
from rag_assets.defs.runs.held_production import keep_fresh_while_held
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.text.wording import counted
from rag_assets.tracking.observer import Observer

_OVERLAP_SECONDS = 3600.0
"""Runs ended so long before the cursor are looked at again: clocks differ, and an event may be written late."""
_MOST_SECONDS = 86_400.0
"""After a longer pause of the daemon, only the runs of so much time are reported."""
_MOST_RUNS = 200
_TICK_SECONDS = 40.0  # Dagster gives a tick 60
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Times in seconds since the epoch.

    Attributes:
        begun_at: of the first tick. Runs that ended before are never reported.
        seen_until: of the last tick.
    """

    begun_at: float
    seen_until: float


@dg.sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=60,
    description="Tells Slack about refreshes: each failure once, its end, a daily reminder, and a summary of each live generation. "
    "Needs SLACK_WEBHOOK_URL. Marks runs as failed if their process died, with or without Slack. See docs/alerts.md.",
)
@secrets_hidden()
def slack_alerts(
    context: dg.SensorEvaluationContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> dg.SensorResult:
    teller, deadline = Teller(knowledge_base), time.monotonic() + _TICK_SECONDS
    try:
        with teller.book_file.locked(deadline) as book:
            keep_fresh_while_held(context.instance, knowledge_base)
            died = end_dead_runs(context.instance, knowledge_base, book)
            Observer(knowledge_base, report_address(context.instance, "")).send_late()
            cursor, said = _tell(context.instance, _cursor(context.cursor), teller, book, deadline)
    except BusyError:
        return dg.SensorResult(skip_reason="another process delivers messages at the moment")
    if died:
        said = f"marked {counted(len(died), 'dead run')} as failed; {said}"
    if died or "message" in said:
        context.log.info("%s", said)
    return dg.SensorResult(skip_reason=said, cursor=json.dumps(asdict(cursor)))


def _tell(
    instance: dg.DagsterInstance, cursor: Cursor | None, teller: Teller, book: Book, deadline: float
) -> tuple[Cursor, str]:
    """Return the new cursor, and what was done in words."""
    now = time.time()
    if cursor is None:
        # The first tick, or a lost cursor. What happened before is not reported again.
        return Cursor(now, now), f"watches the runs that end after {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    if not teller.is_on:
        return replace(cursor, seen_until=now), "SLACK_WEBHOOK_URL is not set"
    ended = _ended_since(instance, cursor, now)
    records = [one for one in ended if one.dagster_run.run_id not in book.runs]
    ours = [one for one in records[:_MOST_RUNS] if is_ours(instance, one.dagster_run)]
    report = teller.tell_in(book, [facts_of(instance, one) for one in ours], deadline)
    if len(records) <= _MOST_RUNS:
        cursor = replace(cursor, seen_until=now)
    # Otherwise the next tick looks at the others: the book knows these.
    return cursor, str(report) or "nothing new"


def _ended_since(instance: dg.DagsterInstance, cursor: Cursor, now: float) -> Iterable[dg.RunRecord]:
    """Yield the runs that ended after the cursor, the oldest first. A new tag on an old run is no end."""
    since = max(min(cursor.seen_until, now) - _OVERLAP_SECONDS, now - _MOST_SECONDS, cursor.begun_at)
    filters = dg.RunsFilter(statuses=_ENDED, updated_after=datetime.fromtimestamp(since, UTC))
    for record in instance.get_run_records(filters, order_by="update_timestamp", ascending=True):
        if record.end_time is None or record.end_time >= since:
            yield record


def _cursor(stored: str | None) -> Cursor | None:
    try:
        return Cursor(**json.loads(stored or ""))
    except (ValueError, TypeError):
        return None  # the first tick, or a cursor from another version, or edited by hand
