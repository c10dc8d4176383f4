"""The order of all tests: each worker of pytest-xdist begins with long tests and ends with short ones.

At first a worker gets one contiguous share. An idle worker takes from the end of another share, but never its last two
tests. With all long tests in one share, the others would wait for minutes at the end.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import pytest

_SECONDS_IF_VERY_SLOW, _SECONDS_IF_SLOW = 40, 1
"""Rough processor times: a test with a timeout of its own, and any other slow test."""
_Test = TypeVar("_Test")


def deal(items: list[pytest.Item], num_workers: int) -> None:
    """Sort tests in place. The tests of a file stay together, and so share their fixtures, except very slow ones."""
    groups: dict[object, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault((item.get_closest_marker("timeout") is None, item.path), []).append(item)
    items[:] = dealt([(sum(map(seconds_of, group)), group) for group in groups.values()], num_workers)


def seconds_of(item: pytest.Item) -> int:
    if item.get_closest_marker("timeout"):
        return _SECONDS_IF_VERY_SLOW
    return _SECONDS_IF_SLOW if item.get_closest_marker("slow") else 0


def dealt(groups: Iterable[tuple[float, Sequence[_Test]]], num_workers: int) -> list[_Test]:
    """Return all tests in shares of equal length and nearly equal time, the longest tests of each share first.

    Args:
        groups: seconds of a group, and its tests.
    """
    groups = sorted(groups, key=lambda group: -group[0])
    shares: list[list[tuple[float, Sequence[_Test]]]] = [[] for _ in range(num_workers)]
    totals = [0.0] * num_workers
    for seconds, tests in groups:
        if seconds:
            share = totals.index(min(totals))
            totals[share] += seconds
            shares[share].append((seconds / len(tests), tests))
    tests_of = [[test for _, tests in sorted(it, key=lambda one: -one[0]) for test in tests] for it in shares]
    short = [test for seconds, tests in groups if not seconds for test in tests]
    sizes = share_sizes(sum(len(tests) for _, tests in groups), num_workers)
    for share, size in zip(tests_of, sizes, strict=True):
        short += share[size:]
        del share[size:]
    for share, size in zip(tests_of, sizes, strict=True):
        missing = size - len(share)
        share += short[:missing]
        del short[:missing]
    return [test for share in tests_of for test in share]


def share_sizes(num_tests: int, num_workers: int) -> list[int]:
    """Return the sizes of the first shares, as `WorkStealingScheduling` of pytest-xdist cuts them."""
    sizes: list[int] = []
    for number in range(num_workers):
        sizes.append((num_tests - sum(sizes)) // (num_workers - number))
    return sizes
