import math
import re
from dataclasses import replace
from typing import Any

import pytest

from rag_assets.evaluation.gate import judge, stale_reason
from rag_assets.evaluation.report import EvalReport
from rag_assets_tests.reports import answer, compared_report, passing_report


def with_recall(recall: float) -> EvalReport:
    return passing_report("g1", "ab", recall)


@pytest.mark.parametrize(
    ("recall", "threshold", "passed"),
    [(0.75, 0.75, True), (0.7499, 0.75, False), (1.0, 1.0, True), (0.0, 0.0, True), (0.76, 0.75, True)],
)
def test_the_threshold_must_be_reached(recall: float, threshold: float, passed: bool) -> None:
    assert judge(with_recall(recall), threshold).passed is passed


def test_the_verdict_states_the_measurement_with_its_uncertainty() -> None:
    verdict = judge(with_recall(0.5), 0.75)
    assert str(verdict).startswith(
        "Recall@5 0.500 ± 0.200 over 1 question (production now: 0.800) is below the threshold 0.75; production is unchanged"
    )
    assert "reaches the threshold 0.25" in str(judge(with_recall(0.5), 0.25))
    assert "production now" not in str(judge(replace(with_recall(0.5), production_scores=None), 0.75))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_other_than_a_finite_number_never_passes(value: float) -> None:
    assert not judge(with_recall(value), 0.75).passed
    assert not judge(with_recall(1.0), value).passed


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (
            replace(with_recall(1.0), problems=("the benchmark is missing", "and more")),
            "the benchmark is missing",
        ),
        (replace(with_recall(1.0), points_count=0), "the candidate is empty"),
        (replace(with_recall(1.0), scores=None), "nothing was measured"),
        (replace(with_recall(1.0), queries=()), "nothing was measured"),
    ],
    ids=["problems", "empty", "no scores", "no questions"],
)
def test_a_report_without_proof_of_quality_fails(report: EvalReport, reason: str) -> None:
    verdict = judge(report, 0.0)
    assert not verdict.passed
    assert verdict.reasons[0].startswith(reason)


def test_an_unmeasured_production_is_no_reason_to_fail() -> None:
    assert judge(replace(with_recall(1.0), production_scores=None), 0.75).passed


def test_a_candidate_of_one_point_is_not_empty() -> None:
    assert judge(replace(with_recall(1.0), points_count=1), 0.75).passed


@pytest.mark.parametrize(
    ("now", "named"),
    [
        ({"eval_threshold": 0.1}, "eval_threshold"),
        ({"benchmark": "other", "dense_weight": 0.5}, "benchmark, dense_weight"),
        ({"reranker": "new"}, "reranker"),
    ],
)
def test_a_report_is_valid_only_for_its_own_verdict_configuration(now: dict[str, Any], named: str) -> None:
    report = with_recall(1.0)
    assert stale_reason(report, dict(report.verdict_configuration)) == ""
    assert f"different settings ({named})" in stale_reason(report, report.verdict_configuration | now)
    assert stale_reason(report, {})


GOOD, BAD = answer(1.0), answer(0.0)


def test_a_loss_blocks_far_above_the_threshold() -> None:
    report = compared_report([(GOOD, BAD)] * 9 + [(GOOD, GOOD)] * 91)
    verdict = judge(report, 0.1)
    assert not verdict.passed
    assert verdict.floor_reached
    assert "worse than production: Recall@5 1.000 → 0.910, -9.0 points" in str(verdict)
    assert "lost questions: “question 1”, “question 2”, “question 3” and 6 more" in str(verdict)


def test_a_loss_only_warns_if_the_settings_say_so() -> None:
    report = compared_report([(GOOD, BAD)] * 9 + [(GOOD, GOOD)] * 91, regression_fails=False)
    verdict = judge(report, 0.1)
    assert verdict.passed
    assert "worse than production" in str(verdict)


def test_a_candidate_below_the_threshold_like_production_is_not_called_worse() -> None:
    report = compared_report([(BAD, BAD)] * 50 + [(GOOD, GOOD)] * 50)
    verdict = judge(report, 0.75)
    assert not verdict.passed
    assert "no loss is found: production is at 0.500, below the threshold too" in str(verdict)
    assert "lost questions" not in str(verdict)


def test_the_first_build_has_the_floor_only() -> None:
    report = replace(passing_report("g1", "ab"), production_scores=None)
    assert "floor only, because nothing is in production yet" in str(judge(report, 0.75))


def test_a_production_that_could_not_be_measured_is_named() -> None:
    report = replace(
        passing_report("g1", "ab"),
        production_scores=None,
        production_generation="g0",
        production_problem="no answer",
    )
    verdict = judge(report, 0.75)
    assert verdict.passed
    assert "PRODUCTION COULD NOT BE MEASURED, so nothing is known of a loss: no answer" in str(verdict)


def test_an_undecided_comparison_says_how_many_questions_are_missing() -> None:
    report = compared_report([(GOOD, BAD)] * 2 + [(GOOD, GOOD)] * 28)
    verdict = judge(report, 0.5)
    assert verdict.passed
    assert "undecided against production: Recall@5 1.000 → 0.933" in str(verdict)
    assert re.search(r"about \d+ more questions would settle it", str(verdict))
    assert "shown safe against production" in str(judge(compared_report([(GOOD, GOOD)] * 150), 0.5))


def test_a_slice_that_loses_everything_is_named_and_does_not_block() -> None:
    pairs = [(GOOD, BAD)] * 8 + [(GOOD, GOOD)] * 192
    report = compared_report(pairs)
    queries = tuple(
        replace(query, slices=(("source=wiki",) if number < 8 else ("source=files", "format=md")))
        for number, query in enumerate(report.queries)
    )
    verdict = judge(replace(report, queries=queries), 0.5)
    assert verdict.passed
    assert "lost most in source=wiki (1.000 → 0.000 over 8 questions)" in str(verdict)
    assert len(verdict.regression.slices) == 1
