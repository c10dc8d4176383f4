import logging
from types import SimpleNamespace

import pytest

from rag_assets import progress as progress_module
from rag_assets.progress import Progress, duration


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
    progress.advance(500)
    clock.now += 10
    progress.advance(1000)
    assert caplog.messages == ["1,500 documents, 100/s"]


def test_the_first_unit_gives_no_rate_and_no_remaining_time(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    """It took 5 s to load a model: 534 more do not take 2,742 s."""
    progress = Progress("documents", 535)
    clock.now += 5.1
    progress.advance()
    assert caplog.messages == ["1 of 535 documents"]


def test_the_time_before_the_first_unit_does_not_count_for_the_rate(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress("documents", 535)
    clock.now += 60
    for _ in range(61):
        progress.advance()
        clock.now += 0.1
    assert caplog.messages[-1].endswith(" of 535 documents, 10/s, 48 s to go")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0.4 s"),
        (9.96, "10 s"),
        (59.6, "60 s"),
        (119, "119 s"),
        (120, "2 min"),
        (2742, "46 min"),
        (7140, "119 min"),
        (7500, "2 h 5 min"),
        (7200, "2 h"),
    ],
)
def test_a_duration_has_the_units_of_a_person(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_work_without_progress_after_five_seconds_does_not_fail(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress("points copied")
    clock.now += 10
    progress.reach(0, 100)
    assert caplog.messages == ["0 of 100 points copied"]


def test_more_than_expected_leaves_nothing_to_go(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress("texts", 10)
    progress.advance(2)
    clock.now += 10
    progress.advance(18)
    assert caplog.messages == ["20 of 10 texts, 1.8/s, 0.0 s to go"]


def test_work_may_report_its_own_count(clock: SimpleNamespace) -> None:
    progress = Progress("points")
    for done in (3, 3, 10):
        progress.reach(done, 10)
    assert progress.done == 10


def test_items_are_counted_as_they_pass(clock: SimpleNamespace) -> None:
    progress = Progress("points")
    assert list(progress.over("abc")) == ["a", "b", "c"]
    assert progress.done == 3
