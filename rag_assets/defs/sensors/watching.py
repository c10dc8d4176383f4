"""Refreshes when something changed at a source; each starts stopped.

A tick costs a listing at most, and asks for no run that would find nothing to do.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import dagster as dg

from rag_assets.defs.jobs import refresh
from rag_assets.defs.schedules import reason_to_skip
from rag_assets.errors import RagAssetsError
from rag_assets.ingestion.listings import hash_listings, served_listings
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.sources.base import CheapToWatch, Source
from rag_assets.sources.s3_events import event_queues

_ASK_AGAIN_AFTER_SECONDS = 6 * 3600
_LISTING_SECONDS = 30.0  # Dagster gives a tick 60


@dataclass(frozen=True, slots=True)
class Changes:
    """What sources list and production does not serve.

    Attributes:
        run_key: of these changes; "" if there are none.
        problems: source -> why it could not be listed.
    """

    run_key: str
    problems: dict[str, str]


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What the last tick that asked for a refresh because of events left to the next ones.

    Attributes:
        receipts: URL of a queue -> receipts of the messages to delete there.
        asked: source -> period in which a refresh was last asked for because of it.
    """

    receipts: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    asked: dict[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def from_cursor(cls, cursor: str | None) -> "HandedOver":
        try:
            return cls(**json.loads(cursor or "{}"))
        except (ValueError, TypeError):
            return cls()  # of another version, or edited: messages that were not deleted come again

    def to_cursor(self) -> str:
        return json.dumps(asdict(self))


@dg.sensor(
    job=refresh,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Refreshes when a document in a folder appeared, changed or went away since the last reading.",
)
def refresh_on_changed_documents(
    knowledge_base: dg.ResourceParam[KnowledgeBase],
) -> dg.RunRequest | dg.SkipReason:
    return _refresh_if_listed_anew(knowledge_base, "folder")


@dg.sensor(
    job=refresh,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Refreshes when an object in an S3 bucket appeared, changed or went away since the last reading.",
)
def refresh_on_new_objects(knowledge_base: dg.ResourceParam[KnowledgeBase]) -> dg.RunRequest | dg.SkipReason:
    return _refresh_if_listed_anew(knowledge_base, "bucket")


@dg.sensor(
    job=refresh,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Refreshes when S3 announces in an SQS queue that an object appeared, changed or went away.",
)
def refresh_on_object_events(
    context: dg.SensorEvaluationContext, knowledge_base: dg.ResourceParam[KnowledgeBase]
) -> dg.SensorResult | dg.SkipReason:
    try:
        return _refresh_if_announced(knowledge_base, HandedOver.from_cursor(context.cursor))
    except RagAssetsError as error:
        return dg.SkipReason(str(error))


def _refresh_if_listed_anew(knowledge_base: KnowledgeBase, watched_as: str) -> dg.RunRequest | dg.SkipReason:
    """Ask for a refresh if production does not serve what these sources list."""
    try:
        sources = [
            source
            for source in knowledge_base.sources()
            if isinstance(source, CheapToWatch) and source.watched_as == watched_as
        ]
        if not sources:
            return dg.SkipReason(f"no source is a {watched_as}")
        reason = _reason_to_wait(knowledge_base)
        if reason:
            return dg.SkipReason(reason)
        changes = _compare(knowledge_base, sources)
    except RagAssetsError as error:
        return dg.SkipReason(str(error))
    if changes.run_key:
        return dg.RunRequest(run_key=changes.run_key)
    return dg.SkipReason("; ".join(changes.problems.values()) or "production serves what is listed")


def _refresh_if_announced(knowledge_base: KnowledgeBase, handed_over: HandedOver) -> dg.SensorResult:
    """Ask for a refresh if an event announces what production does not serve yet.

    A message is deleted when production serves what it announced, or by the tick after the one that asked: Dagster
    keeps the cursor together with the request, so a message whose request was lost comes again by itself.
    """
    sources = knowledge_base.sources()
    queues = event_queues(sources)
    if not queues:
        return dg.SensorResult(skip_reason="no source has a queue_url")
    for queue in queues:
        queue.delete(handed_over.receipts.get(queue.url, ()))
    asked = handed_over.asked
    period = _period()

    def skip(reason: str) -> dg.SensorResult:
        return dg.SensorResult(skip_reason=reason, cursor=HandedOver({}, asked).to_cursor())

    reason = _reason_to_wait(knowledge_base)
    if reason:
        return skip(reason)
    received = {queue: queue.receive() for queue in queues}
    for queue, messages in received.items():
        queue.delete(messages.moot)
    # What was asked for long ago may have been refused then.
    changed = {name for name, asked_at in asked.items() if asked_at != period}.union(
        *(messages.sources for messages in received.values())
    )
    num_foreign = sum(messages.num_foreign for messages in received.values())
    foreign = f"; {num_foreign} messages are no events of these buckets: use a queue for nothing else"
    aside = foreign if num_foreign else ""
    if not changed:
        return skip(f"no event announces a document{aside}")
    changes = _compare(knowledge_base, [source for source in sources if source.name in changed])
    if changes.problems:
        return skip("; ".join(changes.problems.values()) + aside)  # the messages come again
    if not changes.run_key:
        for queue, messages in received.items():
            queue.delete(messages.receipts)
        asked = {name: asked_at for name, asked_at in asked.items() if name not in changed}
        return skip(f"production serves what is listed{aside}")
    asked = asked | dict.fromkeys(changed, period)
    receipts = {queue.url: messages.receipts for queue, messages in received.items() if messages.receipts}
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=changes.run_key)],
        cursor=HandedOver(receipts, asked).to_cursor(),
    )


def _reason_to_wait(knowledge_base: KnowledgeBase) -> str | None:
    reason = reason_to_skip(knowledge_base)
    if reason:
        return reason
    state = knowledge_base.vector_store.production_state()
    if state.held is not None:
        return f"production is held at {state.production} until `rag-assets resume`"
    return None


def _compare(knowledge_base: KnowledgeBase, sources: Sequence[Source]) -> Changes:
    """Compare what sources list with what production serves of them."""
    hashes, problems = hash_listings(sources, _LISTING_SECONDS, knowledge_base.media_models().reads)
    production = knowledge_base.vector_store.production_state().production
    served = served_listings(knowledge_base.artifacts, production)
    changed = {name: listed for name, listed in hashes.items() if served.get(name) != listed}
    if not changed:
        return Changes("", problems)
    # A change asks once, and again only after hours: what refused it, or was down, may have been mended by then.
    listed = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()
    return Changes(f"{production}-{listed}-{_period()}", problems)


def _period() -> int:
    return int(time.time() // _ASK_AGAIN_AFTER_SECONDS)
