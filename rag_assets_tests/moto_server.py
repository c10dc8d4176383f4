"""S3 and SQS on a free loopback port: a moto server with counted reads and failures on demand."""

import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore.retries import standard
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

from rag_assets_tests.sources.scenes.base import Failure

Answer = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLEEXAMPLE00",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret-but-must-not-be-shown",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent/credentials",
}
ERROR = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>of no use</Message></Error>"


_loader_of_all_sessions = cache(botocore.session.create_loader)


def use_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the credentials of the moto server for this test.

    All sessions share one loader: otherwise each reads the descriptions of all services again, for a tenth of a second.
    Retries do not pause.
    """
    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", lambda *_: 0)
    monkeypatch.setattr(botocore.session, "create_loader", _loader_of_all_sessions)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


class MotoServer:
    """One server per process, because starting it is slow. Each test has its own buckets.

    Attributes:
        num_bodies: bucket -> number of transferred objects.
        num_requests: number of requests so far.
        instead: replaces moto for each request it answers.
    """

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.num_bodies: Counter[str] = Counter()
        self.num_requests = 0
        self.num_buckets = 0
        self.instead: Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes] | None] | None = None
        self._port = 0
        self._clients: dict[str, Any] = {}
        self._listen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def client(self, service: str) -> Any:
        """Return a client for preparing tests, independent of the environment."""
        import boto3.session

        if service not in self._clients:
            session = boto3.session.Session(
                CREDENTIALS["AWS_ACCESS_KEY_ID"],
                CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
                region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
            )
            self._clients[service] = session.client(service, endpoint_url=self.url)
        return self._clients[service]

    def new_bucket(self) -> str:
        self.num_buckets += 1
        name = f"documents-{self.num_buckets}"
        self.client("s3").create_bucket(Bucket=name)
        return name

    def age(self, bucket: str, key: str, seconds: int) -> None:
        """Make an object older."""
        stored = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys[key]
        stored.last_modified -= timedelta(seconds=seconds)

    def new_queue(self, bucket: str) -> str:
        """Create a queue for the events of this bucket, and return its URL."""
        sqs, name = self.client("sqs"), f"events-of-{bucket}"
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
        self.client("s3").put_bucket_notification_configuration(
            Bucket=bucket,
            NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": events}]},
        )
        return url

    def num_messages(self, queue_url: str) -> int:
        """Return the number of messages in a queue, including hidden ones."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    @contextmanager
    def answering(self, instead: Answer | Any) -> Generator[None]:
        self.instead = instead
        try:
            yield
        finally:
            self.instead = None

    @contextmanager
    def failing(self, how: Failure) -> Generator[None]:
        if how == "refused":
            self._server.shutdown()
            self._server.server_close()
            try:
                yield
            finally:
                self._listen()
            return
        over = threading.Event()

        def instead(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes] | None:
            if how == "hang":
                over.wait()
            elif how == "forbidden":
                return answer_error(start_response, "403 Forbidden", "AccessDenied")
            elif how == "error":
                return answer_error(start_response, "500 Internal Server Error", "InternalError")
            elif how == "torn listing" and "continuation-token" in environ["QUERY_STRING"]:
                page = b"".join(self._moto(environ, start_response))
                return [page[: len(page) // 2]]  # and Content-Length says more
            return None

        with self.answering(instead):
            try:
                yield
            finally:
                over.set()

    @contextmanager
    def failing_for(self, bucket: str) -> Generator[None]:
        """Let every request for one bucket fail, but none for queues."""

        def instead(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes] | None:
            if environ["PATH_INFO"].strip("/").split("/")[0] != bucket:
                return None
            return answer_error(start_response, "500 Internal Server Error", "InternalError")

        with self.answering(instead):
            yield

    def _listen(self) -> None:
        self._server = make_server(
            "127.0.0.1", self._port, self._answer, threaded=True, request_handler=_QuietHandler
        )
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.num_requests += 1
        if self.instead is not None and (answer := self.instead(environ, start_response)) is not None:
            return answer
        bucket, _, key = environ["PATH_INFO"].strip("/").partition("/")

        def counted(status: str, *rest: Any) -> Any:
            if environ["REQUEST_METHOD"] == "GET" and key and status.startswith("200"):
                self.num_bodies[bucket] += 1
            return start_response(status, *rest)

        return self._moto(environ, counted)


class _QuietHandler(MotoRequestHandler):
    def log(self, *_: Any) -> None: ...


def answer_error(start_response: Callable[..., Any], status: str, code: str) -> list[bytes]:
    body = ERROR.format(code=code).encode()
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


@cache
def moto_server() -> MotoServer:
    return MotoServer()
