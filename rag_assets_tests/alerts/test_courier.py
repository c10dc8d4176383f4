"""Messages that Slack does not take wait, in order, and their loss is reported."""

from collections.abc import Iterator
from typing import Any

import pytest

from rag_assets.alerts.book import MOST_WAITING, Book
from rag_assets.alerts.courier import KEPT_SECONDS, Report, deliver
from rag_assets.alerts.delivery import Delivery, post_to_slack
from rag_assets.alerts.run_facts import Place
from rag_assets_tests.slack_receiver import SlackReceiver

NOW = 1_767_225_600.0
PLACE = Place("documents", "production")


@pytest.fixture
def slack() -> Iterator[SlackReceiver]:
    with SlackReceiver() as receiver:
        yield receiver


def book_with(*titles: str) -> Book:
    book = Book()
    for title in titles:
        book.queue(title, {"text": title}, NOW)
    return book


def attempt(book: Book, slack: SlackReceiver, now: float = NOW, seconds: float = 10) -> Report:
    def post(payload: dict[str, Any], left_seconds: float) -> Delivery:
        return post_to_slack(slack.url, payload, left_seconds)

    return deliver(book, lambda: None, post, PLACE, now, seconds)


def test_messages_arrive_in_order_and_the_book_is_saved_after_each(slack: SlackReceiver) -> None:
    book, saved = book_with("one", "two"), list[int]()

    def post(payload: dict[str, Any], left_seconds: float) -> Delivery:
        return post_to_slack(slack.url, payload, left_seconds)

    report = deliver(book, lambda: saved.append(len(book.outbox)), post, PLACE, NOW, 10)
    assert (report.num_posted, report.num_waiting, saved) == (2, 0, [1, 0])
    assert slack.texts == ["one", "two"]


@pytest.mark.parametrize("status", [500, 503, 404, 403])
def test_an_outage_is_waited_out(slack: SlackReceiver, status: int) -> None:
    book = book_with("one", "two")
    slack.status = status
    report = attempt(book, slack)
    assert (report.num_posted, report.num_waiting, slack.num_requests) == (0, 2, 1)
    assert f"status {status}" in report.problem
    slack.status = 200
    assert attempt(book, slack, NOW + 60).num_posted == 2
    assert slack.texts == ["one", "two"]


def test_slack_is_left_alone_as_long_as_it_asks() -> None:
    book = book_with("one")
    with SlackReceiver(429, {"Retry-After": "90"}) as busy:
        attempt(book, busy)
        attempt(book, busy, NOW + 60)
        assert busy.num_requests == 1
        busy.status = 200
        assert attempt(book, busy, NOW + 91).num_posted == 1


def test_the_loss_of_a_message_is_reported_by_the_next_delivery(slack: SlackReceiver) -> None:
    book = book_with(":rotating_light: *Refresh failed at chunks*")
    slack.status = 500
    attempt(book, slack)
    attempt(book, slack, NOW + KEPT_SECONDS + 1)
    assert book.outbox == []
    slack.status = 200
    book.queue("new", {"text": "new"}, NOW + KEPT_SECONDS + 2)
    attempt(book, slack, NOW + KEPT_SECONDS + 60)
    lost, new = slack.texts
    assert "1 earlier message could not be delivered" in lost
    assert "2026-01-01 00:00 UTC: :rotating_light: *Refresh failed at chunks*" in lost
    assert new == "new"
    attempt(book, slack, NOW + KEPT_SECONDS + 120)
    assert len(slack.texts) == 2


def test_a_message_that_slack_refuses_does_not_hold_up_the_others(slack: SlackReceiver) -> None:
    book = book_with("refused")
    slack.status = 400
    report = attempt(book, slack)
    assert (report.num_posted, report.num_waiting) == (0, 0)
    assert "status 400" in report.problem
    assert (book.outbox, book.lost) == ([], []), "nothing is tried for ever"


def test_a_long_outage_keeps_the_last_messages(slack: SlackReceiver) -> None:
    book = book_with(*(str(number) for number in range(MOST_WAITING + 5)))
    assert book.outbox[0].title == "5"
    attempt(book, slack)
    assert "5 earlier messages could not be delivered" in slack.texts[0]
    assert slack.texts[1:] == [str(number) for number in range(5, MOST_WAITING + 5)]


def test_a_hanging_slack_costs_the_given_time_once(slack: SlackReceiver) -> None:
    book = book_with("one", "two", "three")
    slack.behave("hanging")
    report = attempt(book, slack, seconds=1.2)
    assert (report.num_posted, report.num_waiting, slack.num_requests) == (0, 3, 1)
    assert report.problem == "Slack did not answer within 1.2 s" or report.problem.startswith(
        "Slack did not answer"
    )
    slack.behave("answering")
    assert attempt(book, slack, NOW + 60).num_posted == 3
