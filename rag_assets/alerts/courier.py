"""Delivers the messages of a book to Slack, in order. An undelivered one waits, at most 24 hours."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rag_assets.alerts import messages
from rag_assets.alerts.book import Book
from rag_assets.alerts.delivery import MOST_WAIT_SECONDS, Delivery
from rag_assets.alerts.run_facts import Place
from rag_assets.text.wording import counted

KEPT_SECONDS = 86_400.0
"""After this time a message is dropped, and the next delivery tells so."""
_LEAST_SECONDS = 1.0

Post = Callable[[dict[str, Any], float], Delivery]
"""Posts a payload within so many seconds."""


@dataclass(frozen=True, slots=True)
class Report:
    """The end of a delivery.

    Attributes:
        problem: why messages wait or were lost, without secrets. "" if all were delivered.
    """

    num_posted: int = 0
    num_waiting: int = 0
    problem: str = ""

    def __str__(self) -> str:
        posted = [f"posted {counted(self.num_posted, 'message')} to Slack"] * bool(self.num_posted)
        waiting = [f"{counted(self.num_waiting, 'message')} not delivered yet"] * bool(self.num_waiting)
        problem = [self.problem] * bool(self.problem)
        return "; ".join([*posted, *waiting, *problem])


def deliver(
    book: Book, save: Callable[[], None], post: Post, place: Place, now: float, seconds: float
) -> Report:
    """Deliver waiting messages. The book is saved after each, so that a killed process repeats at most one.

    Args:
        now: seconds since the epoch.
        seconds: for all of them together.
    """
    deadline = time.monotonic() + seconds
    num_posted, problem = 0, ""
    for old in [one for one in book.outbox if now - one.queued_at > KEPT_SECONDS]:
        book.give_up(old)
    while (payload := _next_payload(book, place, now)) is not None:
        left_seconds = deadline - time.monotonic()
        if left_seconds < _LEAST_SECONDS:
            break
        delivery = post(payload, left_seconds)
        problem = delivery.problem or problem
        if delivery.problem and not delivery.is_refused:
            book.not_before = now + delivery.wait_seconds
            break
        _settle(book, is_refused=delivery.is_refused)
        num_posted += not delivery.problem
        save()
    return Report(num_posted, len(book.outbox), problem)


def _next_payload(book: Book, place: Place, now: float) -> dict[str, Any] | None:
    if 0 < book.not_before - now <= MOST_WAIT_SECONDS:
        return None
    if book.lost:
        return dict(messages.lost(book.lost, place, now).payload())
    return book.outbox[0].payload if book.outbox else None


def _settle(book: Book, *, is_refused: bool) -> None:
    """Take the message just sent out of the book. A refused one is reported as lost by the next."""
    if book.lost:
        book.lost = []
    elif is_refused:
        book.give_up(book.outbox[0])
    else:
        del book.outbox[0]
