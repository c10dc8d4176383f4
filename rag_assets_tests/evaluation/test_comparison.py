from dataclasses import replace
from typing import Any

import pytest

from rag_assets.evaluation.comparison import Comparison, Result, compare, comparisons, lost_questions
from rag_assets.evaluation.report import Answer, EvalReport, ListScores
from rag_assets_tests.reports import compared_report

LOST, KEPT = (1.0, 0.0), (1.0, 1.0)


def of_recall(*pairs: tuple[float, float], margin: float = 0.05, alpha: float = 0.025) -> Comparison:
    return compare("production", "fused", "recall_at_5", pairs, alpha, margin)


def test_a_significant_loss_that_reaches_the_margin_is_worse() -> None:
    found = of_recall(*[LOST] * 6, *[KEPT] * 94)
    assert (found.result, found.losses, found.wins) == (Result.WORSE, 6, 0)
    assert (found.before, found.after) == (1.0, 0.94)
    assert "Recall@5 1.000 → 0.940, -6.0 points" in str(found)


def test_a_significant_loss_below_the_margin_is_not_worse() -> None:
    found = of_recall(*[LOST] * 6, *[KEPT] * 194)
    assert found.p_value < 0.025
    assert found.result is Result.UNDECIDED
    assert of_recall(*[LOST] * 6, *[KEPT] * 194, margin=0.03).result is Result.WORSE


def test_a_drop_that_chance_explains_is_undecided_and_says_how_much_is_missing() -> None:
    found = of_recall(*[LOST] * 3, *[KEPT] * 27)
    assert found.change.mean == pytest.approx(-0.1)
    assert found.result is Result.UNDECIDED
    assert found.questions_to_settle is not None
    assert 5 < found.questions_to_settle < 100


def test_enough_questions_without_a_difference_are_shown_safe() -> None:
    assert of_recall(*[KEPT] * 30).result is Result.UNDECIDED
    assert of_recall(*[KEPT] * 100).result is Result.SAFE


def test_a_gain_is_never_worse_with_a_margin_of_nothing() -> None:
    assert of_recall(*[(0.0, 1.0)] * 8, margin=0.0).result is Result.SAFE
    assert of_recall(*[KEPT] * 50, margin=0.0).result is Result.UNDECIDED
    assert of_recall(*[LOST] * 8, *[KEPT] * 992, margin=0.0).result is Result.WORSE


def test_ranks_are_compared_where_the_recall_stays() -> None:
    pairs = [(1.0, 0.5)] * 12 + [(0.5, 0.5)] * 60
    assert of_recall(*[(1.0, 1.0)] * 72).result is not Result.WORSE
    assert compare("production", "fused", "mrr", pairs, 0.025, 0.05).result is Result.WORSE


def answer(fused: float, dense: float, keyword: float) -> Answer:
    return Answer(*(ListScores(one, one) for one in (fused, dense, keyword)))


@pytest.mark.parametrize("half", ["dense", "keyword"])
def test_a_half_that_is_lost_is_found_where_the_fused_list_stays(half: str) -> None:
    bad = answer(1.0, 0.0 if half == "dense" else 1.0, 0.0 if half == "keyword" else 1.0)
    report = compared_report([(answer(1, 1, 1), bad)] * 40)
    worse = [one for one in comparisons(report) if one.result is Result.WORSE]
    assert {one.part for one in worse} == {half}
    assert {one.metric for one in worse} == {"recall_at_5", "mrr"}
    assert len(lost_questions(report, worse)) == 40


@pytest.mark.parametrize(("weight", "unused"), [(0.0, "dense"), (1.0, "keyword")])
def test_a_half_without_weight_is_not_compared(weight: float, unused: str) -> None:
    report = with_settings(compared_report([(answer(1, 1, 1), answer(1, 1, 1))]), dense_weight=weight)
    parts = {one.part for one in comparisons(report)}
    assert parts == {"fused", "dense", "keyword"} - {unused}


def with_settings(report: EvalReport, **settings: Any) -> EvalReport:
    return replace(report, verdict_configuration=report.verdict_configuration | settings)


def test_the_margin_is_that_of_the_verdict_configuration() -> None:
    report = compared_report([(answer(1, 1, 1), answer(0, 1, 1))] * 8 + [(answer(1, 1, 1),) * 2] * 92)
    assert any(one.result is Result.WORSE for one in comparisons(report))
    assert not any(
        one.result is Result.WORSE for one in comparisons(with_settings(report, max_regression=9.0))
    )


def test_an_unchanged_production_is_not_compared_with_itself() -> None:
    report = compared_report([(answer(1, 1, 1), answer(0, 0, 0))] * 40)
    assert comparisons(replace(report, production_generation=report.generation)) == []


def test_the_anchor_is_compared_too_unless_it_is_production() -> None:
    report = compared_report([(answer(0.5, 1, 1), answer(0.5, 1, 1))] * 40)
    queries = tuple(replace(query, anchor=ListScores(1.0, 1.0)) for query in report.queries)
    anchored = replace(report, queries=queries, anchor_generation="g0")
    worse = [one for one in comparisons(anchored) if one.result is Result.WORSE]
    assert [(one.other, one.metric) for one in worse] == [("anchor", "recall_at_5"), ("anchor", "mrr")]
    same = replace(anchored, anchor_generation=anchored.production_generation)
    assert not any(one.other == "anchor" for one in comparisons(same))


def test_a_question_set_apart_counts_in_no_comparison() -> None:
    report = compared_report([(answer(1, 1, 1), answer(0, 0, 0))] * 40)
    apart = replace(report, queries=tuple(replace(query, is_set_apart=True) for query in report.queries))
    assert comparisons(apart) == []
