"""A file that is still being written is named in `plan`, `status` and `trace`."""

from pathlib import Path

import pytest

from rag_assets.ingestion import reading
from rag_assets.sources import base
from rag_assets_tests.pipeline import Pipeline, text_about


@pytest.fixture
def moving(promoted: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Two files that grow at each look: a new one and a known one."""
    paths = [
        promoted.write("new.md", text_about("new")),
        promoted.write("topic04.md", text_about("changed")),
    ]

    def grow(path: Path) -> None:
        with path.open("a") as file:
            file.write("Another line.\n")

    monkeypatch.setattr(base, "UNSETTLED_SECONDS", 3600.0)
    monkeypatch.setattr(reading, "sleep", lambda _: list(map(grow, paths)))
    for path in paths:
        grow(path)  # its time is now
    return promoted


NEW = "still written   filesystem:new.md: left out until it holds still"
KNOWN = "still written   filesystem:topic04.md: its last good version is served until it holds still"
ENTRIES = [
    {"document_id": "filesystem:new.md", "last_good_version_served": False},
    {"document_id": "filesystem:topic04.md", "last_good_version_served": True},
]


def test_plan_and_status_name_files_that_are_still_being_written(moving: Pipeline) -> None:
    for command in ("plan", "status"):
        if command == "status":
            moving.refresh().checked()
        shown = [" ".join(line.split()) for line in moving.succeed(command).splitlines()]
        assert " ".join(NEW.split()) in shown
        assert " ".join(KNOWN.split()) in shown
    assert moving.json("plan", "--json")["raw_documents"]["unsettled"] == ENTRIES
    assert moving.status()["last_refresh"]["unsettled"] == ENTRIES


def test_trace_says_that_a_file_was_still_being_written(moving: Pipeline) -> None:
    moving.refresh().checked()
    assert "still being written" in moving.succeed("trace", "new.md")
    known = moving.json("trace", "topic04.md", "--json")
    assert known["outcome"] == "served"
    assert any("still being written" in sentence for sentence in known["explanation"])


def test_nothing_is_said_of_files_that_hold_still(promoted: Pipeline) -> None:
    assert promoted.status()["last_refresh"]["unsettled"] == []
    assert "still written" not in promoted.succeed("status") + promoted.succeed("plan")
