"""The question for the reason of a rollback."""

import argparse
import io
import sys

import pytest

from rag_assets.cli.production import reason_for_rollback


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def asked(monkeypatch: pytest.MonkeyPatch, typed: io.StringIO, reason: str | None = None) -> tuple[str, str]:
    """Return the reason and the question."""
    question = Terminal()
    monkeypatch.setattr(sys, "stdin", typed)
    monkeypatch.setattr(sys, "stderr", question)
    return reason_for_rollback(argparse.Namespace(reason=reason)), question.getvalue()


def test_a_person_at_a_terminal_is_asked_why(monkeypatch: pytest.MonkeyPatch) -> None:
    reason, question = asked(monkeypatch, Terminal("prices are wrong\n"))
    assert (reason.strip(), question[:4]) == ("prices are wrong", "Why?")


def test_an_empty_answer_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, Terminal(""))[0].strip() == ""


def test_a_given_reason_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, Terminal("another\n"), "prices are wrong") == ("prices are wrong", "")


def test_a_script_is_not_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, io.StringIO("something piped\n")) == ("", "")
