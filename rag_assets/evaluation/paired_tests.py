"""Tests and intervals for the change between two generations that answered the same questions.

Each question has a difference, candidate minus the other: a loss is negative. Most differences are 0, so the usual standard
error is too small, and a bootstrap of at most 100 questions raises a false alarm in 5 to 9 % of cases in place of 2.5 %.
These tests are exact under their null hypothesis, and the same rows always give the same numbers.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

UNITS = 2520
"""Least common multiple of 1 to 10: each reciprocal rank down to rank 10 is a whole number of 1/2520."""
_FAR = 8.5
"""Sums beyond so many standard deviations have a probability under 1e-15, by Hoeffding's inequality."""
_NEGLIGIBLE = 1e-20
_HALVINGS = 60
_MOST_QUESTIONS = 10_000
"""Longest benchmark that `questions_to_settle` considers."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean difference between its bounds."""

    mean: float
    low: float
    high: float


def sign_test(losses: int, wins: int) -> float:
    """Return the one-sided mid-p value of the sign test: small if there are too many losses for chance.

    With X ~ Binomial(losses + wins, 1/2) it is P(X > losses) + P(X = losses) / 2. Questions without a difference do not count.

    Source: Fagerland, Lydersen and Laake, "The McNemar test for binary matched-pairs data: mid-p and asymptotic are better
    than exact conditional", 2013.
    """
    total = losses + wins
    # Twice the number of outcomes, because the observed one counts half. Integers: exact for any number of questions.
    doubled = math.comb(total, losses) + 2 * sum(
        math.comb(total, more) for more in range(losses + 1, total + 1)
    )
    return doubled / 2 ** (total + 1)


def sign_flip_test(units: Sequence[int]) -> float:
    """Return the one-sided p value of the sum of differences: small if it is too low for chance.

    If nothing has changed, each difference is as probable with the other sign. The value is the probability of a sum at
    most as large as the observed one, over all assignments of signs. The distribution comes from its characteristic function, a
    product of one cosine per difference. That convolves thousands of questions in one Fourier transform. Its error is under 1e-12.

    Args:
        units: the differences in whole units, such as 1/2520.

    Source: Fisher, "The Design of Experiments", 1935, section 21. Pagano and Tritchler, "On Obtaining Permutation
    Distributions in Polynomial Time", 1983.
    """
    sizes = Counter(abs(unit) for unit in units if unit)
    if not sizes:
        return 1.0
    step = math.gcd(*sizes)
    counts = {size // step: count for size, count in sizes.items()}
    observed = sum(units) // step
    spread = math.sqrt(sum(count * size**2 for size, count in counts.items()))
    largest = sum(count * size for size, count in counts.items())
    reach = min(largest, max(math.ceil(_FAR * spread), abs(observed)))
    length = 2 * reach + 2
    probabilities = np.fft.irfft(_transform(counts, length), length)
    # The sum s stands at s modulo the length.
    tail = float(probabilities[length - reach :].sum()) + float(probabilities[: max(observed + 1, 0)].sum())
    if observed < 0:
        tail = float(probabilities[length - reach : length + observed + 1].sum())
    return min(max(tail, 0.0), 1.0)


def _transform(counts: Mapping[int, int], length: int) -> NDArray[np.float64]:
    """Return the characteristic function of the sum at the multiples of 2 pi / length, float64 (length // 2 + 1,)."""
    positions = np.arange(length // 2 + 1)
    values = np.ones(len(positions))
    for size, count in sorted(counts.items(), key=lambda it: -it[1]):
        values *= np.cos((2 * math.pi * size / length) * positions) ** count
        near = np.abs(values) > _NEGLIGIBLE
        if 2 * np.count_nonzero(near) < len(near):  # with many differences nearly all of it vanishes at once
            positions, values = positions[near], values[near]
    whole = np.zeros(length // 2 + 1)
    whole[positions] = values
    return whole


def interval(differences: Sequence[float], alpha: float) -> Interval:
    """Return the mean difference with bounds. Each is missed with a probability of about `alpha`.

    The score interval for matched pairs. A bound is a mean that the differences just do not contradict, with the variance
    that belongs to that mean. So it has a width where no question differs, and holds where all of the few differences are
    losses. A difference between -1 and 1 counts as a part of a loss or of a win, and that makes the interval wider.

    Args:
        differences: each from -1 to 1, at least one.

    Source: Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", 1998.
    """
    return _interval(len(differences), *_lost_and_won(differences), alpha)


def _lost_and_won(differences: Sequence[float]) -> tuple[float, float]:
    return math.fsum(-it for it in differences if it < 0), math.fsum(it for it in differences if it > 0)


def _interval(count: float, lost: float, won: float, alpha: float) -> Interval:
    z = NormalDist().inv_cdf(1 - alpha)
    return Interval((won - lost) / count, -_highest(count, lost, won, z), _highest(count, won, lost, z))


def _highest(count: float, one: float, other: float, z: float) -> float:
    """Return the largest mean of `one` minus `other` per question that z standard deviations allow."""
    low, high = (one - other) / count, 1.0
    for _ in range(_HALVINGS):
        mean = (low + high) / 2
        linear = (2 * count - one + other) * mean - one - other
        share = (math.sqrt(linear**2 + 8 * count * other * mean * (1 - mean)) - linear) / (4 * count)
        deviation = math.sqrt(max(count * (2 * share + mean * (1 - mean)), 0.0))
        low, high = (mean, high) if count * mean - (one - other) < z * deviation else (low, mean)
    return high


def questions_to_settle(differences: Sequence[float], alpha: float, margin: float) -> int | None:
    """Return how many more questions would settle an undecided comparison, if they differ as these do.

    Settled means: the interval lies above -margin, or the mean is at most -margin and the interval lies below 0.

    Returns:
        At least 1, or None for more than 10,000 questions in all.
    """
    count, (lost, won) = len(differences), _lost_and_won(differences)

    def is_settled(questions: int) -> bool:
        grown = _interval(questions, lost * questions / count, won * questions / count, alpha)
        return grown.low > -margin or (grown.mean <= -margin and grown.high < 0)

    low, high = count, _MOST_QUESTIONS
    if not is_settled(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_settled(middle) else (middle, high)
    return high - count


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Return which of several tests find something, so that a false one among all has a probability of at most `alpha`.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    found = [False] * len(p_values)
    order = sorted(range(len(p_values)), key=lambda position: p_values[position])
    for rank, position in enumerate(order):
        if p_values[position] > alpha / (len(p_values) - rank):
            break
        found[position] = True
    return found
