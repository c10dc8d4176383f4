"""The command line before it opens a knowledge base."""

import re
from importlib import metadata
from importlib.metadata import PackageNotFoundError

import pytest

from rag_assets.cli import main as cli
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
    ("doctor",),
    ("benchmark", "draft"),
    ("benchmark", "accept"),
)


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
