"""Percentiles and the standard error of the mean."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile: at least `share` (0 to 1) of the values are at most as large."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean of values from 0 to 1. It is never 0.

    Two values of 1 and two of 0 are added. Otherwise a benchmark that is answered perfectly would have no error at all.

    Source: Agresti and Coull, "Approximate is better than 'exact' for interval estimation of binomial proportions", 1998.
    """
    count = len(values) + 4
    mean = (math.fsum(values) + 2) / count
    variance = (math.fsum(value * value for value in values) + 2) / count - mean**2
    return math.sqrt(max(variance, 0.0) / count)
