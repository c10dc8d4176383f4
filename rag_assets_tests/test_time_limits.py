"""Waiting for hanging code ends in time."""

import sys
import threading
from collections.abc import Iterator

import pytest

from rag_assets.time_limits import NothingCame, OneByOne, ThreadExit, bounded, within


def test_items_come_in_order_and_end() -> None:
    assert list(bounded(lambda: range(1000), 30, "test")) == list(range(1000))


def test_a_hanging_iteration_is_given_up() -> None:
    never = threading.Event()

    def hang() -> Iterator[int]:
        yield 1
        never.wait()

    items = bounded(hang, 0.1, "test")
    assert next(items) == 1
    with pytest.raises(NothingCame):
        next(items)
    never.set()


def test_an_error_is_raised_after_the_earlier_items() -> None:
    def fail() -> Iterator[int]:
        yield 1
        raise ValueError

    items = bounded(fail, 30, "test")
    assert next(items) == 1
    with pytest.raises(ValueError):  # noqa: PT011
        next(items)


def test_it_starts_at_once() -> None:
    started = threading.Event()

    def start() -> Iterator[int]:
        started.set()
        yield 1

    items = bounded(start, 30, "test")
    assert started.wait(30)
    assert list(items) == [1]


@pytest.mark.parametrize("pause_seconds", [0.01, 0.0])
def test_all_items_together_have_a_time_limit(pause_seconds: float) -> None:
    never = threading.Event()

    def endless() -> Iterator[int]:
        while not (pause_seconds and never.wait(pause_seconds)):
            yield 1

    with pytest.raises(NothingCame):
        list(bounded(endless, 30, "test", total_seconds=0.05))
    never.set()


def test_items_that_came_in_time_are_yielded_after_it() -> None:
    items = bounded(lambda: range(3), 30, "test", total_seconds=0.05)
    threading.Event().wait(0.1)
    assert list(items) == [0, 1, 2]


def test_an_exit_of_the_thread_is_an_error() -> None:
    def leave() -> Iterator[int]:
        yield 1
        raise SystemExit

    with pytest.raises(ThreadExit, match="SystemExit"):
        list(bounded(leave, 30, "test"))


def test_it_stops_when_the_reader_stops() -> None:
    wanted, stopped = threading.Event(), threading.Event()
    made: list[int] = []

    def count() -> Iterator[int]:
        try:
            for number in range(1000):
                made.append(number)
                yield number
                wanted.wait(30)
        finally:
            stopped.set()

    items = bounded(count, 30, "test")
    next(items)
    items.close()  # pyright: ignore[reportAttributeAccessIssue]
    wanted.set()
    assert stopped.wait(30)
    assert made == [0, 1]


def test_a_finished_call_returns_its_result() -> None:
    assert within(10, lambda: 7) == 7
    assert within(10, lambda: None) is None


def test_an_exception_of_a_call_is_raised() -> None:
    def fail() -> None:
        raise LookupError("why")

    with pytest.raises(LookupError, match="why"):
        within(10, fail)


def test_a_hanging_call_is_given_up() -> None:
    released = threading.Event()
    with pytest.raises(NothingCame):
        within(0.05, released.wait)
    released.set()


def test_calls_are_made_in_one_thread_until_one_hangs() -> None:
    calls = OneByOne("test")
    never = threading.Event()
    first = calls.within(30, threading.get_ident)
    assert calls.within(30, threading.get_ident) == first != threading.get_ident()
    with pytest.raises(NothingCame):
        calls.within(0.05, never.wait)
    assert calls.within(30, threading.get_ident) != first
    never.set()


def test_errors_of_calls_are_raised_and_the_thread_goes_on() -> None:
    calls = OneByOne("test")
    with pytest.raises(ZeroDivisionError):
        calls.within(30, lambda: 1 // 0)
    with pytest.raises(ThreadExit, match="SystemExit"):
        calls.within(30, sys.exit)
    assert calls.within(30, lambda: "still there") == "still there"


def test_the_thread_ends_with_its_owner() -> None:
    calls = OneByOne("test")
    thread = calls.within(30, threading.current_thread)
    del calls
    thread.join(30)
    assert not thread.is_alive()
