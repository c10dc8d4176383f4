import logging
from types import SimpleNamespace

import pytest

from rag_assets import progress as progress_module
from rag_assets.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> SimpleNamespace:
    found = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: found.now))
    caplog.set_level(logging.INFO, logger="rag_assets.progress")
    return found


def test_short_work_logs_nothing(clock: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress("chunks", 10)
    for _ in range(10):
        clock.now += 0.4
        progress.advance()
    assert progress.done == 10
    assert caplog.messages == []


def test_long_work_logs_one_line_every_five_seconds_with_rate_and_remaining_time(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress("chunks", 40_000)
    for _ in range(110):
        clock.now += 0.1
        progress.advance(100, "0.0010 USD")
    assert len(caplog.messages) == 2
    assert caplog.messages[0].endswith(" of 40,000 chunks, 1,000/s, 35 s to go, 0.0010 USD")


def test_without_a_total_no_remaining_time_is_logged(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress("documents")
    clock.now += 10
    progress.advance(1000)
    assert caplog.messages == ["1,000 documents, 100/s"]


def test_work_without_progress_after_five_seconds_does_not_fail(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress("points copied")
    clock.now += 10
    progress.reach(0, 100)
    assert caplog.messages == ["0 points copied, 0.0/s"]


def test_more_than_expected_leaves_nothing_to_go(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress("texts", 10)
    clock.now += 10
    progress.advance(20)
    assert caplog.messages == ["20 of 10 texts, 2.0/s, 0 s to go"]


def test_work_may_report_its_own_count(clock: SimpleNamespace) -> None:
    progress = Progress("points")
    for done in (3, 3, 10):
        progress.reach(done, 10)
    assert progress.done == 10


def test_items_are_counted_as_they_pass(clock: SimpleNamespace) -> None:
    progress = Progress("points")
    assert list(progress.over("abc")) == ["a", "b", "c"]
    assert progress.done == 3
