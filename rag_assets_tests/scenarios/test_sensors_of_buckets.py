"""Sensors watch a bucket by listing it, or by its events in a queue. Neither requests a needless run."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from rag_assets.definitions import build_definitions
from rag_assets.settings import load_settings
from rag_assets_tests.optional_packages import require
from rag_assets_tests.pipeline import THRESHOLD, Pipeline, text_about

require("boto3", "moto", "flask", "flask_cors")
from rag_assets.sources import s3_events  # noqa: E402
from rag_assets_tests.moto_server import moto_server, use_credentials  # noqa: E402


class Bucket:
    """A promoted pipeline with two sources: a folder, and a bucket with its events in a queue."""

    def __init__(self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pipeline = pipeline
        self.server = moto_server()
        use_credentials(monkeypatch)
        monkeypatch.setattr(s3_events, "_WAIT_SECONDS", 0)  # one server holds this queue: no wait for others
        self._s3, self._sqs = self.server.client("s3"), self.server.client("sqs")
        self.name = self.server.new_bucket()
        self.queue_url = self.server.new_queue(self.name)
        pipeline.configure(
            RAG_SOURCES="filesystem,s3",
            RAG_S3_BUCKET=self.name,
            RAG_S3_PREFIX="wiki/",
            RAG_S3_ENDPOINT_URL=self.server.url,
            RAG_S3_QUEUE_URL=self.queue_url,
            RAG_S3_TIMEOUT_SECONDS="1",
        )

    def put(self, key: str) -> None:
        self._s3.put_object(Bucket=self.name, Key=key, Body=text_about(key).encode())

    def remove(self, key: str) -> None:
        self._s3.delete_object(Bucket=self.name, Key=key)

    def send(self, body: str) -> None:
        self._sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)

    @property
    def num_messages(self) -> int:
        return self.server.num_messages(self.queue_url)

    def tick(self, sensor: str, cursor: str | None = None) -> Any:
        """Evaluate a sensor once."""
        definitions = build_definitions(load_settings(sources=["filesystem", "s3"]))
        instance = self.pipeline.instance
        with dg.build_sensor_context(instance, cursor=cursor, resources=definitions.resources) as context:
            return definitions.get_repository_def().get_sensor_def(sensor).evaluate_tick(context)

    def on_listing(self) -> Any:
        return self.tick("refresh_on_new_objects")

    def on_event(self, cursor: str | None = None) -> Any:
        return self.tick("refresh_on_object_events", cursor)

    def on_folder(self) -> Any:
        return self.tick("refresh_on_changed_documents")


@pytest.fixture
def bucket(promoted: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    bucket = Bucket(promoted, monkeypatch)
    bucket.put("wiki/old.md")
    promoted.refresh().checked()
    assert "s3:wiki/old.md" in promoted.served()
    # The events so far are about served documents, and are deleted.
    assert "production is up to date" in str(bucket.on_event().skip_message)
    assert bucket.num_messages == 0
    return bucket


@pytest.fixture
def messages_come_back_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_events, "_HIDDEN_SECONDS", 0)
    monkeypatch.setattr(s3_events, "_MOST_MESSAGES", 1)


def run_key(tick: Any) -> str:
    assert len(tick.run_requests or ()) == 1, tick.skip_message
    return tick.run_requests[0].run_key


def assert_skipped(tick: Any, reason: str) -> None:
    assert not tick.run_requests
    assert reason in str(tick.skip_message)


def test_the_sensors_of_sources_start_stopped() -> None:
    repository = build_definitions(load_settings()).get_repository_def()
    status = {sensor.name: sensor.default_status for sensor in repository.sensor_defs}
    assert {name for name, it in status.items() if it == dg.DefaultSensorStatus.RUNNING} == {"slack_alerts"}


def test_without_a_bucket_there_is_nothing_to_watch(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(promoted, monkeypatch)
    promoted.unset("RAG_S3_QUEUE_URL")
    assert_skipped(bucket.on_event(), "no configured source has a queue_url")
    promoted.configure(RAG_SOURCES="filesystem")
    assert_skipped(bucket.on_listing(), "no configured source is a bucket")


# By listing


def test_the_bucket_sensor_requests_a_run_until_production_is_up_to_date(bucket: Bucket) -> None:
    assert_skipped(bucket.on_listing(), "production is up to date")
    bucket.put("elsewhere/new.md")
    bucket.put("wiki/picture.png")
    assert_skipped(bucket.on_listing(), "production is up to date")
    bucket.put("wiki/new.md")
    asked = run_key(bucket.on_listing())
    assert run_key(bucket.on_listing()) == asked, "Dagster starts one run per key"
    bucket.pipeline.refresh().checked()
    assert_skipped(bucket.on_listing(), "production is up to date")
    bucket.remove("wiki/new.md")
    assert run_key(bucket.on_listing()) != asked


def test_each_sensor_watches_only_its_own_kind_of_source(bucket: Bucket) -> None:
    bucket.pipeline.write("new.md", text_about("new"))
    before = bucket.server.num_requests
    run_key(bucket.on_folder())
    assert bucket.server.num_requests == before
    assert_skipped(bucket.on_listing(), "production is up to date")


def test_an_unavailable_bucket_starts_no_run(bucket: Bucket) -> None:
    bucket.put("wiki/new.md")
    with bucket.server.failing("forbidden"):
        assert_skipped(bucket.on_listing(), "s3:ListBucket")
        assert_skipped(bucket.on_event(), "queue")
    run_key(bucket.on_listing())


def test_a_bucket_is_not_contacted_during_a_hold(bucket: Bucket) -> None:
    bucket.pipeline.succeed("rollback")
    bucket.put("wiki/new.md")
    before = bucket.server.num_requests
    assert_skipped(bucket.on_listing(), "rag-assets resume")
    assert_skipped(bucket.on_event(), "rag-assets resume")
    assert bucket.server.num_requests == before
    assert bucket.num_messages == 1, "the message waits for `resume`"


@pytest.mark.parametrize(
    "why",
    ["another source was down", "the gate failed", "left out in the Launchpad", "left out, then failed"],
)
def test_an_unchanged_source_counts_as_up_to_date(bucket: Bucket, why: str) -> None:
    pipeline = bucket.pipeline
    if why == "another source was down":
        pipeline.documents.rename(pipeline.home / "away")
        bucket.put("wiki/new.md")
        pipeline.refresh().checked()
        assert_skipped(bucket.on_listing(), "production is up to date")
        (pipeline.home / "away").rename(pipeline.documents)
        run_key(bucket.on_folder())  # its listing was not complete
        return
    pipeline.write("new.md", text_about("new"))
    if why.startswith("left out"):
        pipeline.refresh(launchpad={"sources": ["filesystem"]}).checked()
        assert_skipped(bucket.on_listing(), "production is up to date")
        assert_skipped(bucket.on_folder(), "production is up to date")
    if why != "left out in the Launchpad":
        pipeline.write("newer.md", text_about("newer"))
        pipeline.configure(RAG_EVAL_THRESHOLD="0.999")
        assert pipeline.refresh().gate_passed is False
        pipeline.configure(RAG_EVAL_THRESHOLD=THRESHOLD)
        run_key(bucket.on_folder())
    assert_skipped(bucket.on_listing(), "production is up to date")


def test_a_missing_folder_does_not_hide_changes_in_another_folder(promoted: Pipeline) -> None:
    declared = promoted.home / "sources.yaml"
    declared.write_text(f"sources:\n  archive:\n    kind: filesystem\n    folder: {promoted.home / 'gone'}\n")
    promoted.configure(RAG_SOURCES="filesystem,archive", RAG_SOURCES_FILE=str(declared))
    promoted.refresh().checked()
    definitions = build_definitions(load_settings())
    sensor = definitions.get_repository_def().get_sensor_def("refresh_on_changed_documents")

    def tick() -> Any:
        with dg.build_sensor_context(promoted.instance, resources=definitions.resources) as context:
            return sensor.evaluate_tick(context)

    assert_skipped(tick(), "source archive")
    promoted.write("new.md", text_about("new"))
    run_key(tick())


# By events


def test_an_event_requests_one_run_and_then_its_message_is_deleted(bucket: Bucket) -> None:
    bucket.put("elsewhere/new.md")
    bucket.send("a message of another sender")
    assert_skipped(
        bucket.on_event(), "no new event about a document; ignored 1 foreign message: reserve the queue"
    )
    assert bucket.num_messages == 1
    bucket.put("wiki/new.md")
    asked = bucket.on_event()
    run_key(asked)
    assert bucket.num_messages == 2
    after = bucket.on_event(asked.cursor)
    assert bucket.num_messages == 1
    assert_skipped(after, "no new event about a document")
    bucket.pipeline.refresh().checked()
    assert_skipped(bucket.on_event(after.cursor), "no new event about a document")
    bucket.remove("wiki/new.md")
    run_key(bucket.on_event(after.cursor))


@pytest.mark.usefixtures("messages_come_back_at_once")
def test_an_event_is_delivered_again_if_its_run_request_was_lost(bucket: Bucket) -> None:
    bucket.put("wiki/new.md")
    asked = run_key(bucket.on_event())
    # The daemon died before storing the cursor.
    assert run_key(bucket.on_event()) == asked
    bucket.pipeline.refresh().checked()
    assert_skipped(bucket.on_event(), "production is up to date")
    assert bucket.num_messages == 0


@pytest.mark.usefixtures("messages_come_back_at_once")
def test_an_event_is_kept_while_the_bucket_is_unavailable(bucket: Bucket) -> None:
    bucket.put("wiki/new.md")
    with bucket.server.failing_for(bucket.name):
        assert_skipped(bucket.on_event(), "InternalError")
    assert bucket.num_messages == 1
    run_key(bucket.on_event())


def test_a_run_request_without_success_is_repeated_hours_later(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("wiki/new.md")
    asked = bucket.on_event()
    after = bucket.on_event(asked.cursor)
    period = int(json.loads(after.cursor)["asked"]["s3"])
    monkeypatch.setattr("rag_assets.defs.sensors.watching._period", lambda: period + 1)
    again = bucket.on_event(after.cursor)
    assert run_key(again) != run_key(asked)
    bucket.pipeline.refresh().checked()
    monkeypatch.setattr("rag_assets.defs.sensors.watching._period", lambda: period + 2)
    settled = bucket.on_event(again.cursor)
    assert_skipped(settled, "production is up to date")
    assert json.loads(settled.cursor) == {"receipts": {}, "asked": {}}
