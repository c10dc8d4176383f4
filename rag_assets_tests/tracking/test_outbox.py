"""Records that wait: in order, private, limited, and never lost without a word."""

import logging
import stat
import time
from pathlib import Path

import pytest

from rag_assets.tracking import outbox as outbox_module
from rag_assets.tracking.outbox import BusyError, Outbox
from rag_assets.tracking.records import FORGOTTEN, Record, without_document
from rag_assets_tests.tracking.sample_records import question, rollback, run_record


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "tracking" / "handbook")


def waiting(outbox: Outbox) -> list[Record]:
    return [record for _, record in outbox.waiting()]


def test_records_wait_in_order_and_come_back_whole(outbox: Outbox) -> None:
    records = [
        run_record("r2", 2, questions=[question("r2", 1, "fs:東京")]),
        rollback(),
        run_record("r1", 1),
    ]
    assert waiting(outbox) == []
    for record in records:
        outbox.put(record)
    assert waiting(Outbox(outbox.folder)) == records
    assert outbox.num_waiting == 3


def test_a_strange_name_waits_as_its_escape(outbox: Outbox) -> None:
    outbox.put(run_record("r1", 1, questions=[question("r1", 1, "fs:\udcff", "fs:b")]))
    outbox.replace_each(lambda record: without_document(record, ["fs:b"]))
    [record] = waiting(outbox)
    assert record.rows["rag_evaluation_questions"][0]["retrieved_documents"] == ["fs:\\udcff", FORGOTTEN]
    outbox.replace_each(lambda record: without_document(record, ["fs:\udcff"]))
    [record] = waiting(outbox)
    assert record.rows["rag_evaluation_questions"][0]["retrieved_documents"] == [FORGOTTEN, FORGOTTEN]


def test_only_this_user_reads_them(outbox: Outbox) -> None:
    outbox.put(run_record("r1", 1))
    outbox.note_problem("the server is down")
    for path in [outbox.folder, *outbox.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_the_oldest_record_is_dropped_with_a_warning(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outbox_module, "MAX_WAITING", 3)
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            outbox.put(run_record(f"r{number}", number))
    assert [record.id for record in waiting(outbox)] == ["r2", "r3", "r4"]
    assert caplog.text.count("the oldest is dropped") == 2
    lag = outbox.note_problem("the server is down")
    assert (lag.num_waiting, lag.num_dropped) == (3, 2)


def test_an_unreadable_record_stops_no_other(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    outbox.put(run_record("r1", 1))
    outbox.put(run_record("r2", 2))
    [(first, _), _] = outbox.waiting()
    first.write_text("{")
    assert [record.id for record in waiting(outbox)] == ["r2"]
    assert "unusable" in caplog.text
    assert waiting(outbox) == waiting(outbox)
    lag = outbox.lag()
    assert lag is not None
    assert lag.num_dropped == 1


def test_the_delay_counts_from_the_first_failed_delivery(outbox: Outbox) -> None:
    assert outbox.lag() is None
    outbox.put(run_record("r1", 1))
    not_yet = outbox.lag()
    assert not_yet is not None
    assert (not_yet.problem, not_yet.num_waiting) == ("not delivered yet", 1)
    first = outbox.note_problem("the server is down")
    outbox.put(run_record("r2", 2))
    second = outbox.note_problem("the disk is full")
    assert (second.since, second.problem, second.num_waiting) == (first.since, "the disk is full", 2)
    assert outbox.lag() == second
    for path, _ in outbox.waiting():
        path.unlink()
    outbox.forget_problem()
    assert outbox.lag() is None


def test_one_process_delivers_at_a_time(outbox: Outbox) -> None:
    second = Outbox(outbox.folder)
    with outbox.delivering(time.monotonic()), pytest.raises(BusyError), second.delivering(time.monotonic()):
        pytest.fail("two deliver")
    with outbox.delivering(time.monotonic()):
        pass


def test_a_purged_document_leaves_the_waiting_records(outbox: Outbox) -> None:
    asked = question("r1", 1, "filesystem:hr/pay.md", "filesystem:b.md", expected="hr/pay.md")
    outbox.put(
        run_record("r1", 1, "refused", questions=[asked], reason="the deletion of filesystem:hr/pay.md")
    )
    outbox.put(rollback())
    outbox.replace_each(lambda record: without_document(record, ["filesystem:hr/pay.md", "hr/pay.md"]))
    assert "pay.md" not in "".join(path.read_text() for path in outbox.folder.rglob("*.json"))
    [first, second] = waiting(outbox)
    assert first.rows["rag_evaluation_questions"][0]["retrieved_documents"][1] == "filesystem:b.md"
    assert second == rollback() or second.id == "rollback-1"
