"""Decides about due messages: from ended runs, the open incidents and the time. docs/alerts.md has the table.

Each incident is reported once, again every 24 hours while it lasts, and at its end. A run is reported in at most one message.
"""

import hashlib
import re
from collections.abc import Iterable
from datetime import datetime

from rag_assets.alerts import messages
from rag_assets.alerts.book import Book, Incident
from rag_assets.alerts.run_facts import Place, RunFacts, Situation
from rag_assets.alerts.run_news import RunNews
from rag_assets.alerts.slack_text import Message
from rag_assets.alerts.triggers import Triggers, messages_about

REMIND_AFTER_SECONDS = 86_400.0
_HOUR = 3600.0
_AT_ONCE = 3
"""Messages of one tick. More are reported in one."""
_IN_AN_HOUR = {"alert": 6, "summary": 4}
"""Kind of message -> most in one hour. More are reported in one, as soon as there is room again."""
_TOKEN = re.compile(r"rag-assets approve ([0-9a-f]{16})")


def decide(
    book: Book,
    runs: Iterable[RunFacts],
    situation: Situation,
    place: Place,
    now: float,
    triggers: Triggers | None = None,
) -> None:
    """Put all due messages into the outbox of the book.

    Args:
        runs: ended ones. Those dealt with before are ignored.
        now: seconds since the epoch.
        triggers: None if they are not looked at.
    """
    starts = messages_about(book, triggers, situation, place, now) if triggers is not None else []
    found = [
        _news(book, run, now)
        for run in sorted(runs, key=lambda run: run.ended_at)
        if book.take_run(run.run_id)
    ]
    found = [news for news in found if news.is_alert or news.is_live]
    for kind in _IN_AN_HOUR:
        ours = [news for news in found if news.is_alert == (kind == "alert")]
        told = [(messages.about_run(news, situation, place), news.run.run_id) for news in ours]
        if kind == "alert":
            told = [(message, "") for message in starts] + told
        _queue(book, kind, told, place, now)
    _remind(book, situation, place, now)


def _news(book: Book, run: RunFacts, now: float) -> RunNews:
    news = RunNews(run)
    if run.is_retried or run.outcome == "canceled":
        return news
    if run.is_failure:
        incident = _incident(run, now)
        if known := book.incidents.get(incident.key):
            known.num_runs += 1
            known.last_run_id = run.run_id
        else:
            book.open(incident)
            news.opened = incident
    if run.is_success:
        news.ended = [one for one in book.incidents.values() if one.is_refresh]
        news.damage, news.is_live = run.damage, run.outcome == "live"
    news.ended += [
        one
        for one in book.incidents.values()
        if one.source in run.read_sources and one.source not in run.unreadable_sources
    ]
    for one in news.ended:
        del book.incidents[one.key]
    # Another part of a source that is known to be unreadable is news too.
    news.unreadable = {
        name: problem
        for name, problem in run.unreadable_sources.items()
        if f"source:{name}" not in book.incidents or name in run.newly_unreadable
    }
    for name in news.unreadable:
        title = f"Source {name} is not readable"
        book.open(Incident(f"source:{name}", title, run.ended_at, now, run.run_id, run.run_id))
    return news


def _incident(run: RunFacts, now: float) -> Incident:
    key, title = run.outcome, messages.failure_title(run)
    if run.outcome == "refused":
        # A refusal that waits for an approval is another one for another set of documents.
        token = _TOKEN.search(run.reason)
        key = f"refused:{token[1] if token else run.step + run.error_type}"
    elif run.outcome == "failed":
        what = run.error_type or hashlib.sha256(run.reason.encode()).hexdigest()[:12]
        key = f"failed:{run.job if run.job == messages.ROLLBACK else run.step}:{what}"
    return Incident(key, title, run.ended_at, now, run.run_id, run.run_id)


def _queue(book: Book, kind: str, told: list[tuple[Message, str]], place: Place, now: float) -> None:
    """Queue messages, or one with their number."""
    sent = [at for at in book.sent_at.get(kind, ()) if 0 <= now - at < _HOUR]
    for message, run_id in told:
        is_room = not book.folded.get(kind) and len(sent) < _IN_AN_HOUR[kind] and len(told) <= _AT_ONCE
        if is_room:
            book.queue(message.title, dict(message.payload()), now)
            sent.append(now)
        else:
            book.fold(kind, message.title, run_id, now)
    if (folded := book.folded.get(kind)) and len(sent) < _IN_AN_HOUR[kind]:
        message = messages.storm(folded, place, now)
        book.queue(message.title, dict(message.payload()), now)
        sent.append(now)
        del book.folded[kind]
    book.sent_at[kind] = sent


def _remind(book: Book, situation: Situation, place: Place, now: float) -> None:
    if situation.sources is not None:
        for one in list(book.incidents.values()):
            if one.source and one.source not in situation.sources:
                del book.incidents[one.key]  # taken out of the configuration, by a person
    if any(now - one.told_at >= REMIND_AFTER_SECONDS for one in book.incidents.values()):
        message = messages.reminder(list(book.incidents.values()), situation, place, now)
        book.queue(message.title, dict(message.payload()), now)
        for one in book.incidents.values():
            one.told_at = now
    hold = situation.hold
    if hold is None:
        book.hold_told_at = {}
        return
    told_at = book.hold_told_at.get(hold.since, _seconds(hold.since, now))
    if now - told_at >= REMIND_AFTER_SECONDS:
        message = messages.held(situation, place, now)
        book.queue(message.title, dict(message.payload()), now)
        told_at = now
    book.hold_told_at = {hold.since: told_at}


def _seconds(moment: str, default: float) -> float:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return default
