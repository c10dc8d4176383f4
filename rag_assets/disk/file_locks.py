"""The exclusive lock of an open file. The kernel releases it when the process dies or closes the file."""

import fcntl
import time

_POLL_SECONDS = 0.01


def take_lock(descriptor: int, deadline: float) -> bool:
    """Take the lock. Return False if another process keeps it until the deadline, by the monotonic clock."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
        time.sleep(_POLL_SECONDS)
