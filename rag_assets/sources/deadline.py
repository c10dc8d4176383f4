"""A call that may take only so long, whatever it waits for.

The timeouts of HTTP clients are those of one read: a server that drips a byte a second holds a client for ever.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class DeadlineExceeded(Exception):
    """A call was given up. Its thread ends when whatever it waits for does, with the process at the latest."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what `call` returns, or raise what it raises.

    Raises:
        DeadlineExceeded: it has not ended in time.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    # A daemon, unlike the threads of an executor: one that hangs must not keep the process from ending.
    thread = threading.Thread(target=run, name="deadline", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise DeadlineExceeded
    return results[0]
