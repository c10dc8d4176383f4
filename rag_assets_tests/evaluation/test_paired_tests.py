import itertools
import random
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from rag_assets.evaluation.paired_tests import (
    UNITS,
    Interval,
    holm,
    interval,
    questions_to_settle,
    sign_flip_test,
    sign_test,
)

REACHED = [0, *(UNITS // rank for rank in range(1, 11))]


def of_all_signs(units: Sequence[int]) -> Fraction:
    """The share of all assignments of signs with a sum at most as large, counted one by one."""
    signs = itertools.product((-1, 1), repeat=len(units))
    sums = [sum(sign * unit for sign, unit in zip(one, units, strict=True)) for one in signs]
    return Fraction(sum(one <= sum(units) for one in sums), len(sums))


def differences(count: int, seed: int) -> list[int]:
    drawn = random.Random(seed)
    return [drawn.choice(REACHED) - drawn.choice(REACHED) for _ in range(count)]


@pytest.mark.parametrize("seed", range(40))
def test_the_sign_flip_test_equals_a_count_of_all_signs(seed: int) -> None:
    units = differences(seed % 13 + 1, seed)
    assert sign_flip_test(units) == pytest.approx(float(of_all_signs(units)), abs=1e-12)


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ([], 1),
        ([0, 0], 1),
        ([-1], 0.5),
        ([UNITS], 1),
        ([-3] * 6, 1 / 64),
        ([3, -3], 0.75),
        ([-2, 1, 1], 0.625),
    ],
)
def test_sums_that_can_be_counted_by_hand(units: list[int], expected: float) -> None:
    assert sign_flip_test(units) == pytest.approx(expected, abs=1e-12)


def test_two_thousand_differing_questions_are_compared_with_random_signs() -> None:
    units = np.array(differences(2_600, 7))
    units = units[units != 0][:2_000]
    assert len(units) == 2_000
    drawn = np.random.default_rng(0)
    sums = np.concatenate([drawn.choice((-1, 1), (500, 2_000)) @ units for _ in range(40)])
    found = sign_flip_test(units.tolist())
    assert found == pytest.approx(np.mean(sums <= units.sum()), abs=0.015)
    assert sign_flip_test(units.tolist()) == found
    lower, higher = (
        sign_flip_test([*units[:-1].tolist(), -UNITS]),
        sign_flip_test([*units[:-1].tolist(), UNITS]),
    )
    assert lower < higher


def test_the_largest_possible_loss_has_nearly_no_probability() -> None:
    assert sign_flip_test([-UNITS] * 2_000) < 1e-12
    assert sign_flip_test([UNITS] * 2_000) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("losses", "wins", "expected"),
    [(0, 0, 0.5), (1, 0, 0.25), (0, 1, 0.75), (6, 0, 1 / 128), (2, 1, (1 + 3 / 2) / 8), (3, 3, 0.5)],
)
def test_the_sign_test_counts_the_observed_outcome_half(losses: int, wins: int, expected: float) -> None:
    assert sign_test(losses, wins) == pytest.approx(expected, abs=1e-15)


def test_the_sign_test_of_thousands_stays_exact() -> None:
    assert sign_test(1_000, 1_000) == 0.5
    assert sign_test(1_100, 900) == pytest.approx(3.9e-06, rel=0.02)  # of the normal distribution: z = 4.47


def missed(lost: float, won: float, count: int, alpha: float) -> tuple[float, float]:
    """The share of drawn benchmarks with the true mean below and above the interval."""
    drawn = np.random.default_rng(count).multinomial(count, [lost, won, 1 - lost - won], size=4_000)
    known: dict[tuple[int, int], Interval] = {}
    below = above = 0
    for losses, wins, _ in drawn.tolist():
        if (losses, wins) not in known:
            row = [-1.0] * losses + [1.0] * wins + [0.0] * (count - losses - wins)
            known[losses, wins] = interval(row, alpha)
        found = known[losses, wins]
        below += won - lost < found.low
        above += won - lost > found.high
    return below / len(drawn), above / len(drawn)


@pytest.mark.parametrize("count", [30, 100, 300])
@pytest.mark.parametrize(("lost", "won"), [(0.0, 0.0), (0.02, 0.02), (0.05, 0.0), (0.12, 0.02), (0.2, 0.2)])
def test_a_true_drop_lies_below_the_interval_as_seldom_as_stated(lost: float, won: float, count: int) -> None:
    below, above = missed(lost, won, count, 0.025)
    assert below <= 0.035  # a safe verdict would be wrong
    assert above <= 0.05  # and with few losses the other side is the rough one


def test_no_difference_at_all_is_no_certainty() -> None:
    found = interval([0.0] * 100, 0.025)
    assert found.mean == 0
    assert found.low == pytest.approx(-0.037, abs=0.0005)
    assert found.high == -found.low


def test_parts_of_a_loss_add_up() -> None:
    halves, whole = interval([-0.5, -0.5, *[0.0] * 48], 0.025), interval([-1.0, *[0.0] * 49], 0.025)
    assert halves == whole


def test_the_number_of_missing_questions_settles_the_comparison() -> None:
    observed = [-1.0] * 2 + [1.0] + [0.0] * 37
    more = questions_to_settle(observed, 0.025, 0.05)
    assert more is not None
    assert interval(observed, 0.025).low < -0.05
    longer = (40 + more) / 40
    assert interval(observed * 50, 0.025).low > -0.05 or longer > 50
    assert more == pytest.approx(440, abs=80)


def test_a_drop_at_the_margin_or_beyond_settles_as_a_loss() -> None:
    assert questions_to_settle([-1.0, -1.0, *[0.0] * 18], 0.025, 0.05) is not None
    assert (
        questions_to_settle([-1.0, *[0.0] * 19], 0.025, 0.0500001) is None
    )  # just above it: never safe, never worse


def test_holm_stops_at_the_first_value_that_chance_explains() -> None:
    assert holm([0.04, 0.001, 0.02, 0.012], 0.05) == [True, True, True, True]
    assert holm([0.04, 0.001, 0.026, 0.012], 0.05) == [False, True, False, True]
    assert holm([0.013, 0.5, 0.5, 0.5], 0.05) == [False] * 4
    assert holm([], 0.05) == []
