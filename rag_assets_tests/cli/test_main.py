"""What the command does before there is a knowledge base."""

from importlib import metadata
from importlib.metadata import PackageNotFoundError

import pytest

from rag_assets.cli import main as cli


def version_told(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    return capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert version_told(capsys) == f"rag-assets {metadata.version('rag-assets')}\n"


def test_the_command_runs_where_the_package_was_not_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_found(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", not_found)
    assert version_told(capsys) == "rag-assets (not installed)\n"
