import threading

import pytest

from rag_assets.sources.deadline import DeadlineExceeded, within


def test_a_call_that_ends_gives_what_it_gives() -> None:
    assert within(10, lambda: 7) == 7
    assert within(10, lambda: None) is None


def test_a_call_that_fails_fails() -> None:
    def fail() -> None:
        raise LookupError("why")

    with pytest.raises(LookupError, match="why"):
        within(10, fail)


def test_a_call_that_hangs_is_given_up() -> None:
    released = threading.Event()
    with pytest.raises(DeadlineExceeded):
        within(0.05, released.wait)
    released.set()
