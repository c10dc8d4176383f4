from pathlib import Path

import pytest

from rag_assets.artifacts.last_outcome import OutcomeRecord


def test_the_last_outcome_is_kept_until_the_next_refresh(tmp_path: Path) -> None:
    record = OutcomeRecord(tmp_path / "records")
    assert record.get() is None
    record.forget()
    record.put("blocked", "recall_gate", "run1", generation="g2", message="too low")
    record.put("live", "production_collection", "run2", generation="g3")
    last = OutcomeRecord(tmp_path / "records").get()
    assert last is not None
    assert (last.outcome, last.run_id, last.generation, last.message) == ("live", "run2", "g3", "")
    record.forget()
    assert record.get() is None


@pytest.mark.parametrize(
    ("step", "run_id", "is_kept"),
    [("chunks", "run2", False), ("chunks", "run1", True), ("embeddings", "run2", True)],
    ids=["succeeded later", "failed in this run", "another step"],
)
def test_a_failure_is_settled_when_its_step_succeeds_later(
    tmp_path: Path, step: str, run_id: str, is_kept: bool
) -> None:
    record = OutcomeRecord(tmp_path)
    record.put("failed", "chunks", "run1", message="no answer")
    record.forget_failure(step, run_id)
    assert (record.get() is not None) is is_kept


def test_a_success_is_no_failure_to_forget(tmp_path: Path) -> None:
    record = OutcomeRecord(tmp_path)
    record.put("live", "production_collection", "run1", generation="g3")
    record.forget_failure("production_collection", "run2")
    assert record.get() is not None


@pytest.mark.parametrize("content", ["{", "[]", '{"outcome": "live"}'])
def test_a_damaged_record_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "last_outcome.json").write_text(content)
    assert OutcomeRecord(tmp_path).get() is None
