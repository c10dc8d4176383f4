"""The text of each message: the event, numbers, the reaction, the next step, and the place.

Contains no document text and no secrets. docs/alerts.md shows one of each kind.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rag_assets.alerts.run_facts import NOT_BEGUN
from rag_assets.alerts.slack_text import Message, code, link, quoted
from rag_assets.progress import duration
from rag_assets.text.wording import counted, usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag_assets.alerts.book import Folded, Incident
    from rag_assets.alerts.run_facts import Place, RunFacts, Situation
    from rag_assets.alerts.run_news import RunNews

NOT_STARTING = "Refreshes do not start"
ROLLBACK = "rollback"
"""The job of a rollback."""
_PROMOTION = "production_collection"
_MOST_LINES = 20
_ALARM, _WARNING, _GOOD, _NOTE = ":rotating_light:", ":warning:", ":white_check_mark:", ":information_source:"


def failure_title(run: RunFacts) -> str:
    """Return a failure in a few words."""
    match run.outcome:
        case "blocked":
            return "Refresh blocked by the quality gate"
        case "refused":
            return "Refresh stopped: it waits for a decision"
        case "died":
            return "Refresh died: its process is gone"
        case "superseded":
            return "Refreshes overtake one another: none goes live"
        case _ if run.job == ROLLBACK:
            return "Rollback failed"
        case _:
            return f"Refresh failed at {run.step}" if run.step else "Refresh failed before its first step"


def about_run(news: RunNews, situation: Situation, place: Place) -> Message:
    """Return the message about one run."""
    run = news.run
    if news.opened is not None:
        return _failure(news, news.opened, situation, place)
    if news.unreadable:
        names = ", ".join(news.unreadable)
        title = f"{_WARNING} *{_plural(len(news.unreadable), 'Source', 'Sources')} not readable: {quoted(names, 120)}*"
        done = "The documents of these sources stay in production. The other sources are refreshed."
        happened = "The refresh could not read everything"
        next_step = "Check the source, its address and its credentials: `rag-assets doctor` asks each one. The next refresh reads it again."
    elif news.damage:
        title = f"{_WARNING} *Production was damaged and is built again*"
        done = "No damaged point was copied. All points are built again from kept texts and vectors."
        happened = "Production differed from its seal"
        next_step = "Check the disk or the Qdrant server. `rag-assets doctor --deep` compares every point."
    elif news.ended:
        title = f"{_GOOD} *Recovered: {quoted(_recovery(news.ended), 200)}*"
        done, happened, next_step = "", "This run succeeded where earlier ones did not", "Nothing to do."
    else:
        title = f"{_GOOD} *A new generation is live*"
        done, happened, next_step = "", "The candidate passed the gate and went live", "Nothing to do."
    return Message(
        title,
        _paragraphs(
            [happened + _happened_too(news)],
            _numbers(run),
            [done] * bool(done) + [_serves(situation, run.generation if news.is_live else "")],
            next_step,
        ),
        _footer(place, run.ended_at, run),
    )


def _recovery(ended: Sequence[Incident]) -> str:
    refreshes = ["refreshes work again"] if any(one.is_refresh for one in ended) else []
    return "; ".join([*refreshes, *(f"source {one.source} is readable again" for one in ended if one.source)])


def _failure(news: RunNews, incident: Incident, situation: Situation, place: Place) -> Message:
    run = news.run
    repeated = f"{counted(incident.num_runs, 'run')} ended like this. " if incident.num_runs > 1 else ""
    at = f"{code(run.step)}: " if run.step else ""
    reason = quoted(run.reason) or "no reason is recorded"
    done, next_step = _answer(run)
    return Message(
        f"{_ALARM} *{quoted(incident.title)}*",
        _paragraphs(
            [f"{repeated}{at}{reason}{_happened_too(news)}"],
            _numbers(run),
            [done] * bool(done)
            + [_serves(situation, is_unchanged=run.outcome != "died" and run.step != _PROMOTION)],
            next_step,
        ),
        _footer(place, run.ended_at, run),
    )


def _answer(run: RunFacts) -> tuple[str, str]:
    """Return the reaction of the program, and the next step for a person."""
    match run.outcome:
        case "blocked":
            return (
                "The candidate did not go live.",
                (
                    "Open the report: it names the questions that lost. Correct the documents or the benchmark, then refresh. "
                    "`rag-assets status` shows the same in a terminal."
                ),
            )
        case "refused":
            return (
                "The refresh stopped before it changed anything.",
                (
                    "`rag-assets plan` lists the effect. If it is meant, run the `rag-assets approve` command from the text "
                    "above and refresh. If not, correct the source: the next refresh goes on."
                ),
            )
        case "died":
            return (
                "The run is marked as failed, and its slots are free.",
                (
                    "Refresh again: finished work is kept. Look for the cause in the log of the machine, often too little "
                    "memory (`dmesg`, `docker inspect`) or a restart."
                ),
            )
        case "superseded":
            return (
                "",
                "Check for two schedules or machines that refresh this knowledge base at the same time, and turn one off.",
            )
        case _ if run.job == ROLLBACK:
            return "", "Open the run for the reason. `rag-assets rollback` does the same from a terminal."
        case _:
            return (
                "Nothing has to be cleaned up.",
                (
                    "`rag-assets doctor` names the part without an answer. Correct it and refresh. Where schedule or sensors "
                    "are on, they try again by themselves."
                ),
            )


def not_starting(
    names: Sequence[str], reason: str, situation: Situation, place: Place, now: float
) -> Message:
    """Return the message about schedules and sensors that fail for one reason."""
    return Message(
        f"{_ALARM} *{NOT_STARTING}*",
        _paragraphs(
            [f"{', '.join(map(code, names))}: {quoted(reason)}"],
            f"{counted(len(names), 'schedule or sensor', 'schedules and sensors')} without a good tick",
            ["No run was begun.", _serves(situation, is_unchanged=False)],
            "Correct the part that the text names. `rag-assets doctor` checks the settings and every service. Schedule and sensors go on "
            "by themselves.",
        ),
        _footer(place, now),
    )


def starting_again(ended: Sequence[Incident], situation: Situation, place: Place, now: float) -> Message:
    """Return the message about the end of such failures."""
    since = min(one.since for one in ended)
    return Message(
        f"{_GOOD} *Recovered: refreshes start again*",
        _paragraphs(
            ["No schedule or sensor fails any more"],
            f"after {duration(max(0.0, now - since))}",
            [_serves(situation, is_unchanged=False)],
            "Nothing to do.",
        ),
        _footer(place, now),
    )


def reminder(incidents: Sequence[Incident], situation: Situation, place: Place, now: float) -> Message:
    """Return the daily reminder of all open incidents."""
    num_runs = sum(one.num_runs for one in incidents if one.is_refresh)
    lines = [
        f"• {quoted(one.title)}, since {_moment(one.since)}"
        + (f", last in {_run_link(one.last_run_id, place)}" if one.last_run_id else "")
        for one in incidents[:_MOST_LINES]
    ]
    return Message(
        f"{_WARNING} *Still not solved: {counted(len(incidents), 'problem')}*",
        _paragraphs(
            ["\n".join(["No refresh has ended these problems:", *lines])],
            f"{counted(len(incidents), 'problem')}, {counted(num_runs, 'failed run')}",
            [_serves(situation, is_unchanged=False)],
            "Open the last run. `rag-assets status` and `rag-assets doctor` show the present state. The next reminder comes in 24 "
            "hours.",
        ),
        _footer(place, now),
    )


def held(situation: Situation, place: Place, now: float) -> Message:
    """Return the daily reminder of a hold. It asks for nothing: the hold is the decision of a person."""
    hold = situation.hold
    days = "" if hold is None else _age(hold.since, now)
    return Message(
        f"{_NOTE} *Production is held after a rollback*",
        _paragraphs(
            [f"Held {quoted(str(hold))}"],
            days or "unknown duration",
            [
                f"Production stays at {code(situation.production)}. Schedule and sensors skip, and a passing candidate waits."
            ],
            "Nothing, while the hold is meant. `rag-assets resume` ends it.",
        ),
        _footer(place, now),
    )


def storm(folded: Sequence[Folded], place: Place, now: float) -> Message:
    """Return one message in place of many."""
    runs = {one.title: one.run_id for one in folded}
    lines = [
        f"• {number} × {title}, last in {_run_link(runs[title], place)}"
        for title, number in Counter(one.title for one in folded).most_common(_MOST_LINES)
    ]
    return Message(
        f"{_ALARM if any(_ALARM in one.title for one in folded) else _NOTE} *{counted(len(folded), 'message')} in one*",
        _paragraphs(
            ["\n".join(["Too many for one message each:", *lines])],
            f"{counted(len(folded), 'message')} between {_moment(min(one.at for one in folded))} and {_moment(now)}",
            ["Each one is described in its run."],
            "Open the last run of each line, the first line first. `rag-assets status` shows the present state.",
        ),
        _footer(place, now),
    )


def lost(messages: Sequence[Folded], place: Place, now: float) -> Message:
    """Return the message about undelivered ones."""
    lines = [f"• {_moment(one.at)}: {one.title}" for one in messages[:_MOST_LINES]]
    return Message(
        f"{_WARNING} *{counted(len(messages), 'earlier message')} could not be delivered*",
        _paragraphs(
            ["\n".join(["Slack did not take these within 24 hours, or refused them:", *lines])],
            counted(len(messages), "lost message"),
            ["Refreshes were not affected."],
            "`rag-assets status` and the runs in Dagster show what happened.",
        ),
        _footer(place, now),
    )


def trial(place: Place, now: float) -> Message:
    """Return the message of `rag-assets doctor --send-test-alert`."""
    return Message(
        f"{_NOTE} *Test message*",
        _paragraphs(
            ["A person sent this with `rag-assets doctor --send-test-alert`"],
            "none",
            ["Nothing. Refreshes are not affected."],
            "Nothing to do: alerts of this knowledge base arrive here.",
        ),
        _footer(place, now),
    )


def _paragraphs(happened: Sequence[str], numbers: str, done: Sequence[str], next_step: str) -> list[str]:
    return [
        f"*What happened:* {' '.join(happened)}",
        f"*Numbers:* {numbers}",
        f"*What was done:* {' '.join(done)}",
        f"*What to do:* {next_step}",
    ]


def _happened_too(news: RunNews) -> str:
    """Return the other news of the run, as lines."""
    run = news.run
    problems = news.unreadable or (run.unreadable_sources if news.opened else {})
    lines = [
        f"Source {code(name)}: {quoted(problem, 500)}"
        for name, problem in list(problems.items())[:_MOST_LINES]
    ]
    if len(problems) > _MOST_LINES:
        lines.append(f"and {counted(len(problems) - _MOST_LINES, 'more source')}")
    if news.damage:
        lines.append(f"Production was damaged: {quoted(news.damage, 500)}")
    lines += [
        f"Ended: {quoted(one.title)} (since {_moment(one.since)}, {counted(one.num_runs, 'run')})"
        for one in news.ended[:_MOST_LINES]
    ]
    if news.is_live and (news.ended or news.unreadable or news.damage):
        lines.append(f"A new generation is live: {code(run.generation)}")
    return "".join(f"\n• {line}" for line in lines)


def _serves(situation: Situation, live: str = "", *, is_unchanged: bool = True) -> str:
    """Return the generation in production, in words.

    Args:
        live: a generation just gone live.
        is_unchanged: whether the run surely changed nothing. A dead one may have promoted before.
    """
    if not situation.production:
        return "Nothing is in production yet."
    served = "Production is unchanged by this run and serves" if is_unchanged else "Production serves"
    if live:
        served = f"{code(live)} went live. " * (live != situation.production) + "Production now serves"
    damage = (
        f", and is damaged: {quoted(situation.production_damage, 500)}"
        if situation.production_damage
        else "."
    )
    # A decision of a colleague is a fact. A message never asks to undo it.
    hold = f" It is held by a decision: {quoted(str(situation.hold))}." if situation.hold else ""
    return f"{served} {code(situation.production)}{damage}{hold}"


def _numbers(run: RunFacts) -> str:
    numbers = run.numbers
    found: list[str] = []
    if numbers.recall_at_5 is not None:
        threshold = "" if numbers.eval_threshold is None else f" (threshold {numbers.eval_threshold:g})"
        found.append(f"Recall@5 {numbers.recall_at_5:.3f}{threshold}")
    if numbers.mrr is not None:
        found.append(f"MRR {numbers.mrr:.3f}")
    if numbers.num_documents is not None:
        found.append(f"{counted(numbers.num_documents, 'document')} processed")
    if numbers.changes:
        found.append(numbers.changes)
    if numbers.num_tokens is not None:
        cost = "unknown price" if numbers.cost_usd is None else usd(numbers.cost_usd)
        found.append(f"{counted(numbers.num_tokens, 'token')}, {cost}")
    if numbers.duration_seconds is not None:
        found.append(f"took {duration(numbers.duration_seconds)}")
    return "; ".join(found) or "the run ended before it measured anything"


def _footer(place: Place, at: float, run: RunFacts | None = None) -> str:
    parts = [f"knowledge base *{quoted(place.knowledge_base)}*", quoted(place.environment), _moment(at)]
    if run is not None and run.has_run:
        parts.append(_run_link(run.run_id, place))
        if place.dagster_url:
            parts.append(link(f"{place.dagster_url}/assets/eval_report", "report"))
        if run.mlflow_url:
            parts.append(link(run.mlflow_url, "MLflow"))
    elif place.dagster_url:
        parts.append(link(place.dagster_url, "Dagster"))
    return " · ".join(parts)


def _run_link(run_id: str, place: Place) -> str:
    if not run_id or run_id.startswith(NOT_BEGUN):
        return "no run"
    short = f"run {run_id[:8]}"
    return link(f"{place.dagster_url}/runs/{run_id}", short) if place.dagster_url else short


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _age(since: str, now: float) -> str:
    try:
        return f"for {duration(max(0.0, now - datetime.fromisoformat(since).timestamp()))}"
    except ValueError:
        return ""


def _plural(number: int, one: str, more: str) -> str:
    return one if number == 1 else more
