import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from slack_sdk.webhook import WebhookClient

from rag_assets.alerts import delivery
from rag_assets.alerts.delivery import Delivery, post_to_slack
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


def send(url: str) -> str:
    return post_to_slack(url, {"text": "text"}).problem


def test_a_message_arrives_as_it_was_written() -> None:
    payload = {"text": "Größe & 東京\n*bold*", "blocks": [{"type": "divider"}], "unfurl_links": False}
    with SlackReceiver() as receiver:
        assert post_to_slack(receiver.url, payload) == Delivery()
    assert receiver.messages == [payload]


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
        problem = send(receiver.url)
    assert problem == f"Slack refused the message with status {status} ({phrase})"


def test_the_reason_that_slack_gives_is_reported() -> None:
    with SlackReceiver(404, body=b"no_service\n") as receiver:
        problem = send(receiver.url)
    assert problem == "Slack refused the message with status 404 (Not Found): no_service"


@pytest.mark.parametrize(
    "body",
    [b"services", b"no such path: /services/T0/B0/secret-of-the-webhook", b"secret", b"x" * 10_000_000],
)
def test_a_body_that_may_quote_the_webhook_is_not_repeated(body: bytes) -> None:
    with SlackReceiver(404, body=body) as receiver:
        problem = send(receiver.url)
    assert problem == "Slack refused the message with status 404 (Not Found)"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_delivers_nothing(status: int) -> None:
    with SlackReceiver() as elsewhere, SlackReceiver(status, {"Location": elsewhere.url}) as receiver:
        problem = send(receiver.url)
    assert problem.startswith(f"Slack refused the message with status {status} ")
    assert elsewhere.messages == []
    assert elsewhere.num_requests == 0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("30", 30), ("999999", 3600), ("soon", 60), ("", 60)],
)
def test_slack_says_how_long_to_wait(header: str, seconds: float) -> None:
    with SlackReceiver(429, {"Retry-After": header}) as receiver:
        assert post_to_slack(receiver.url, {"text": "text"}).wait_seconds == seconds


@pytest.mark.parametrize(("status", "is_refused"), [(400, True), (413, True), (404, False), (500, False)])
def test_a_message_that_slack_refuses_is_not_to_be_sent_again(status: int, is_refused: bool) -> None:
    with SlackReceiver(status) as receiver:
        assert post_to_slack(receiver.url, {"text": "text"}).is_refused is is_refused


def test_a_lost_answer_is_one_request() -> None:
    """The next tick sends it again, and no retry of the client hides the problem."""
    with SlackReceiver() as receiver:
        receiver.behave("dropped")
        assert send(receiver.url).startswith("the connection to Slack broke")
        assert receiver.num_requests == 1


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_a_refused_connection_is_reported_as_such() -> None:
    problem = send(f"http://127.0.0.1:{closed_port()}/services/secret")
    assert problem == "no connection to Slack: Connection refused"


def test_an_unknown_host_is_reported_as_such() -> None:
    problem = send("http://secret.invalid/services/secret")
    assert problem.startswith("no connection to Slack: ")
    assert "Error" not in problem
    assert "secret" not in problem


@pytest.mark.parametrize(
    "url", ["not a url secret", "ftp://secret", "http://secret:port/", "http://\udc80secret/", ""]
)
def test_a_webhook_url_that_is_no_url_is_reported_as_such(url: str) -> None:
    assert send(url) == "SLACK_WEBHOOK_URL is not a valid http or https URL"


def test_an_answer_that_is_not_http_is_reported_as_a_broken_connection() -> None:
    with server_sending(b"220 mail.secret ESMTP\r\n\r\n") as url:
        problem = send(url)
    assert problem == "the connection to Slack broke: BadStatusLine"


def test_a_tls_error_is_named() -> None:
    with SlackReceiver() as receiver:
        problem = send(receiver.url.replace("http:", "https:"))
    assert problem == "no connection to Slack: TLS error WRONG_VERSION_NUMBER"


@pytest.mark.parametrize("error", [RuntimeError("secret"), MemoryError(), ValueError("secret")])
def test_an_unexpected_error_is_reported_by_its_type_and_at_once(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(WebhookClient, "send_dict", fail)
    problem = send("https://hooks.secret/services/secret")
    assert problem == f"posting to Slack failed with {type(error).__name__}"


def test_a_slack_that_does_not_answer_costs_a_few_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_STEP_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/services/secret"
        assert send(url) == "Slack did not answer within 0.1 s"


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 404 Not Found\r\n\r\n"])
def test_a_slack_that_drips_is_not_waited_for(answer: bytes) -> None:
    with server_sending(answer, drips=b"X: y\r\n") as url:
        problem = post_to_slack(url, {"text": "text"}, seconds=0.3).problem
    assert problem in (
        "Slack did not answer within 0.3 s",
        "Slack refused the message with status 404 (Not Found)",
    )


def test_the_webhook_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with SlackReceiver() as receiver:
        send(receiver.url)
        send("http://127.0.0.1:1/secret-of-the-webhook")
    assert "secret-of-the-webhook" not in caplog.text
