"""Time limits for code without its own, such as clients of other projects.

Such code runs in a daemon thread. Nothing can end a hanging thread: it is left behind, and ends with the process at the
latest.
"""

import math
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class NothingCame(TimeoutError):
    """Neither an item nor an end came in time."""


class ThreadExit(RuntimeError):
    """The code ended its thread, for example with `SystemExit`. The message is the name of the exception."""


def bounded(
    iterate: Callable[[], Iterable[T]], seconds: float, thread_name: str, total_seconds: float = math.inf
) -> Iterator[T]:
    """Start to iterate in a thread at once, and yield the items.

    The thread runs ahead of the consumer, without limit. It stops at its next item if the consumer has given up.

    Args:
        seconds: longest wait for each item.
        total_seconds: time limit for all items together. Items from before the limit are yielded even after it.

    Raises:
        NothingCame: no item came within these times.
        ThreadExit: see there.
        Exception: raised by `iterate`.
    """
    items: SimpleQueue[tuple[T] | Exception | None] = SimpleQueue()
    abandoned = threading.Event()

    def run() -> None:
        try:
            for item in iterate():
                if abandoned.is_set():
                    return
                items.put((item,))
        except Exception as error:
            items.put(error)
        except BaseException as error:
            # Passed on, a SystemExit would end the consumer's thread, and look like the end of a listing.
            items.put(ThreadExit(type(error).__name__))
        else:
            items.put(None)

    threading.Thread(target=run, name=thread_name, daemon=True).start()
    return _received(items, seconds, time.monotonic() + total_seconds, abandoned)


def _received(
    items: "SimpleQueue[tuple[T] | Exception | None]",
    seconds: float,
    deadline: float,
    abandoned: threading.Event,
) -> Iterator[T]:
    try:
        while True:
            left_seconds = deadline - time.monotonic()
            if left_seconds <= 0:
                abandoned.set()  # a fast thread would never let this end
            try:
                item = items.get(timeout=max(0.0, min(seconds, left_seconds)))
            except Empty:
                raise NothingCame from None
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item[0]
    finally:
        abandoned.set()


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return the result of a call, or raise its exception.

    The timeouts of HTTP clients limit single reads only: with one byte per second a server holds a client for ever.

    Raises:
        NothingCame: the call has not ended in time.
    """
    (result,) = bounded(lambda: iter((call(),)), seconds, "within")
    return result


_Calls = SimpleQueue[tuple[Callable[[], Any], SimpleQueue[tuple[Any] | Exception]] | None]


class OneByOne:
    """Makes calls one after the other in one daemon thread, for thousands of short ones.

    A thread of its own for each call took 0.15 ms. A hanging thread is left behind, and the next call begins another.
    """

    def __init__(self, thread_name: str) -> None:
        self._thread_name = thread_name
        self._calls: _Calls | None = None

    def within(self, seconds: float, call: Callable[[], T]) -> T:
        """Return the result of a call, or raise its exception.

        Raises:
            NothingCame, ThreadExit: as in `bounded`.
        """
        calls = self._calls or self._begin()
        outcome: SimpleQueue[tuple[T] | Exception] = SimpleQueue()
        calls.put((call, outcome))
        try:
            result = outcome.get(timeout=seconds)
        except Empty:
            self._calls = None
            calls.put(None)
            raise NothingCame from None
        if isinstance(result, Exception):
            raise result
        return result[0]

    def _begin(self) -> _Calls:
        self._calls = calls = SimpleQueue()
        weakref.finalize(self, calls.put, None)
        threading.Thread(target=_make, args=(calls,), name=self._thread_name, daemon=True).start()
        return calls


def _make(calls: _Calls) -> None:
    while (waiting := calls.get()) is not None:
        call, outcome = waiting
        try:
            outcome.put((call(),))
        except Exception as error:
            outcome.put(error)
        except BaseException as error:
            outcome.put(ThreadExit(type(error).__name__))
        del waiting, call, outcome  # a result may be large
