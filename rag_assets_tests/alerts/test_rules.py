"""Which messages are due. Times are seconds since an arbitrary moment."""

import json
from dataclasses import replace
from typing import Any

import pytest

from rag_assets.alerts.book import Book
from rag_assets.alerts.rules import REMIND_AFTER_SECONDS, decide
from rag_assets.alerts.run_facts import Numbers, Place, RunFacts, Situation
from rag_assets.vector_stores.production_state import Hold

START = 1_767_225_600.0
HOUR = 3600.0
PLACE = Place("documents", "production", "https://dagster.example.com")
SITUATION = Situation("g1", sources=frozenset({"filesystem", "archive"}))
BLOCKED = RunFacts(
    "blocked-1",
    "refresh",
    START,
    "blocked",
    "eval_report_recall_gate",
    "Recall@5 0.500 is below the threshold 0.75",
    numbers=Numbers(0.5, 0.75, 0.4, 20, "1 added", 100, 0.01, 65.0),
)


class Desk:
    """A book through several ticks, restored from its JSON before each."""

    def __init__(self) -> None:
        self.book = Book()
        self.now = START
        self.situation = SITUATION

    def tick(self, *runs: RunFacts, after: float = 60.0) -> list[str]:
        """Return the titles of the new messages."""
        self.now += after
        self.book = Book.from_json(json.loads(json.dumps(self.book.to_json())))
        self.book.outbox = []
        decide(self.book, runs, self.situation, PLACE, self.now)
        return [one.title for one in self.book.outbox]

    def text(self) -> str:
        """Return the only message of the last tick."""
        (one,) = self.book.outbox
        return str(one.payload["text"])


@pytest.fixture
def desk() -> Desk:
    return Desk()


def run(run_id: str, outcome: str, **values: Any) -> RunFacts:
    return RunFacts(run_id, "refresh", START, outcome, **values)


def test_a_failure_is_reported_once_and_its_end_too(desk: Desk) -> None:
    (title,) = desk.tick(BLOCKED)
    assert "blocked by the quality gate" in title
    assert desk.tick(BLOCKED) == [], "the same run"
    assert desk.tick(replace(BLOCKED, run_id="blocked-2", reason="Recall@5 0.52 …")) == [], (
        "the same incident"
    )
    (title,) = desk.tick(run("ok", "unchanged"))
    assert "Recovered" in title
    assert "2 runs" in desk.text()
    assert desk.tick(run("ok-2", "unchanged")) == []
    assert len(desk.tick(replace(BLOCKED, run_id="blocked-3"))) == 1, "it begins again"


def test_every_message_says_what_where_and_what_to_do(desk: Desk) -> None:
    desk.tick(BLOCKED)
    text = desk.text()
    for part in (
        "*What happened:* `eval_report_recall_gate`: Recall@5 0.500 is below",
        "Recall@5 0.500 (threshold 0.75); MRR 0.400; 20 documents processed; 1 added; 100 tokens, 0.0100 USD; took 65 s",
        "*What was done:* The candidate did not go live. Production is unchanged by this run and serves `g1`.",
        "*What to do:* Open the report",
        "knowledge base *documents* · production · 2026-01-01 00:00 UTC",
        "<https://dagster.example.com/runs/blocked-1|run blocked->",
        "<https://dagster.example.com/assets/eval_report|report>",
    ):
        assert part in text


@pytest.mark.parametrize(
    "quiet",
    [
        run("1", "canceled"),
        run("1", "superseded", num_superseded_in_a_row=2),
        run("1", "unchanged"),
        run("1", "held"),
        run("1", "partial"),
        run("1", "decided"),
        replace(BLOCKED, is_retried=True),
    ],
)
def test_these_ends_are_silent(desk: Desk, quiet: RunFacts) -> None:
    assert desk.tick(quiet) == []


def test_a_partial_run_and_a_held_one_end_nothing_and_everything(desk: Desk) -> None:
    desk.tick(BLOCKED)
    assert desk.tick(run("1", "partial"), run("2", "decided")) == []
    assert len(desk.tick(run("3", "held"))) == 1


def test_another_refusal_is_another_incident(desk: Desk) -> None:
    def refused(run_id: str, token: str) -> RunFacts:
        return run(run_id, "refused", step="deduped_documents", reason=f"`rag-assets approve {token * 16}`")

    assert len(desk.tick(refused("1", "a"))) == 1
    assert desk.tick(refused("2", "a")) == []
    assert len(desk.tick(refused("3", "b"))) == 1


def test_failures_of_one_kind_in_one_tick_are_one_message_with_their_number(desk: Desk) -> None:
    runs = [
        replace(run(str(number), "failed", step="chunks", error_type="X"), ended_at=START + number)
        for number in range(5)
    ]
    desk.tick(*runs)
    assert "5 runs ended like this" in desk.text()


def test_a_storm_is_one_message_at_once_and_one_an_hour_later(desk: Desk) -> None:
    failures = [run(str(number), "failed", step=f"step{number}", error_type="X") for number in range(20)]
    (title,) = desk.tick(*failures[:10])
    assert "10 messages in one" in title
    assert "1 × :rotating_light: *Refresh failed at step0*" in desk.text()
    for one in failures[10:15]:
        assert len(desk.tick(one)) == 1
    for one in failures[15:]:
        assert desk.tick(one) == [], "six in this hour"
    assert desk.tick(after=HOUR / 2) == []
    (title,) = desk.tick(after=HOUR / 2)
    assert "5 messages in one" in title


def test_many_live_generations_do_not_hide_a_failure(desk: Desk) -> None:
    titles = [title for number in range(8) for title in desk.tick(run(f"live-{number}", "live"))]
    assert len(titles) == 4
    assert len(desk.tick(BLOCKED)) == 1


def test_a_live_generation_is_summarized(desk: Desk) -> None:
    (title,) = desk.tick(
        run("1", "live", generation="g1", numbers=Numbers(0.9, 0.75, 0.8, 3, "3 added", 9, 0.0, 2.0))
    )
    assert "A new generation is live" in title
    text = desk.text()
    assert (
        "Recall@5 0.900 (threshold 0.75); MRR 0.800; 3 documents processed; 3 added; 9 tokens, 0.00 USD; took 2.0 s"
        in text
    )
    assert "Production now serves `g1`" in text


def test_sources_are_reported_when_they_fail_and_when_they_are_back(desk: Desk) -> None:
    both = frozenset({"filesystem", "archive"})
    (title,) = desk.tick(run("1", "unchanged", unreadable_sources={"archive": "403"}, read_sources=both))
    assert "Source not readable: archive" in title
    assert "Source `archive`: 403" in desk.text()
    assert desk.tick(run("2", "unchanged", unreadable_sources={"archive": "403"}, read_sources=both)) == []
    assert desk.tick(run("3", "unchanged", read_sources=frozenset({"filesystem"}))) == [], (
        "not read by this run"
    )
    (title,) = desk.tick(run("4", "partial", read_sources=both))
    assert "Recovered: source archive is readable again" in title


def test_a_source_taken_out_of_the_configuration_is_not_reported_for_ever(desk: Desk) -> None:
    desk.tick(run("1", "unchanged", unreadable_sources={"old": "403"}, read_sources=frozenset({"old"})))
    assert desk.tick(after=REMIND_AFTER_SECONDS) == []
    assert desk.book.incidents == {}


def test_a_failed_run_with_an_unreadable_source_is_one_message(desk: Desk) -> None:
    desk.tick(replace(BLOCKED, unreadable_sources={"archive": "403 <"}, read_sources=frozenset({"archive"})))
    assert "• Source `archive`: 403 &lt;" in desk.text()
    desk.tick(run("live", "live", generation="g2", read_sources=frozenset({"archive"})))
    text = desk.text()
    assert "Refresh blocked by the quality gate" in text
    assert "Source archive is not readable" in text
    assert "A new generation is live: `g2`" in text


def test_damaged_production_is_reported(desk: Desk) -> None:
    (title,) = desk.tick(run("1", "live", damage="1 file differs"))
    assert "damaged" in title
    assert "Production was damaged: 1 file differs" in desk.text()
    desk.situation = replace(SITUATION, production_damage="1 file <")
    desk.tick(BLOCKED)
    assert "serves `g1`, and is damaged: 1 file &lt;" in desk.text()


def test_an_open_incident_is_reported_every_day_until_it_ends(desk: Desk) -> None:
    desk.tick(BLOCKED)
    assert desk.tick(after=REMIND_AFTER_SECONDS - 60) == []
    (title,) = desk.tick(after=60)
    assert "Still not solved: 1 problem" in title
    assert "since 2026-01-01 00:00 UTC" in desk.text()
    assert desk.tick(after=60) == []
    assert len(desk.tick(after=REMIND_AFTER_SECONDS)) == 1
    desk.tick(run("ok", "unchanged"))
    assert desk.tick(after=REMIND_AFTER_SECONDS) == []


def test_a_hold_is_reported_once_a_day_with_the_person(desk: Desk) -> None:
    hold = Hold("g2", "2026-01-01T00:00:00+00:00", "ana", "prices are wrong")
    desk.situation = replace(SITUATION, hold=hold)
    assert desk.tick(run("1", "held")) == []
    (title,) = desk.tick(after=REMIND_AFTER_SECONDS)
    assert "Production is held" in title
    assert "since 2026-01-01T00:00:00+00:00 by ana: prices are wrong" in desk.text()
    assert desk.tick(after=60) == []
    assert len(desk.tick(after=REMIND_AFTER_SECONDS)) == 1
    desk.situation = SITUATION
    assert desk.tick(after=REMIND_AFTER_SECONDS) == []


def test_a_failure_during_a_hold_does_not_ask_to_undo_it(desk: Desk) -> None:
    desk.situation = replace(SITUATION, hold=Hold("g2", "", "ana", "prices are wrong"))
    desk.tick(BLOCKED)
    assert "held by a decision: since an unknown time by ana: prices are wrong" in desk.text()
    assert "resume" not in desk.text()


def test_the_book_stays_small(desk: Desk) -> None:
    for number in range(300):
        desk.tick(
            *(run(f"{number}-{i}", "failed", step=f"{number}-{i}", reason="x" * 9000) for i in range(10)),
        )
    assert len(json.dumps(desk.book.to_json())) < 300_000


def test_a_run_that_died_may_have_promoted_before(desk: Desk) -> None:
    desk.tick(run("1", "died", reason="the process of this run died"))
    assert "Production serves `g1`" in desk.text()
    assert "unchanged" not in desk.text()


def test_before_the_first_promotion_no_generation_is_named(desk: Desk) -> None:
    desk.situation = replace(SITUATION, production="")
    desk.tick(BLOCKED)
    assert "Nothing is in production yet." in desk.text()
