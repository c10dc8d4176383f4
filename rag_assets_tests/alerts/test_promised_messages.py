"""Forty mixed runs give exactly the messages of the table in docs/alerts.md, at a real receiver."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from rag_assets.alerts.book import Book
from rag_assets.alerts.courier import deliver
from rag_assets.alerts.delivery import Delivery, post_to_slack
from rag_assets.alerts.rules import decide
from rag_assets.alerts.run_facts import Place, RunFacts, Situation
from rag_assets.alerts.triggers import Triggers
from rag_assets.vector_stores.production_state import Hold
from rag_assets_tests.slack_receiver import SlackReceiver

PAGE = Path(__file__).parents[2] / "docs" / "alerts.md"
START = 1_767_225_600.0
DAY = 86_400.0
BOTH = frozenset({"filesystem", "wiki"})


def promised() -> dict[str, str]:
    """Return what happened -> the title of the message, "" for none."""
    section = PAGE.read_text(encoding="utf-8").partition("## What rings")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)[1:]
    return {event: "" if message == "none" else message for event, message in rows}


@dataclass(frozen=True)
class Step:
    """One tick: what happened in words of the page, and the runs seen by the tick."""

    event: str
    runs: tuple[RunFacts, ...] = ()
    after: float = 1800.0
    hold: Hold | None = None
    triggers: Triggers | None = None


def one(event: str, outcome: str, triggers: Triggers | None = None, **values: Any) -> Step:
    run = RunFacts("", values.pop("job", "refresh"), START, outcome, **values)
    return Step(event, (run,), triggers=triggers)


GATE = {"step": "eval_report_recall_gate", "error_type": "GateFailed"}
HOLD = Hold("g2", "2026-01-01T00:00:00+00:00", "ana", "prices are wrong")
TOKENS = ["rag-assets approve " + digit * 16 for digit in "ab"]
DOWN = {"step": "raw_documents", "error_type": "SourceUnavailable", "reason": "no source can be read"}
BAD_SETTING = {"refresh_on_schedule": "RAG_CHUNK_SIZE: expected a whole number"}
WIKI = {"read_sources": BOTH, "unreadable_sources": {"wiki": "403"}}

HISTORY = [
    one("a candidate went live", "live", generation="g1"),
    one("a refresh found nothing to do", "unchanged"),
    one("the gate failed", "blocked", reason="Recall@5 0.50", **GATE),
    one("the gate failed again", "blocked", reason="Recall@5 0.51", **GATE),
    one("the gate failed again", "blocked", reason="Recall@5 0.52", **GATE),
    one("some assets were materialized alone", "partial"),
    one("the first success after a failure", "live", generation="g2"),
    one("the gate failed in a run that only measures", "blocked", job="__ASSET_JOB", **GATE),
    one("the first success after a failure", "unchanged"),
    one("a rule stopped the refresh", "refused", step="deduped_documents", reason=TOKENS[0]),
    one("the same rule stopped the same set again", "refused", step="deduped_documents", reason=TOKENS[0]),
    one("the same rule stopped another set", "refused", step="deduped_documents", reason=TOKENS[1]),
    one("a person decided: rollback, resume, approve", "decided", job="approve"),
    one("the first success after a failure", "live", generation="g3"),
    one("every source, the model or the vector store is down", "failed", **DOWN),
    one("the same part is still down", "failed", **DOWN),
    one("the same part is still down", "failed", **DOWN),
    one("another part is down", "failed", step="embeddings", error_type="EmbedderUnavailable"),
    one("the first success after a failure", "unchanged"),
    one("one of several sources is down", "unchanged", **WIKI),
    one("that source is still down", "unchanged", **WIKI),
    one("that source is back", "unchanged", read_sources=BOTH),
    one("production was damaged", "live", generation="g4", damage="1 file differs"),
    one("the process of a refresh died", "died", reason="the process of this run died during chunks"),
    one("the first success after a failure", "unchanged"),
    one("another refresh was faster, once or twice in a row", "superseded", num_superseded_in_a_row=1),
    one("another refresh was faster, once or twice in a row", "superseded", num_superseded_in_a_row=2),
    one("another refresh was faster, three times in a row", "superseded", num_superseded_in_a_row=3),
    one("the first success after a failure", "live", generation="g5"),
    one("a candidate waits during a hold", "held"),
    one("a person canceled the run", "canceled"),
    one("a run failed, and Dagster retries it by itself", "failed", step="chunks", is_retried=True),
    one("a rollback failed", "failed", job="rollback", step="roll_back_production"),
    one("the first success after a failure", "unchanged"),
    one("a person decided: rollback, resume, approve", "decided", job="rollback"),
    Step("24 hours of a hold", after=DAY, hold=HOLD),
    one("the gate failed", "blocked", **GATE),
    Step("24 hours with an open problem", after=DAY),
    one("the first success after a failure", "unchanged"),
    Step("a schedule or sensor fails, so that no refresh starts", triggers=Triggers(BAD_SETTING)),
    Step("it fails again for the same reason", triggers=Triggers(BAD_SETTING)),
    one("a refresh by hand in the meantime", "unchanged", triggers=Triggers(BAD_SETTING)),
    Step("none of them fails any more", triggers=Triggers({})),
    one("a run cannot be launched", "failed", reason="it could not be launched: unexpected OSError"),
    one("the first success after a failure", "unchanged"),
    Step(
        "more than three problems in one minute",
        tuple(RunFacts("", "refresh", START, "failed", f"step{number}") for number in range(4)),
        after=2 * 3600.0,
    ),
]


@dataclass
class Channel:
    """A channel with the messages of one history."""

    slack: SlackReceiver
    book: Book = field(default_factory=Book)
    now: float = START
    num_runs: int = 0

    def tick(self, step: Step) -> list[str]:
        """Return the titles that arrived."""
        self.now += step.after
        before = len(self.slack.texts)
        runs = [
            replace(run, run_id=f"{self.num_runs + i:032x}", ended_at=self.now - 30)
            for i, run in enumerate(step.runs)
        ]
        self.num_runs += len(runs)
        self.book = Book.from_json(json.loads(json.dumps(self.book.to_json())))
        place, situation = Place("documents", "production"), Situation("g1", hold=step.hold, sources=BOTH)
        # A run seen twice, as by the command and the sensor, is reported once.
        decide(self.book, [*runs, *runs], situation, place, self.now, step.triggers)

        def post(payload: dict[str, Any], seconds: float) -> Delivery:
            return post_to_slack(self.slack.url, payload, seconds)

        deliver(self.book, lambda: None, post, place, self.now, 10)
        return [text.splitlines()[0] for text in self.slack.texts[before:]]


@pytest.fixture
def channel() -> Iterator[Channel]:
    with SlackReceiver() as slack:
        yield Channel(slack)


def test_forty_mixed_runs_give_exactly_the_promised_messages(channel: Channel) -> None:
    table = promised()
    arrived = [(step.event, channel.tick(step)) for step in HISTORY]
    for event, titles in arrived:
        assert len(titles) == bool(table[event]), (event, titles)
        assert table[event] in "".join(titles), event
    assert channel.num_runs >= 40
    assert len(channel.slack.texts) == sum(bool(table[step.event]) for step in HISTORY)


def test_the_history_has_every_row_of_the_table() -> None:
    assert set(promised()) == {step.event for step in HISTORY}
