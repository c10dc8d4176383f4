import math

import pytest

from rag_assets.evaluation.statistics import percentile, standard_error


def test_the_nearest_rank_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert percentile([3.0], 0.99) == 3.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert percentile([1.0, 2.0], 0.0) == 1.0


def test_the_standard_error_is_that_of_a_sample() -> None:
    # with two values of 1 and two of 0 more: mean 4/8, variance 1/4
    assert standard_error([0.0, 1.0, 0.0, 1.0]) == pytest.approx(math.sqrt(1 / 4 / 8))
    assert standard_error([0.5] * 4) == pytest.approx(math.sqrt((3 / 8 - 1 / 4) / 8))
    assert standard_error([0.0, 1.0] * 500) == pytest.approx(math.sqrt(1 / 4 / 1_000), rel=0.01)


def test_a_benchmark_answered_perfectly_has_a_standard_error_too() -> None:
    assert standard_error([1.0] * 102) == pytest.approx(0.013, abs=0.001)
    assert standard_error([0.0]) == standard_error([1.0]) > 0.2
