"""The one sensor of messages in Slack. It also ends the runs whose process died, and sends late runs to MLflow.

It runs by default, once a minute.

Its cursor has the time of its first tick, and the time until when ended runs were seen. The rules are in `rag_assets.alerts.rules`, and the open incidents in a
file of the state folder, which `rag-assets refresh` shares.
"""

import json
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

import dagster as dg

from rag_assets.alerts.book import Book
from rag_assets.alerts.book_file import BusyError
from rag_assets.alerts.run_facts import Situation
from rag_assets.alerts.settings_for_alerts import settings_for_alerts
from rag_assets.alerts.teller import Teller
from rag_assets.defs.hidden_secrets import secrets_hidden
from rag_assets.defs.mlflow.reports import report_address
from rag_assets.defs.runs.dead_runs import clean_up_after_deaths, end_dead_runs
from rag_assets.defs.runs.facts import facts_of, is_ours
from rag_assets.defs.runs.held_production import keep_fresh_while_held
from rag_assets.defs.sensors.triggers import triggers_in
from rag_assets.errors import ConfigurationError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.settings import load_settings
from rag_assets.text.wording import counted
from rag_assets.tracking.observer import Observer

_OVERLAP_SECONDS = 3600.0
"""Runs ended so long before the cursor are looked at again: clocks differ, and an event may be written late."""
_MOST_SECONDS = 86_400.0
"""After a longer pause of the daemon, only the runs of so much time are reported."""
_MOST_RUNS = 200
_RESOURCE = "knowledge_base"
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
def slack_alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    with _knowledge_base(context) as (knowledge_base, is_whole):
        tick = _Tick(context, knowledge_base, is_whole, time.monotonic() + _TICK_SECONDS)
        try:
            with tick.teller.book_file.locked(tick.deadline) as book:
                cursor, said = tick.work(book)
        except BusyError:
            return dg.SensorResult(skip_reason="another process delivers messages at the moment")
    if "dead run" in said or "message" in said:
        context.log.info("%s", said)
    return dg.SensorResult(skip_reason=said, cursor=json.dumps(asdict(cursor)))


@contextmanager
def _knowledge_base(context: dg.SensorEvaluationContext) -> Generator[tuple[KnowledgeBase, bool]]:
    """Yield the resource, or with a malformed setting what is left of it for messages, and whether it is whole.

    It is built here: as a parameter it would fail the tick, and no one would learn of the setting.
    """
    try:
        load_settings()
    except ConfigurationError:
        knowledge_base = KnowledgeBase(settings_for_alerts())
        try:
            yield knowledge_base, False
        finally:
            knowledge_base.close()
        return
    given = context.resource_defs or {}
    if context.repository_def is not None:
        given = {**context.repository_def.get_top_level_resources(), **given}
    with dg.build_resources({_RESOURCE: given[_RESOURCE]}, instance=context.instance) as resources:
        yield getattr(resources, _RESOURCE), True


@dataclass(frozen=True)
class _Tick:
    """One tick of the sensor.

    Attributes:
        is_whole: whether every setting is well-formed. If not, ledger and vector store may be others than meant.
        deadline: by the monotonic clock.
    """

    context: dg.SensorEvaluationContext
    knowledge_base: KnowledgeBase
    is_whole: bool
    deadline: float

    @cached_property
    def teller(self) -> Teller:
        return Teller(self.knowledge_base)

    def work(self, book: Book) -> tuple[Cursor, str]:
        """Return the new cursor, and what was done in words."""
        instance, now = self.context.instance, time.time()
        died: list[str] = []
        if self.is_whole:
            keep_fresh_while_held(instance, self.knowledge_base)
            died = end_dead_runs(instance, self.knowledge_base, book)
            Observer(self.knowledge_base, report_address(instance, "")).send_late()
        cursor = _cursor(self.context.cursor)
        if cursor is None:
            # The first tick, or a lost cursor. What happened before is not reported again.
            cursor = Cursor(now, now)
            said = f"watches the runs that end after {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        else:
            cursor, said = self._tell(book, cursor, now)
        if died:
            said = f"marked {counted(len(died), 'dead run')} as failed; {said}"
        return cursor, said

    def _tell(self, book: Book, cursor: Cursor, now: float) -> tuple[Cursor, str]:
        instance = self.context.instance
        ended = list(_ended_since(instance, cursor, now))
        if self.is_whole:
            clean_up_after_deaths(instance, self.knowledge_base, ended)
        if not self.teller.is_on:
            return replace(cursor, seen_until=now), "SLACK_WEBHOOK_URL is not set"
        records = [
            one for one in ended if not book.knows(one.dagster_run.run_id, is_success=_is_success(one))
        ]
        ours = [one for one in records[:_MOST_RUNS] if is_ours(instance, one.dagster_run)]
        origin = self.context.code_location_origin
        report = self.teller.tell_in(
            book,
            [facts_of(instance, one) for one in ours],
            self.deadline,
            triggers_in(instance, origin.location_name if origin else None, cursor.begun_at),
            None if self.is_whole else Situation("unknown, a setting is malformed"),
        )
        if len(records) <= _MOST_RUNS:
            cursor = replace(cursor, seen_until=now)
        # Otherwise the next tick looks at the others: the book knows these.
        return cursor, str(report) or "nothing new"


def _is_success(record: dg.RunRecord) -> bool:
    return record.dagster_run.status is dg.DagsterRunStatus.SUCCESS


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
