"""Sensors starting a refresh after a change in a source. All are stopped by default: see `RAG_AUTO_REFRESH`.

A tick costs at most one listing, and never requests a run without work to do.
"""

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import dagster as dg

from rag_assets.artifacts.decisions import DecisionLog
from rag_assets.defs.hidden_secrets import secrets_hidden
from rag_assets.defs.jobs import REFRESH_JOB, refresh
from rag_assets.defs.run_tags import OUTCOME_TAG
from rag_assets.defs.schedules import reason_to_skip
from rag_assets.errors import RagAssetsError
from rag_assets.ingestion.listings import hash_listings, served_listings
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.outcome import Outcome
from rag_assets.settings import Settings
from rag_assets.sources.base import CheapToWatch, Source
from rag_assets.sources.s3_events import event_queues
from rag_assets.text.wording import counted
from rag_assets.tracking.records import DIED

_ASK_AGAIN_AFTER_SECONDS = 6 * 3600
_FIRST_WAIT_SECONDS = 300.0
"""After one failed refresh. It doubles with each further one, up to six hours."""
_MOST_FAILURES = 8
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_LISTING_SECONDS = 30.0  # Dagster gives a tick 60
_MOST_DECISIONS = 50
_UP_TO_DATE = "production is up to date with the listed documents"


@dataclass(frozen=True, slots=True)
class Changes:
    """Differences between the listings of sources and production.

    Attributes:
        run_key: identifies these changes, empty without changes.
        problems: source -> reason for a failed listing.
    """

    run_key: str
    problems: dict[str, str]


@dataclass(frozen=True, slots=True)
class HandedOver:
    """State passed from one tick of the event sensor to the next, in Dagster's cursor.

    Attributes:
        receipts: URL of a queue -> receipts of the messages to delete there.
        asked: source -> turn of its last requested refresh. See `_turn`.
    """

    receipts: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    asked: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def from_cursor(cls, cursor: str | None) -> "HandedOver":
        try:
            return cls(**json.loads(cursor or "{}"))
        except (ValueError, TypeError):
            return cls()  # from another version, or edited by hand: undeleted messages arrive again

    def to_cursor(self) -> str:
        return json.dumps(asdict(self))


def watching_sensors(settings: Settings) -> dict[str, tuple[dg.SensorDefinition, ...]]:
    """Return the sensors by what they watch."""
    status = dg.DefaultSensorStatus.RUNNING if settings.auto_refresh else dg.DefaultSensorStatus.STOPPED

    def sensor(evaluate: Callable[..., Any], interval_seconds: int, description: str) -> dg.SensorDefinition:
        return dg.sensor(
            job=refresh,
            minimum_interval_seconds=interval_seconds,
            default_status=status,
            description=description,
        )(evaluate)

    return {
        "folder": (
            sensor(
                refresh_on_changed_documents,
                30,
                "Starts a refresh after a document in a folder is added, changed or deleted.",
            ),
        ),
        "bucket": (
            sensor(
                refresh_on_new_objects,
                60,
                "Starts a refresh after an object in an S3 bucket is added, changed or deleted. Lists the bucket.",
            ),
            sensor(
                refresh_on_object_events,
                30,
                "Starts a refresh after S3 reports a new, changed or deleted object in an SQS queue.",
            ),
        ),
    }


@secrets_hidden()
def refresh_on_changed_documents(
    context: dg.SensorEvaluationContext,
    knowledge_base: dg.ResourceParam[KnowledgeBase],
) -> dg.RunRequest | dg.SkipReason:
    return _refresh_if_listing_changed(context.instance, knowledge_base, "folder")


@secrets_hidden()
def refresh_on_new_objects(
    context: dg.SensorEvaluationContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> dg.RunRequest | dg.SkipReason:
    return _refresh_if_listing_changed(context.instance, knowledge_base, "bucket")


@secrets_hidden()
def refresh_on_object_events(
    context: dg.SensorEvaluationContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> dg.SensorResult | dg.SkipReason:
    try:
        return _refresh_if_announced(context.instance, knowledge_base, HandedOver.from_cursor(context.cursor))
    except RagAssetsError as error:
        return dg.SkipReason(str(error))


def _refresh_if_listing_changed(
    instance: dg.DagsterInstance, knowledge_base: KnowledgeBase, watched_as: str
) -> dg.RunRequest | dg.SkipReason:
    """Request a refresh if the listings of these sources differ from production."""
    try:
        sources = [
            source
            for source in knowledge_base.sources()
            if isinstance(source, CheapToWatch) and source.watched_as == watched_as
        ]
        if not sources:
            return dg.SkipReason(f"no configured source is a {watched_as}")
        reason = reason_to_skip(knowledge_base)
        if reason:
            return dg.SkipReason(reason)
        changes = _compare(knowledge_base, sources, _turn(instance))
    except RagAssetsError as error:
        return dg.SkipReason(str(error))
    if changes.run_key:
        return dg.RunRequest(run_key=changes.run_key)
    return dg.SkipReason("; ".join(changes.problems.values()) or _UP_TO_DATE)


def _refresh_if_announced(
    instance: dg.DagsterInstance, knowledge_base: KnowledgeBase, handed_over: HandedOver
) -> dg.SensorResult:
    """Request a refresh if an event reports a change missing in production.

    A message is deleted once production includes its change, or by the tick after the request. Dagster stores the cursor
    together with the request, so after a lost request the messages arrive again by themselves.
    """
    sources = knowledge_base.sources()
    queues = event_queues(sources)
    if not queues:
        return dg.SensorResult(skip_reason="no configured source has a queue_url")
    for queue in queues:
        queue.delete(handed_over.receipts.get(queue.url, ()))
    asked = handed_over.asked
    turn = _turn(instance)

    def skip(reason: str) -> dg.SensorResult:
        return dg.SensorResult(skip_reason=reason, cursor=HandedOver({}, asked).to_cursor())

    reason = reason_to_skip(knowledge_base)
    if reason:
        return skip(reason)
    received = {queue: queue.receive() for queue in queues}
    for queue, messages in received.items():
        queue.delete(messages.moot)
    # A refresh requested long ago may have been refused.
    changed = {name for name, asked_at in asked.items() if asked_at != turn}.union(
        *(messages.sources for messages in received.values())
    )
    num_foreign = sum(messages.num_foreign for messages in received.values())
    aside = ""
    if num_foreign:
        foreign = counted(num_foreign, "foreign message")
        aside = f"; ignored {foreign}: reserve the queue for events of these buckets"
    if not changed:
        return skip(f"no new event about a document{aside}")
    changes = _compare(knowledge_base, [source for source in sources if source.name in changed], turn)
    if changes.problems:
        return skip("; ".join(changes.problems.values()) + aside)  # the messages arrive again
    if not changes.run_key:
        for queue, messages in received.items():
            queue.delete(messages.receipts)
        asked = {name: asked_at for name, asked_at in asked.items() if name not in changed}
        return skip(_UP_TO_DATE + aside)
    asked = asked | dict.fromkeys(changed, turn)
    receipts = {queue.url: messages.receipts for queue, messages in received.items() if messages.receipts}
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=changes.run_key)],
        cursor=HandedOver(receipts, asked).to_cursor(),
    )


def _compare(knowledge_base: KnowledgeBase, sources: Sequence[Source], turn: str) -> Changes:
    """Compare the listings of sources with their documents in production."""
    hashes, problems = hash_listings(sources, _LISTING_SECONDS, knowledge_base.media_models().reads)
    production = knowledge_base.vector_store.production_state().production
    served = served_listings(knowledge_base.artifacts, production)
    changed = {name: listed for name, listed in hashes.items() if served.get(name) != listed}
    if not changed:
        return Changes("", problems)
    # A change requests one refresh a turn.
    listed = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()
    # After a rollback the same files differ from the same production again, and Dagster ignores a key seen before.
    last = DecisionLog(knowledge_base.failures.folder).last(_MOST_DECISIONS)
    resumed = next((f"-{one.at}" for one in last if one.decision == "resume"), "")
    return Changes(f"{production}-{listed}-{turn}{resumed}", problems)


def _turn(instance: dg.DagsterInstance) -> str:
    """Return a name for the present time, new after six hours, and some minutes after a failed refresh.

    The minutes double with each failure in a row. A verdict or a refusal is no such failure: the same refresh would end the same.
    """
    filters = dg.RunsFilter(job_name=REFRESH_JOB, statuses=_ENDED)
    records = instance.get_run_records(filters, limit=_MOST_FAILURES)
    failed = list(itertools.takewhile(_failed, records))
    if not failed:
        return str(_period())
    wait_seconds = min(_FIRST_WAIT_SECONDS * 2 ** (len(failed) - 1), _ASK_AGAIN_AFTER_SECONDS)
    is_over = time.time() - (failed[0].end_time or 0) >= wait_seconds
    return f"{_period()}-after-{failed[0].dagster_run.run_id[:8]}" if is_over else str(_period())


def _failed(record: dg.RunRecord) -> bool:
    run = record.dagster_run
    outcome = run.tags.get(OUTCOME_TAG, Outcome.FAILED)  # without a tag it died, or never began
    return run.status is dg.DagsterRunStatus.FAILURE and outcome in (Outcome.FAILED, DIED)


def _period() -> int:
    return int(time.time() // _ASK_AGAIN_AFTER_SECONDS)


WATCHING = (
    refresh_on_changed_documents.__name__,
    refresh_on_new_objects.__name__,
    refresh_on_object_events.__name__,
)
"""Names of the sensors."""
