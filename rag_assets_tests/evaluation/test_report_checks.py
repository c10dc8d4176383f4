import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rag_assets.evaluation.benchmark import Benchmark, BenchmarkQuery
from rag_assets.evaluation.gate import judge
from rag_assets.evaluation.report import EvalReport
from rag_assets.evaluation.report_checks import damage_in, foreign_questions_in, report_digest
from rag_assets_tests.reports import passing_report

REPORT = passing_report("g1", "ab", 0.5)
ROW = REPORT.queries[0]


def with_means(**means: Any) -> EvalReport:
    assert REPORT.scores is not None
    return replace(REPORT, scores=replace(REPORT.scores, means=REPORT.scores.means | means))


def with_row(**metrics: Any) -> EvalReport:
    return replace(REPORT, queries=(replace(ROW, metrics=ROW.metrics | metrics),))


@pytest.mark.parametrize("value", [0.99, True, math.nan, math.inf, "0.5", None, -1])
def test_a_mean_that_does_not_follow_from_the_rows_is_damage(value: object) -> None:
    for metric in ("recall_at_5", "mrr"):
        report = with_means(**{metric: value})
        assert "the mean of its rows is 0.500" in damage_in(report)
        assert not judge(report, 0.4).passed
    assert damage_in(REPORT) == ""


@pytest.mark.parametrize("value", [True, math.nan, math.inf, "1", None, -0.1, 1.1])
def test_a_row_with_anything_but_a_share_is_damage(value: object) -> None:
    report = with_row(recall_at_5=value)
    assert "other than a number from 0 to 1" in damage_in(report)
    assert not judge(report, 0.4).passed


def test_the_verdict_is_worked_out_from_the_rows() -> None:
    assert not judge(with_means(recall_at_5=1.0), 0.75).passed
    assert not judge(with_row(recall_at_5=1.0), 0.75).passed


@pytest.mark.parametrize(
    "asked",
    [
        [],
        [("How?", ("b.md",))],
        [("Why?", ("a.md",))],
        [("How?", ("a.md",)), ("Why?", ("a.md",))],
        [("How?", ("a.md",)), ("How?", ("a.md",))],
    ],
)
def test_the_rows_are_exactly_the_questions_of_the_benchmark(
    asked: list[tuple[str, tuple[str, ...]]],
) -> None:
    benchmark = Benchmark(tuple(BenchmarkQuery(*one) for one in asked))
    assert "not the questions of the benchmark" in foreign_questions_in(REPORT, benchmark)
    same = Benchmark((BenchmarkQuery("How?", ("a.md",)),))
    assert foreign_questions_in(REPORT, same) == ""


CHANGES: list[Callable[[EvalReport], EvalReport]] = [
    lambda report: replace(report, generation="g2"),
    lambda report: replace(report, digest="cd"),
    lambda report: replace(report, points_count=4),
    lambda report: replace(report, verdict_configuration={"benchmark": "other"}),
    lambda report: replace(report, problems=("one",)),
    lambda report: with_means(mrr=True),
    lambda report: with_row(mrr=0.6),
    lambda report: replace(report, queries=(replace(ROW, retrieved=()),)),
    lambda report: replace(report, queries=(ROW, ROW)),
]


def test_the_digest_covers_everything_but_times_and_costs() -> None:
    assert (
        len({report_digest(change(REPORT)) for change in [*CHANGES, lambda report: report]})
        == len(CHANGES) + 1
    )
    slower = replace(REPORT, queries=(replace(ROW, latency_seconds=9.0),), num_embedded=7)
    assert report_digest(slower) == report_digest(REPORT)
