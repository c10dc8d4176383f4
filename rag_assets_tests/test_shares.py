"""The order of the tests: long ones first for each worker, all of them once."""

import random

import pytest

from rag_assets_tests.shares import dealt, share_sizes

LONG = [(40.0, [f"long{number}"]) for number in range(6)]
SLOW = [(4.0, [f"slow{number}.{test}" for test in range(4)]) for number in range(5)]
FAST = [(0.0, [f"fast{number}.{test}" for test in range(9)]) for number in range(7)]


@pytest.mark.parametrize("num_workers", [1, 2, 3, 4, 5])
def test_every_share_begins_with_long_tests_and_ends_with_short_ones(num_workers: int) -> None:
    groups = [*FAST, *SLOW, *LONG]
    random.Random(7).shuffle(groups)
    tests = dealt(groups, num_workers)
    assert sorted(tests) == sorted(test for _, group in groups for test in group)
    begin = 0
    for size in share_sizes(len(tests), num_workers):
        share = [test.rstrip("0123456789.") for test in tests[begin : begin + size]]
        begin += size
        assert share == sorted(share, key=["long", "slow", "fast"].index)
        assert share[0] == "long"
        assert share[-1] == "fast"
    assert begin == len(tests)


def test_long_tests_are_dealt_evenly() -> None:
    tests = dealt([*LONG, *FAST], 3)
    size = len(tests) // 3
    assert [sum("long" in test for test in tests[at : at + size]) for at in (0, size, 2 * size)] == [2, 2, 2]


def test_the_tests_of_a_file_stay_together() -> None:
    tests = dealt([*SLOW, *FAST], 2)
    for _, group in SLOW:
        begin = tests.index(group[0])
        assert tests[begin : begin + len(group)] == group


def test_a_share_with_too_many_slow_tests_gives_some_away() -> None:
    groups = [(4.0, ["a"]), (3.0, ["b", "c", "d", "e", "f"])]
    assert sorted(dealt(groups, 2)) == ["a", "b", "c", "d", "e", "f"]
