"""Progress of long work: a log line every few seconds, with rate and remaining time."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

_logger = logging.getLogger(__name__)
_EVERY_SECONDS = 5.0
_Item = TypeVar("_Item")


class Progress:
    """Counts units of work and logs at most one line every five seconds.

    Args:
        what: noun of the units, in the plural: `documents`, `chunks`.
        total: expected number of units, if known.
    """

    def __init__(self, what: str, total: int | None = None) -> None:
        self._what = what
        self._total = total
        self._started_at = self._logged_at = time.monotonic()
        self.done = 0

    def advance(self, units: int = 1, note: str = "") -> None:
        self.done += units
        now = time.monotonic()
        if now - self._logged_at < _EVERY_SECONDS:
            return
        self._logged_at = now
        rate = self.done / (now - self._started_at)
        per_second = f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"
        line = f"{self.done:,} {self._what}, {per_second}"
        if self._total and self.done > 0:
            remaining_seconds = max(0, self._total - self.done) / rate
            line = f"{self.done:,} of {self._total:,} {self._what}, {per_second}, {remaining_seconds:,.0f} s to go"
        _logger.info("%s%s", line, f", {note}" if note else "")

    def reach(self, done: int, total: int) -> None:
        """Count up to `done`, for work with its own count."""
        self._total = total
        self.advance(done - self.done)

    def over(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """Yield the items, counting each."""
        for item in items:
            yield item
            self.advance()
