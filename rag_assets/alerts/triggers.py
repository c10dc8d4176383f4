"""Failing schedules and sensors: no refresh starts. Each reason is one incident, for all that fail for it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from rag_assets.alerts import messages
from rag_assets.alerts.book import START, Book, Incident
from rag_assets.alerts.run_facts import Place, Situation
from rag_assets.alerts.slack_text import Message


@dataclass(frozen=True, slots=True)
class Triggers:
    """Schedules and sensors that are on.

    Attributes:
        failing: name -> reason.
        are_known: whether each one is known to work or to fail.
    """

    failing: Mapping[str, str]
    are_known: bool = True


def messages_about(
    book: Book, triggers: Triggers, situation: Situation, place: Place, now: float
) -> list[Message]:
    """Open and end the incidents of triggers in the book, and return their messages."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in sorted(triggers.failing.items()):
        by_reason.setdefault(reason, []).append(name)
    keys = {reason: START + hashlib.sha256(reason.encode()).hexdigest()[:12] for reason in by_reason}
    found: list[Message] = []
    for reason, names in by_reason.items():
        if keys[reason] not in book.incidents:
            book.open(Incident(keys[reason], messages.NOT_STARTING, now, now, "", ""))
            found.append(messages.not_starting(names, reason, situation, place, now))
    ended = [one for one in book.incidents.values() if one.is_start and one.key not in keys.values()]
    if ended and not triggers.failing and triggers.are_known:
        for one in ended:
            del book.incidents[one.key]
        found.append(messages.starting_again(ended, situation, place, now))
    return found
