"""The maximum rate of calls."""

import math
import threading
import time
from collections.abc import Callable

from rag_assets.errors import CallRefused
from rag_assets.text.wording import counted


class RateLimit:
    """Admits a number of calls per minute, for all callers together. Threads may share it.

    After a pause it admits as many at once, then one whenever its share of the minute has passed.
    """

    def __init__(self, calls_per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = calls_per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._free = float(calls_per_minute)
        self._counted_at = clock()

    def admit(self) -> None:
        """Count one call.

        Raises:
            CallRefused: it comes too early. A refused call does not count.
        """
        with self._lock:
            now = self._clock()
            self._free = min(self._most, self._free + (now - self._counted_at) * self._most / 60)
            self._counted_at = now
            if self._free < 1:
                wait = math.ceil((1 - self._free) * 60 / self._most)
                raise CallRefused(
                    f"too many calls: at most {self._most:,} per minute. Retry in {counted(wait, 'second')}"
                )
            self._free -= 1
