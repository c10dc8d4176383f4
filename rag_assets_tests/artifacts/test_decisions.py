import json
from pathlib import Path

import pytest

from rag_assets.artifacts.decisions import DecisionLog


def test_the_last_decisions_come_first(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "records")
    assert log.last() == []
    for number in range(7):
        log.record("rollback", by=f"person {number}", reason="Preise falsch: 3 €", about=f"g{number}")
    assert [one.about for one in log.last()] == ["g6", "g5", "g4", "g3", "g2"]
    assert DecisionLog(tmp_path / "records").last(1)[0].reason == "Preise falsch: 3 €"


def test_the_record_is_private(tmp_path: Path) -> None:
    DecisionLog(tmp_path / "records").record("resume", by="", reason="", about="g1")
    (file,) = (tmp_path / "records").iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_unreadable_lines_are_left_out(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path)
    log.record("rollback", by="ana", reason="", about="g2")
    with (tmp_path / "decisions.jsonl").open("ab") as file:
        file.write(b"\xff\xfe\n[1]\n" + json.dumps({"decision": "resume", "later": "field"}).encode() + b"\n")
    log.record("resume", by="ben", reason="", about="g1")
    with (tmp_path / "decisions.jsonl").open("ab") as file:
        file.write(b'{"decision": "res')
    assert [one.by for one in log.last()] == ["ben", "ana"]


def test_a_record_that_cannot_be_written_is_only_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "decisions.jsonl").mkdir()
    log = DecisionLog(tmp_path)
    log.record("rollback", by="ana", reason="", about="g2")
    assert "the rollback stands" in caplog.text
    assert log.last() == []
