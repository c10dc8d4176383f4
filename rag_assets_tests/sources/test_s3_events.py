"""Events of buckets in a real queue: their sources, and the messages to delete."""

import json
from typing import Any

import pytest

from rag_assets.errors import SourceUnavailable
from rag_assets.sources import s3_events
from rag_assets.sources.s3 import S3Options, S3Source
from rag_assets.sources.s3_events import EventQueue, Received, event_queues
from rag_assets_tests.optional_packages import require

require("boto3", "moto", "flask", "flask_cors")
from rag_assets_tests.moto_server import CREDENTIALS, moto_server, use_credentials  # noqa: E402


class Scene:
    """A bucket with a queue, and two sources in different folders of it."""

    def __init__(self) -> None:
        self.server = moto_server()
        self.bucket = self.server.new_bucket()
        self.url = self.server.new_queue(self.bucket)
        (self.queue,) = event_queues([self.source("hr"), self.source("wiki")])
        self.queue.delete(self.queue.receive().moot)  # what S3 sends as a test

    def source(self, name: str, **options: Any) -> S3Source:
        common = {"bucket": self.bucket, "prefix": f"{name}/", "queue_url": self.url, "timeout_seconds": 1}
        return S3Source(name, S3Options(**{**common, **options}))

    def put(self, key: str) -> None:
        self.server.client("s3").put_object(Bucket=self.bucket, Key=key, Body=b"text")

    def send(self, body: object) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        self.server.client("sqs").send_message(QueueUrl=self.url, MessageBody=text)

    def event(self, key: str, bucket: str = "") -> dict[str, Any]:
        return {"Records": [{"s3": {"bucket": {"name": bucket or self.bucket}, "object": {"key": key}}}]}

    @property
    def num_messages(self) -> int:
        return self.server.num_messages(self.url)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    use_credentials(monkeypatch)
    monkeypatch.setattr(s3_events, "_WAIT_SECONDS", 0)  # this queue is one server
    return Scene()


def found(received: Received) -> tuple[set[str], int, int, int]:
    return received.sources, len(received.receipts), len(received.moot), received.num_foreign


def test_an_event_names_the_sources_of_its_object(scene: Scene) -> None:
    scene.put("hr/größe + 100%/ü.md")
    received = scene.queue.receive()
    assert found(received) == ({"hr"}, 1, 0, 0)
    scene.queue.delete(received.receipts)
    assert scene.num_messages == 0
    scene.put("wiki/a.md")
    scene.server.client("s3").delete_object(Bucket=scene.bucket, Key="hr/größe + 100%/ü.md")
    assert found(scene.queue.receive()) == ({"hr", "wiki"}, 2, 0, 0)


def test_an_event_through_a_topic_is_understood(scene: Scene) -> None:
    scene.send({"Type": "Notification", "Message": json.dumps(scene.event("wiki%2Fa+b.md"))})
    assert found(scene.queue.receive()) == ({"wiki"}, 1, 0, 0)


def test_events_without_a_document_are_moot(scene: Scene) -> None:
    for key in ("elsewhere/a.md", "wiki/picture.psd", "wiki/folder/", "wiki/.git/HEAD"):
        scene.put(key)
    scene.send({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": scene.bucket})
    received = scene.queue.receive()
    assert found(received) == (set(), 0, 5, 0)
    scene.queue.delete(received.moot)
    assert scene.num_messages == 0


@pytest.mark.parametrize(
    "body",
    [
        "no JSON",
        "[]",
        '{"order": 7}',
        '{"Records": 3}',
        '{"Records": [7]}',
        '{"Records": [{"dynamodb": {}}]}',
    ],
)
def test_foreign_messages_stay_in_the_queue(scene: Scene, body: str) -> None:
    scene.send(body)
    assert found(scene.queue.receive()) == (set(), 0, 0, 1)
    assert scene.num_messages == 1


def test_events_of_other_buckets_stay_in_the_queue(scene: Scene) -> None:
    scene.send(scene.event("wiki/a.md", bucket="another"))
    assert found(scene.queue.receive()) == (set(), 0, 0, 1)


def test_many_events_are_received_at_once(scene: Scene) -> None:
    for number in range(23):
        scene.put(f"wiki/{number}.md")
    received = scene.queue.receive()
    assert found(received) == ({"wiki"}, 23, 0, 0)
    assert found(scene.queue.receive()) == (set(), 0, 0, 0), "what was taken is out of sight"
    scene.queue.delete(received.receipts)
    scene.queue.delete(received.receipts)
    assert scene.num_messages == 0


def test_sources_without_a_queue_have_none(scene: Scene) -> None:
    assert event_queues([scene.source("hr", queue_url=None)]) == []


def test_a_missing_queue_is_reported_with_advice(scene: Scene) -> None:
    queue = EventQueue(f"{scene.url}-gone", [scene.source("wiki")])
    with pytest.raises(SourceUnavailable, match=r"wiki: queue events-of-.*-gone .*`queue_url`") as caught:
        queue.receive()
    assert not any(value in str(caught.value) for value in list(CREDENTIALS.values())[:2])


def test_a_hanging_queue_is_given_up(scene: Scene) -> None:
    (queue,) = event_queues([scene.source("hr", timeout_seconds=0.2)])
    with scene.server.failing("hang"), pytest.raises(SourceUnavailable, match="ReadTimeoutError"):
        queue.receive()


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/events", "eu-west-1"),
        ("https://vpce-0-x.sqs.ap-south-1.vpce.amazonaws.com/123456789012/events", "ap-south-1"),
        ("http://127.0.0.1:4566/000000000000/events", "us-east-1"),
    ],
)
def test_a_queue_is_asked_in_its_own_region(scene: Scene, url: str, region: str) -> None:
    client = EventQueue(url, [scene.source("wiki")])._client()
    assert client.meta.region_name == region
    assert url.startswith(client.meta.endpoint_url)
