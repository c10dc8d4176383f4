"""A command that only reads leaves nothing behind, and says where it looked."""

from pathlib import Path

import pytest

from rag_assets.cli import main as cli
from rag_assets.settings import Settings

READING = (
    ("search", "vacation"),
    ("status",),
    ("plan",),
    ("quarantine",),
    ("settings",),
    ("doctor",),
    ("show", "a.md"),
    ("diff",),
    ("search", "vacation", "--generation", "candidate"),
    ("status", "--nagios"),
    ("export",),
    ("trace", "a.md"),
)
REFUSED = (("rollback",), ("resume",), ("approve", "0" * 16), ("quarantine", "--retry"))
"""Commands without anything to change, where nothing is in production."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with one document and without state."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    documents = tmp_path / "data" / "documents"
    documents.mkdir(parents=True)
    (documents / "a.md").write_text("# Vacation\n\nThirty days.\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", [*READING, *REFUSED], ids=" ".join)
def test_nothing_is_created(folder: Path, command: tuple[str, ...]) -> None:
    before = sorted(folder.rglob("*"))
    cli.main(command)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "command", [("export",), ("search", "vacation"), ("show", "a.md"), ("diff",)], ids=" ".join
)
def test_a_question_about_production_fails_while_there_is_none(
    folder: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(command) == 1
    output, errors = capsys.readouterr()
    place = f"knowledge base knowledge_base in {folder / '.rag'}"
    assert output == ""
    assert errors == f"rag-assets: nothing is in production yet ({place}): run `rag-assets refresh`\n"


@pytest.mark.parametrize("command", [*READING[:-1], *REFUSED], ids=" ".join)
def test_the_place_is_named(
    folder: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(command)
    printed = "".join(capsys.readouterr())
    assert str(folder / ".rag") in printed
    assert "knowledge_base" in printed
