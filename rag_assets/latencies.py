"""Durations of many equal pieces of work, counted in classes: documents parsed, requests to a model."""

import threading
from bisect import bisect_left
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic

BOUNDS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the classes. One more class holds everything above. Persisted in the metadata tables: never changed."""
SUM = "sum"
LARGEST = "+Inf"


class Latencies:
    """Counts durations. Safe for several threads."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self._sum_seconds = 0.0
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        with self._lock:
            self._counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
            self._sum_seconds += seconds

    @contextmanager
    def timed(self) -> Generator[None]:
        """Count the duration of a block, also if it fails."""
        started_at = monotonic()
        try:
            yield
        finally:
            self.add(monotonic() - started_at)

    @property
    def sum_seconds(self) -> float:
        return self._sum_seconds

    @property
    def count(self) -> int:
        return sum(self._counts)

    def to_counts(self) -> dict[str, float]:
        """Return upper bound -> durations in this class alone, without empty ones, and the sum in seconds. {} for none."""
        bounds = (*map(str, BOUNDS_SECONDS), LARGEST)
        counts = {bound: count for bound, count in zip(bounds, self._counts, strict=True) if count}
        return {**counts, SUM: round(self._sum_seconds, 6)} if counts else {}
