"""The lines of a refresh: progress now and then in a pipe, one line per step, and the next command."""

import io
from types import SimpleNamespace
from typing import Any

import pytest

from rag_assets.cli import refresh_lines
from rag_assets.cli.refresh_lines import RefreshLines, next_commands
from rag_assets.cli.screen import Screen
from rag_assets.refresh.outcome import Outcome
from rag_assets.refresh.result import RefreshResult

APPROVAL = "refused to delete 25 documents: run `rag-assets approve 0123456789abcdef` and refresh."


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    found = SimpleNamespace(now=100.0)
    monkeypatch.setattr(refresh_lines, "time", SimpleNamespace(monotonic=lambda: found.now))
    return found


def shown(reports: list[dict[str, Any]], clock: SimpleNamespace, seconds: float) -> list[str]:
    """Show reports in a pipe, with this pause after each."""
    stream = io.StringIO()
    lines = RefreshLines(Screen(stream))
    for report in reports:
        lines.show(report)
        lines.tick()
        clock.now += seconds
    return stream.getvalue().splitlines()


def message(text: str, level: int = 20) -> dict[str, Any]:
    return {"kind": "message", "step": "chunks", "level": level, "text": text}


def test_progress_comes_now_and_then_in_a_pipe(clock: SimpleNamespace) -> None:
    reports = [message(f"{number} of 100 texts chunked, 1.0/s, 9 s to go") for number in range(1, 10)]
    found = shown([{"kind": "step", "step": "chunks"}, *reports], clock, seconds=4)
    assert [line.split()[:4] for line in found] == [
        ["chunks", "12", "s", "3"],
        ["chunks", "24", "s", "6"],
        ["chunks", "36", "s", "9"],
    ]


def test_the_sentence_of_a_slow_step_is_shown_once(clock: SimpleNamespace) -> None:
    done = {"kind": "done", "step": "chunks", "seconds": 31.4, "text": "3 chunks, 40 tokens"}
    found = shown(
        [{"kind": "step", "step": "chunks"}, message("3 chunks, 40 tokens"), done], clock, seconds=15
    )
    assert found == ["✓ chunks                  31 s  3 chunks, 40 tokens"]


def test_a_warning_is_a_line_of_its_own(clock: SimpleNamespace) -> None:
    assert shown([message("RAG_FOO is unknown", 30)], clock, seconds=1) == ["! RAG_FOO is unknown"]


@pytest.mark.parametrize(
    ("result", "command"),
    [
        (RefreshResult(Outcome.LIVE, production="g1"), 'rag-assets search "your question"'),
        (RefreshResult(Outcome.LIVE, production_before="g1", production="g2"), ""),
        (
            RefreshResult(Outcome.UNCHANGED, production_before="g1", num_quarantined=2),
            "rag-assets quarantine",
        ),
        (
            RefreshResult(Outcome.UNCHANGED, production_before="g1", unreadable_sources={"s3": "down"}),
            "rag-assets doctor",
        ),
        (RefreshResult(Outcome.BLOCKED, reason="Recall@5 0.7 is below the threshold"), "rag-assets status"),
        (
            RefreshResult(Outcome.BLOCKED, reason="no benchmark: run `rag-assets benchmark draft`"),
            "rag-assets benchmark draft",
        ),
        (
            RefreshResult(Outcome.REFUSED, reason=APPROVAL),
            "rag-assets plan, then rag-assets approve 0123456789abcdef",
        ),
        (RefreshResult(Outcome.REFUSED, reason="stale inputs"), "rag-assets plan"),
        (RefreshResult(Outcome.HELD), "rag-assets status"),
        (RefreshResult(Outcome.SUPERSEDED), "rag-assets refresh"),
        (RefreshResult(Outcome.SUPERSEDED, hold="since noon by ada"), "rag-assets status"),
        (RefreshResult(Outcome.CANCELED), "rag-assets refresh"),
        (RefreshResult(Outcome.FAILED, reason="the disk is full"), "rag-assets doctor"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.outcome,
)
def test_the_next_command_fits_the_outcome(result: RefreshResult, command: str) -> None:
    assert next_commands(result) == ([command] if command else [])


def test_each_waiting_approval_has_its_command() -> None:
    waiting = ["0123456789abcdef", "fedcba9876543210"]
    result = RefreshResult(Outcome.REFUSED, reason=APPROVAL, waiting_approvals=waiting)
    assert next_commands(result) == [
        "rag-assets plan, then rag-assets approve 0123456789abcdef",
        "rag-assets approve fedcba9876543210",
    ]


def test_a_rollback_during_a_refresh_is_said_without_a_red_sign(clock: SimpleNamespace) -> None:
    failed = {
        "kind": "failed",
        "step": "chunks",
        "seconds": 1.0,
        "text": "a rollback came first",
        "warns": True,
    }
    assert shown([failed], clock, seconds=1)[0].startswith("! chunks ")
    stream = io.StringIO()
    result = RefreshResult(Outcome.SUPERSEDED, "run", production="g1", hold="since noon by ada: wrong prices")
    RefreshLines(Screen(stream)).end(result, 1.0)
    assert (
        "SUPERSEDED  in 1.0 s: a rollback came first. Nothing of this refresh went live" in stream.getvalue()
    )
    assert "held since noon by ada: wrong prices" in stream.getvalue()


def test_a_step_that_warns_has_no_green_sign(clock: SimpleNamespace) -> None:
    done = {
        "kind": "done",
        "step": "eval_report",
        "seconds": 1.0,
        "text": "nothing was measured",
        "warns": True,
    }
    assert shown([done], clock, seconds=1)[0].startswith("! eval_report ")


def test_an_unknown_production_is_not_an_empty_one() -> None:
    stream = io.StringIO()
    result = RefreshResult(
        Outcome.FAILED, "run", reason="no answer", production_problem="no answer from the server"
    )
    RefreshLines(Screen(stream)).end(result, 1.0)
    assert "production  unknown: no answer from the server" in stream.getvalue().splitlines()
