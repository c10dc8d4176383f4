import logging
import socket
import threading
from contextlib import suppress
from dataclasses import replace

import httpx
import pytest

from rag_assets.alerts import messages as slack_messages
from rag_assets.alerts.messages import DegradedAlert, FailureAlert, post_to_slack
from rag_assets_tests.slack_receiver import SlackReceiver

ALERT = FailureAlert(
    job_name="refresh",
    run_id="0123456789abcdef",
    failed_step="recall_gate",
    reason="Recall@5 0.500 is below the threshold 0.75",
    production="20260101T000000-g1",
)


def test_an_alert_says_what_failed_why_and_what_still_serves() -> None:
    text = ALERT.text()
    for said in ("not refreshed", "recall_gate", "01234567", "refresh", ALERT.reason, "`20260101T000000-g1`"):
        assert said in text
    assert ALERT.run_id not in text


def test_a_message_arrives_as_it_was_written() -> None:
    with SlackReceiver() as receiver:
        assert post_to_slack(receiver.url, "Größe & 東京\n*bold*") == ""
    assert receiver.messages == [{"text": "Größe & 東京\n*bold*"}]


def test_markup_in_a_reason_is_escaped() -> None:
    text = FailureAlert("refresh", "r" * 16, "chunks", "<!channel> a & b <https://x|y>", "g1").text()
    assert "&lt;!channel&gt; a &amp; b &lt;https://x|y&gt;" in text


def test_a_long_reason_is_cut() -> None:
    text = FailureAlert("refresh", "r" * 16, "chunks", "x" * 100_000, "g1").text()
    assert len(text) < 2000
    assert "x …\n" in text


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500])
def test_a_refusal_is_told_by_its_status(status: int) -> None:
    with SlackReceiver(status) as receiver:
        assert post_to_slack(receiver.url, "text") == f"Slack answered with status {status}"


def test_a_redirect_is_not_followed_with_the_message() -> None:
    with SlackReceiver() as elsewhere, SlackReceiver(307, {"Location": elsewhere.url}) as receiver:
        assert post_to_slack(receiver.url, "text") == "Slack answered with status 307"
    assert elsewhere.messages == []


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:{closed_port()}/services/secret",
        "not a url secret",
        "ftp://secret",
        "http://[secret",
        "http://secret:port/",
        "",
    ],
    ids=["nobody listens", "no url", "another scheme", "a bad host", "a bad port", "empty"],
)
def test_an_unreachable_webhook_is_told_without_its_url(url: str) -> None:
    problem = post_to_slack(url, "text")
    assert problem.startswith("Slack could not be reached")
    assert "secret" not in problem


def test_a_slack_that_does_not_answer_costs_a_few_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack_messages, "_TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/services/secret"
        assert post_to_slack(url, "text") == f"Slack could not be reached ({httpx.ReadTimeout.__name__})"


def test_a_slack_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack_messages, "_TOTAL_SECONDS", 0.3)
    finished = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection = server.accept()[0]
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not finished.wait(0.05):
                    connection.sendall(b"X-More: and more\r\n")

        dripping = threading.Thread(target=drip)
        dripping.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/services/secret"
        try:
            assert "did not answer within" in post_to_slack(url, "text")
        finally:
            finished.set()
            dripping.join()


def test_the_webhook_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.INFO)
    try:
        with SlackReceiver() as receiver:
            post_to_slack(receiver.url, "text")
            post_to_slack("http://127.0.0.1:1/secret-of-the-webhook", "text")
    finally:
        root.setLevel(before)
    assert "secret-of-the-webhook" not in caplog.text


def test_an_alert_names_the_sources_that_could_not_be_read() -> None:
    text = replace(ALERT, unreadable_sources={"wiki": "source wiki: <refused>"}).text()
    assert "Degraded: `wiki`: source wiki: &lt;refused&gt;" in text


def test_a_degraded_refresh_says_what_is_missing_and_that_it_is_served_on() -> None:
    text = DegradedAlert("0123456789abcdef", {"wiki": "it is down", "bucket": "403"}, "g2").text()
    for said in ("in part", "01234567", "`wiki`: it is down", "`bucket`: 403", "kept", "`g2`"):
        assert said in text
