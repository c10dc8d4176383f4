import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx2
import pytest

from rag_assets.alerts import delivery
from rag_assets.alerts.delivery import post_to_slack
from rag_assets_tests.slack_receiver import SlackReceiver


@contextmanager
def server_sending(answer: bytes, *, drips: bytes = b"") -> Iterator[str]:
    """Send `answer` to one client, then `drips` every 50 ms. Yields the URL of the webhook."""
    finished = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection = server.accept()[0]
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(answer)
                while drips and not finished.wait(0.05):
                    connection.sendall(drips)

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/services/secret"
        finally:
            finished.set()
            serving.join()


def test_a_message_arrives_as_it_was_written() -> None:
    with SlackReceiver() as receiver:
        assert post_to_slack(receiver.url, "Größe & 東京\n*bold*") == ""
    assert receiver.messages == [{"text": "Größe & 東京\n*bold*"}]


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (400, "Bad Request"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (429, "Too Many Requests"),
        (500, "Internal Server Error"),
        (599, "unknown status"),
    ],
)
def test_a_refusal_is_reported_with_its_status(status: int, phrase: str) -> None:
    with SlackReceiver(status, body=b"<html>x</html>") as receiver:
        problem = post_to_slack(receiver.url, "text")
    assert problem == f"Slack refused the message with status {status} ({phrase})"


def test_the_reason_that_slack_gives_is_reported() -> None:
    with SlackReceiver(404, body=b"no_service\n") as receiver:
        problem = post_to_slack(receiver.url, "text")
    assert problem == "Slack refused the message with status 404 (Not Found): no_service"


@pytest.mark.parametrize(
    "body",
    [b"services", b"no such path: /services/T0/B0/secret-of-the-webhook", b"secret", b"x" * 10_000_000],
)
def test_a_body_that_may_quote_the_webhook_is_not_repeated(body: bytes) -> None:
    with SlackReceiver(404, body=body) as receiver:
        problem = post_to_slack(receiver.url, "text")
    assert problem == "Slack refused the message with status 404 (Not Found)"


def test_a_redirect_is_not_followed_with_the_message() -> None:
    with SlackReceiver() as elsewhere, SlackReceiver(307, {"Location": elsewhere.url}) as receiver:
        problem = post_to_slack(receiver.url, "text")
    assert problem.startswith("Slack refused the message with status 307 (Temporary Redirect)")
    assert elsewhere.messages == []


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_a_refused_connection_is_reported_as_such() -> None:
    problem = post_to_slack(f"http://127.0.0.1:{closed_port()}/services/secret", "text")
    assert problem == "no connection to Slack: Connection refused"


def test_an_unknown_host_is_reported_as_such() -> None:
    problem = post_to_slack("http://secret.invalid/services/secret", "text")
    assert problem.startswith("no connection to Slack: ")
    assert "Error" not in problem
    assert "secret" not in problem


@pytest.mark.parametrize(
    "url", ["not a url secret", "ftp://secret", "http://secret:port/", "http://\udc80secret/", ""]
)
def test_a_webhook_url_that_is_no_url_is_reported_as_such(url: str) -> None:
    assert post_to_slack(url, "text") == "SLACK_WEBHOOK_URL is not a valid http or https URL"


def test_an_answer_that_is_not_http_is_reported_as_a_broken_connection() -> None:
    with server_sending(b"220 mail.secret ESMTP\r\n\r\n") as url:
        problem = post_to_slack(url, "text")
    assert problem == "the connection to Slack broke: RemoteProtocolError"


def test_a_tls_error_is_named() -> None:
    with SlackReceiver() as receiver:
        problem = post_to_slack(receiver.url.replace("http:", "https:"), "text")
    assert problem == "no connection to Slack: TLS error WRONG_VERSION_NUMBER"


@pytest.mark.parametrize("error", [RuntimeError("secret"), MemoryError(), UnicodeError("secret")])
def test_an_unexpected_error_is_reported_by_its_type_and_at_once(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(httpx2, "stream", fail)
    problem = post_to_slack("https://hooks.secret/services/secret", "text")
    assert problem == f"posting to Slack failed with {type(error).__name__}"


def test_a_slack_that_does_not_answer_costs_a_few_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_STEP_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/services/secret"
        assert post_to_slack(url, "text") == "Slack did not answer within 0.1 s"


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 404 Not Found\r\n\r\n"])
def test_a_slack_that_drips_is_not_waited_for(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_TOTAL_SECONDS", 0.3)
    with server_sending(answer, drips=b"X: y\r\n") as url:
        problem = post_to_slack(url, "text")
    assert problem in (
        "Slack did not answer within 0.3 s",
        "Slack refused the message with status 404 (Not Found)",
    )


def test_the_webhook_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with SlackReceiver() as receiver:
        post_to_slack(receiver.url, "text")
        post_to_slack("http://127.0.0.1:1/secret-of-the-webhook", "text")
    assert "secret-of-the-webhook" not in caplog.text
