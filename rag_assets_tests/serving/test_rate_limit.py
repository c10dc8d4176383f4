import pytest

from rag_assets.errors import CallRefused
from rag_assets.serving.rate_limit import RateLimit


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_calls_of_a_minute_come_at_once_and_then_one_by_one() -> None:
    clock = Clock()
    limit = RateLimit(30, clock)
    for _ in range(30):
        limit.admit()
    with pytest.raises(CallRefused, match=r"at most 30 per minute. Retry in 2 seconds"):
        limit.admit()
    clock.now += 1.9
    with pytest.raises(CallRefused, match=r"Retry in 1 second$"):
        limit.admit()
    clock.now += 0.2
    limit.admit()
    with pytest.raises(CallRefused):
        limit.admit()


def test_a_pause_earns_no_more_than_the_calls_of_a_minute() -> None:
    clock = Clock()
    limit = RateLimit(2, clock)
    clock.now += 10_000
    limit.admit()
    limit.admit()
    with pytest.raises(CallRefused):
        limit.admit()


def test_refused_calls_do_not_delay_the_next_one() -> None:
    clock = Clock()
    limit = RateLimit(1, clock)
    limit.admit()
    for _ in range(61):
        clock.now += 1
        try:
            limit.admit()
            break
        except CallRefused:
            continue
    assert clock.now <= 161
