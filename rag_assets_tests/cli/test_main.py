"""The command line before it opens a knowledge base."""

import re
import shlex
import shutil
import subprocess
from importlib import metadata
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from rag_assets.cli import main as cli
from rag_assets.cli.options import parser, parsers
from rag_assets.vector_stores.indexed_fields import (
    DATETIME_FIELDS,
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    LOCATION_DATETIME_FIELDS,
    LOCATION_KEYWORD_FIELDS,
)

COMMANDS = (
    ("refresh",),
    ("search", "question"),
    ("status",),
    ("plan",),
    ("quarantine",),
    ("settings",),
    ("trace", "name"),
    ("show", "name"),
    ("diff", "name"),
    ("rollback",),
    ("resume",),
    ("approve", "0" * 16),
    ("export",),
    ("backup", "folder"),
    ("restore", "folder"),
    ("purge", "name"),
    ("mcp",),
    ("metrics",),
    ("doctor",),
    ("benchmark", "draft"),
    ("benchmark", "accept"),
    ("benchmark", "accept", "--deleted"),
    ("benchmark", "pin"),
    ("benchmark", "unpin"),
    ("completion", "bash"),
)


def test_every_command_is_tested_here() -> None:
    tested = {command[:2] if command[0] == "benchmark" else command[:1] for command in COMMANDS}
    assert {" ".join(command) for command in tested} | {"", "benchmark"} == parsers().keys()


def test_every_command_declares_its_effect() -> None:
    without_state = {"", "benchmark", "completion"}
    assert cli.EFFECTS.keys() == parsers().keys() - without_state | {"quarantine --retry"}


def printed_by(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 0
    return capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed_by(capsys, "--version") == f"rag-assets {metadata.version('rag-assets')}\n"


def test_the_command_runs_where_the_package_is_not_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_found(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", not_found)
    assert printed_by(capsys, "--version") == "rag-assets (not installed)\n"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_argument_is_described(capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    words = command[:2] if command[0] == "benchmark" else command[:1]
    said = printed_by(capsys, *words, "--help")
    assert [line for line in said.splitlines() if re.fullmatch(r"  (--)?\w[\w|-]*( [A-Z=]+)?", line)] == []


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_the_help_of_every_command_has_examples_that_can_be_typed(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    words = command[:2] if command[0] == "benchmark" else command[:1]
    said = printed_by(capsys, *words, "--help")
    listed = re.search(r"^examples:\n((?:  rag-assets .*\n)+)", said, re.MULTILINE)
    assert listed is not None
    for example in listed[1].splitlines():
        typed = shlex.split(example.strip().partition(" > ")[0])
        assert typed[: len(words) + 1] == ["rag-assets", *words]
        parser().parse_args(typed[1:])


def test_the_help_lists_every_command_with_its_purpose_and_the_first_steps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = printed_by(capsys, "--help")
    listed = dict(re.findall(r"^    (\w+) {2,}([A-Z].*)$", said, re.MULTILINE))
    assert listed.keys() == {command[0] for command in COMMANDS}
    assert said.index("examples:\n  rag-assets refresh\n") > 0


@pytest.mark.parametrize("command", [(), ("benchmark",)])
def test_without_a_command_the_help_is_printed(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(command) == 0
    assert capsys.readouterr().out == printed_by(capsys, *command, "--help")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("none",), ("benchmark", "none"), ("search",), ("show", "a", "b")])
def test_a_wrong_command_line_is_an_error(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(command)
    assert end.value.code == 2
    assert "usage: rag-assets" in capsys.readouterr().err


def completed(capsys: pytest.CaptureFixture[str], *typed: str) -> set[str]:
    """Return what the Tab key offers after these words, in a real shell."""
    assert cli.main(["completion", "bash"]) == 0
    words = " ".join(shlex.quote(word) for word in ("rag-assets", *typed))
    program = f"{capsys.readouterr().out}\nCOMP_WORDS=({words})\nCOMP_CWORD={len(typed)}\n_rag_assets\n"
    program += "complete -p rag-assets >/dev/null && printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run([bash, "-u"], input=program, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_shell_completes_commands_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert completed(capsys, "") == {*(command[0] for command in COMMANDS), "--version", "--help"}
    assert completed(capsys, "res") == {"restore", "resume"}
    assert completed(capsys, "search", "leave", "--l") == {"--limit"}
    assert completed(capsys, "search", "--") >= {"--filter", "--generation", "--json", "--help"}
    assert completed(capsys, "benchmark", "") == {"draft", "accept", "pin", "unpin", "--help"}
    assert completed(capsys, "benchmark", "draft", "--q") == {"--questions"}
    assert completed(capsys, "completion", "b") == {"bash"}
    assert completed(capsys, "show", "a") == set()


def test_the_help_of_search_lists_every_field_with_an_index(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed_by(capsys, "search", "--help")
    listed = re.search(r"^fields:\n(.*?)\n\n", said, re.MULTILINE | re.DOTALL)
    assert listed is not None
    kinds = dict(re.findall(r"^  (\w+)\s+((?:\w+(?:,\s+)?)+)", listed[1], re.MULTILINE))
    assert {kind: sorted(re.findall(r"\w+", names)) for kind, names in kinds.items()} == {
        "text": sorted((*KEYWORD_FIELDS, *LOCATION_KEYWORD_FIELDS)),
        "number": sorted(INTEGER_FIELDS),
        "date": sorted((*DATETIME_FIELDS, *LOCATION_DATETIME_FIELDS)),
    }


def test_the_help_of_a_draft_says_where_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert "benchmark.draft.jsonl" in printed_by(capsys, "benchmark", "draft", "--help")


@pytest.mark.parametrize("command", [["trace"], ["show"], ["quarantine", "--retry"]])
def test_an_empty_name_is_refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parser().parse_args([*command, " "])
    assert refused.value.code == 2
    assert "the name of a document is empty" in capsys.readouterr().err
