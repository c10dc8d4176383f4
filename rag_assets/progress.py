"""Progress of long work: a log line every few seconds, with rate and remaining time."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

_logger = logging.getLogger(__name__)
_EVERY_SECONDS = 5.0
_Item = TypeVar("_Item")


def duration(seconds: float) -> str:
    """Return `0.4 s`, `35 s`, `46 min` or `2 h 5 min`."""
    if seconds < 120:
        return f"{seconds:.1f} s" if round(seconds, 1) < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


class Progress:
    """Counts units of work and logs at most one line every five seconds.

    Args:
        what: noun of the units, in the plural: `documents`, `chunks`.
        total: expected number of units, if known.
    """

    def __init__(self, what: str, total: int | None = None) -> None:
        self._what = what
        self._total = total
        self._logged_at = time.monotonic()
        # The rate counts from the end of the first units: before it, a model may have been loaded.
        self._first_at: float | None = None
        self._first_done = 0
        self.done = 0

    def advance(self, units: int = 1, note: str = "") -> None:
        self.done += units
        now = time.monotonic()
        if self._first_at is None and self.done:
            self._first_at, self._first_done = now, self.done
        if now - self._logged_at < _EVERY_SECONDS:
            return
        self._logged_at = now
        _logger.info("%s", ", ".join(filter(None, (self._count(), *self._rate(now), note))))

    def _count(self) -> str:
        return (
            f"{self.done:,} of {self._total:,} {self._what}" if self._total else f"{self.done:,} {self._what}"
        )

    def _rate(self, now: float) -> Iterator[str]:
        """Yield rate and remaining time, nothing before the second units are done."""
        if self._first_at is None or self.done == self._first_done or now <= self._first_at:
            return
        rate = (self.done - self._first_done) / (now - self._first_at)
        yield f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"
        if self._total:
            yield f"{duration(max(0, self._total - self.done) / rate)} to go"

    def reach(self, done: int, total: int) -> None:
        """Count up to `done`, for work with its own count."""
        self._total = total
        self.advance(done - self.done)

    def over(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """Yield the items, counting each."""
        for item in items:
            yield item
            self.advance()
