"""Notes about runs under way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rag_assets.tracking import run_notes
from rag_assets.tracking.run_notes import RunNotes


@pytest.fixture
def notes(tmp_path: Path) -> RunNotes:
    return RunNotes(tmp_path / "runs")


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_note_grows_step_by_step(notes: RunNotes) -> None:
    assert notes.get("r1") is None
    notes.begin_step("r1", "chunks", pid=1, takes_lease=False)
    notes.add_numbers("r1", "chunks", {"num_chunks": 5})
    notes.end_step("r1", "chunks", 1.5)
    notes.begin_step("r1", "embeddings", pid=2, takes_lease=False)
    note = notes.get("r1")
    assert note is not None
    assert list(note.steps) == ["chunks", "embeddings"]
    assert (note.steps["chunks"].numbers, note.steps["chunks"].duration_seconds) == ({"num_chunks": 5}, 1.5)
    assert note.steps["embeddings"].duration_seconds is None
    assert note.pid == 2
    assert [one.run_id for one in notes.all()] == ["r1"]
    notes.end("r1")
    assert (notes.all(), notes.ended()) == ([], ["r1"])
    notes.forget_ended(["r1"])
    assert notes.ended() == []


def test_a_retried_step_begins_again(notes: RunNotes) -> None:
    notes.begin_step("r1", "chunks", pid=1, takes_lease=True)
    notes.add_numbers("r1", "chunks", {"num_chunks": 5})
    notes.begin_step("r1", "chunks", pid=1, takes_lease=False)
    note = notes.get("r1")
    assert note is not None
    assert note.steps["chunks"].numbers == {}
    assert note.takes_lease


def test_a_run_is_dead_without_its_process_or_without_its_lease(
    notes: RunNotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes.begin_step("alive", "chunks", pid=os.getpid(), takes_lease=False)
    notes.begin_step("killed", "chunks", pid=dead_pid(), takes_lease=False)
    notes.begin_step("refresh", "chunks", pid=os.getpid(), takes_lease=True)
    dead = {note.run_id for note in notes.all() if note.is_dead(lease_is_ours=True)}
    assert dead == {"killed", "refresh"}
    alive = notes.get("refresh")
    assert alive is not None
    assert not alive.is_dead(lease_is_ours=False)
    monkeypatch.setattr(run_notes, "_ABANDONED_AFTER_SECONDS", -1.0)
    assert all(note.is_dead(lease_is_ours=False) for note in notes.all())


def test_a_damaged_note_is_no_note(notes: RunNotes, tmp_path: Path) -> None:
    notes.begin_step("r1", "chunks", pid=1, takes_lease=False)
    for text in ("{", "[]", "{}", '{"steps": {"chunks": 5}}'):
        (tmp_path / "runs" / "r1.json").write_text(text)
        assert notes.get("r1") is None
        assert notes.all() == []
    notes.end_step("r1", "chunks", 1.0)
