"""Event notifications of buckets in SQS queues: names of the sources with news.

An event is only a hint, never the truth about a document: events come late, twice, or out of order. A message stays in
its queue until it is deleted. Otherwise it comes back by itself.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from rag_assets.aws.client import build_client
from rag_assets.aws.errors import READING_A_QUEUE, aws_errors, in_words
from rag_assets.backports import batched
from rag_assets.errors import SourceUnavailable
from rag_assets.sources.base import Source
from rag_assets.sources.s3 import S3Options, S3Source

_BATCH = 10  # maximum of SQS per request
_MOST_MESSAGES = 100
_WAIT_SECONDS = 1  # with no wait at all, SQS asks only some of its servers
_HIDDEN_SECONDS = 300
"""A received message is hidden for this time, longer than until the next look."""


@dataclass(slots=True)
class Received:
    """Messages found in a queue.

    Attributes:
        sources: names of the sources with news.
        receipts: receipts of the messages with news.
        moot: receipts of messages without news: test events, and objects other than documents.
        num_foreign: number of unknown messages. They stay in the queue.
    """

    sources: set[str] = field(default_factory=set[str])
    receipts: list[str] = field(default_factory=list[str])
    moot: list[str] = field(default_factory=list[str])
    num_foreign: int = 0


class EventQueue:
    """One queue, and its sources."""

    def __init__(self, url: str, sources: Sequence[S3Source]) -> None:
        self.url = url
        self._sources = sources
        self._made_client: Any = None

    def receive(self) -> Received:
        """Receive up to about a hundred messages, and hide them for some minutes.

        Raises:
            SourceUnavailable: the queue did not answer as expected.
        """
        received = Received()
        num_messages = 0
        while num_messages < _MOST_MESSAGES:
            answer = self._ask(
                "receive_message",
                MaxNumberOfMessages=_BATCH,
                WaitTimeSeconds=_WAIT_SECONDS,
                VisibilityTimeout=_HIDDEN_SECONDS,
            )
            messages = answer.get("Messages", ())
            if not messages:
                break
            num_messages += len(messages)
            for message in messages:
                self._sort(str(message.get("Body", "")), message["ReceiptHandle"], received)
        return received

    def delete(self, receipts: Iterable[str]) -> None:
        """Delete messages. A message that cannot be deleted does no harm: it comes again.

        Raises:
            SourceUnavailable: the queue did not answer as expected.
        """
        for batch in batched(receipts, _BATCH):
            entries = [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(batch)]
            self._ask("delete_message_batch", Entries=entries)

    def _sort(self, body: str, receipt: str, received: Received) -> None:
        objects = _objects_of(body)
        if objects is None or (
            objects
            and not any(bucket == source.options.bucket for bucket, _ in objects for source in self._sources)
        ):
            received.num_foreign += 1
            return
        announced = {
            source.name
            for bucket, key in objects
            for source in self._sources
            if bucket == source.options.bucket and source.counts(key)
        }
        received.sources |= announced
        (received.receipts if announced else received.moot).append(receipt)

    def _ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            if self._made_client is None:
                self._made_client = self._client()
            answer: dict[str, Any] = getattr(self._made_client, operation)(QueueUrl=self.url, **arguments)
        except aws_errors() as error:
            names = ", ".join(source.name for source in self._sources)
            queue = self.url.rpartition("/")[2]
            raise SourceUnavailable(
                f"source {names}: queue {queue} cannot be used: {in_words(error, READING_A_QUEUE)}"
            ) from None
        return answer

    def _client(self) -> Any:
        url = urlsplit(self.url)
        labels = url.netloc.split(".")
        # A queue of AWS names its region: https://sqs.eu-west-1.amazonaws.com/123456789012/events
        region = labels[labels.index("sqs") + 1] if "sqs" in labels[:-1] else None
        options = self._sources[0].options
        return build_client(
            "sqs",
            endpoint_url=f"{url.scheme}://{url.netloc}",
            region=options.region or region,
            timeout_seconds=options.timeout_seconds + _WAIT_SECONDS,
            connections=1,
            access=self._sources[0].aws_access,
        )


def event_queues(sources: Iterable[Source]) -> list[EventQueue]:
    """Return the queues of these sources, without duplicates."""
    by_url: dict[str, list[S3Source]] = {}
    for source in sources:
        options = source.options
        if isinstance(source, S3Source) and isinstance(options, S3Options) and options.queue_url:
            by_url.setdefault(options.queue_url, []).append(source)
    return [EventQueue(url, of_queue) for url, of_queue in by_url.items()]


def _objects_of(body: str) -> list[tuple[str, str]] | None:
    """Return the (bucket, key) pairs of a message, or None if it is not an event of S3."""
    content = _json(body)
    if content.get("Type") == "Notification":  # through a topic of SNS
        content = _json(content.get("Message"))
    if content.get("Event") == "s3:TestEvent":
        return []
    try:
        return list(_records(content["Records"]))
    except (KeyError, TypeError, AttributeError):
        return None


def _records(records: Iterable[Any]) -> Iterator[tuple[str, str]]:
    for record in records:
        yield str(record["s3"]["bucket"]["name"]), unquote_plus(str(record["s3"]["object"]["key"]))


def _json(text: Any) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
