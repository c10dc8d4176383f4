"""One table of exit codes: in the code, in docs/cli.md and in the help."""

import re

import pytest

from rag_assets.cli.exit_codes import ExitCode, exit_code_of, nagios
from rag_assets.cli.options import parser
from rag_assets.refresh.outcome import Outcome
from rag_assets_tests.plain_english import ROOT


def numbers_and_words(text: str, row: str) -> dict[int, str]:
    return {int(number): word.upper() for number, word in re.findall(row, text, re.MULTILINE)}


def test_the_page_and_the_help_list_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    codes = {code.value for code in ExitCode}
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    on_page = numbers_and_words(page, r"^\| (\d+) \| (\w+)")
    with pytest.raises(SystemExit):
        parser().parse_args(["refresh", "--help"])
    in_help = numbers_and_words(capsys.readouterr().out, r"^  (\d+) +(\w+)")
    assert set(on_page) == set(in_help) == codes
    for words in (on_page, in_help):
        assert {name.name for name in ExitCode if name.name in words.values()} >= {
            "FAILED",
            "BLOCKED",
            "REFUSED",
            "HELD",
            "SUPERSEDED",
            "CANCELED",
        }


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_an_exit_code_and_only_successes_can_be_degraded(outcome: Outcome) -> None:
    code, degraded = exit_code_of(outcome), exit_code_of(outcome, degraded=True)
    assert (code is ExitCode.OK) == (outcome in (Outcome.LIVE, Outcome.UNCHANGED))
    assert degraded is (ExitCode.DEGRADED if code is ExitCode.OK else code)


@pytest.mark.parametrize("code", ExitCode)
def test_a_monitor_gets_one_of_its_four_states(code: ExitCode) -> None:
    state, word = nagios(code)
    assert {0: "OK", 1: "WARNING", 2: "CRITICAL", 3: "UNKNOWN"}[state] == word
    assert (state == 0) == (code in (ExitCode.OK, ExitCode.SUPERSEDED))
