"""Waiting only so long for code that knows no time limit: clients of others, which may hang for ever."""

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class NothingCame(TimeoutError):
    """Who is waited for gave neither an item nor an end."""


def bounded(iterate: Callable[[], Iterable[T]], seconds: float, thread_name: str) -> Iterator[T]:
    """Yield what `iterate` gives, which runs in one thread of its own, ahead of who consumes it.

    Nothing can end a thread that hangs. It is left behind, as a daemon, and stops at its next item if there is one.

    Args:
        seconds: how long to wait for each item.

    Raises:
        NothingCame: within that time.
        Exception: what `iterate` raised.
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
            # A SystemExit must not end the thread of who waits, which would look like the end of a listing.
            items.put(RuntimeError(type(error).__name__))
        else:
            items.put(None)

    threading.Thread(target=run, name=thread_name, daemon=True).start()
    try:
        while True:
            try:
                item = items.get(timeout=seconds)
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
    """Return what `call` returns, or raise what it raises.

    The timeouts of HTTP clients are those of one read: a server that drips a byte a second holds a client for ever.

    Raises:
        NothingCame: it has not ended in time.
    """
    (result,) = bounded(lambda: iter((call(),)), seconds, "within")
    return result
