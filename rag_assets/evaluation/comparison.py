"""Compares a candidate with production and with the anchor, question by question.

A comparison has one of three results. *Worse*: the test finds a loss, and the estimated drop reaches the margin. *Shown safe*: the
interval of the change lies above -margin. *Undecided*: neither.

| compared | tests | false alarms, at most |
|---|---|---|
| fused list with production | Recall@5, MRR@10 | 2.5 % each, 5 % together |
| fused list with the anchor | Recall@5, MRR@10 | 1.25 % each, 2.5 % together |
| dense and keyword list with those of production | Recall@5, MRR@10 | 0.625 % each, 2.5 % together |

Together that is at most 10 % for one refresh without a true change, by Bonferroni's inequality. Refreshes in a row share their
production and anchor: their false alarms are not independent.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from rag_assets.evaluation.paired_tests import (
    UNITS,
    Interval,
    interval,
    questions_to_settle,
    sign_flip_test,
    sign_test,
)
from rag_assets.evaluation.report import Answer, EvalReport, ListScores, QueryResult

ALPHA_OF_PRODUCTION = 0.025
ALPHA_OF_ANCHOR = 0.0125
ALPHA_OF_HALF = 0.00625
DEFAULT_MAX_REGRESSION = 5.0
"""Points. See `RAG_MAX_REGRESSION`."""
_SAME = 1e-9
METRIC_NAMES = {"recall_at_5": "Recall@5", "mrr": "MRR@10"}

Part = Literal["fused", "dense", "keyword"]
_LIST_OF: dict[Part, Callable[[Answer], ListScores]] = {
    "fused": lambda answer: answer.fused,
    "dense": lambda answer: answer.dense,
    "keyword": lambda answer: answer.keyword,
}


class Result(StrEnum):
    """Result of a comparison."""

    WORSE = "worse"
    SAFE = "shown safe"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of one list, in the candidate and in another generation.

    Attributes:
        other: `production` or `anchor`.
        before, after: means of the other generation and of the candidate.
        losses, wins: number of questions with a lower and a higher value.
        change: mean of candidate minus other, with its interval.
        p_value: probability of such a loss without a true change.
        questions_to_settle: questions that would settle it, None if it is settled or no number would.
    """

    other: str
    part: Part
    metric: str
    before: float
    after: float
    losses: int
    wins: int
    change: Interval
    p_value: float
    result: Result
    questions_to_settle: int | None = None

    @property
    def name(self) -> str:
        """The metric, and the half if it is one of a half alone."""
        return METRIC_NAMES[self.metric] + ("" if self.part == "fused" else f" of the {self.part} list alone")

    def __str__(self) -> str:
        points, low, high = (100 * it for it in (self.change.mean, self.change.low, self.change.high))
        return (
            f"{self.name} {self.before:.3f} → {self.after:.3f}, {points:+.1f} points ({low:+.1f} to {high:+.1f}; "
            f"{self.losses} lost, {self.wins} won)"
        )


def compare(
    other: str,
    part: Part,
    metric: str,
    pairs: Sequence[tuple[float, float]],
    alpha: float,
    margin: float,
) -> Comparison:
    """Compare the values of one metric.

    Args:
        pairs: (other, candidate) for each question, 0 to 1, at least one.
        alpha: probability of a false alarm.
        margin: smallest estimated drop that counts, 0 to 1.
    """
    differences = [after - before for before, after in pairs]
    losses, wins = sum(it < -_SAME for it in differences), sum(it > _SAME for it in differences)
    change = interval(differences, alpha)
    if metric == "mrr":
        p_value = sign_flip_test([round(it * UNITS) for it in differences])
    else:
        p_value = sign_test(losses, wins)
    is_drop = change.mean < -_SAME and change.mean <= -margin + _SAME
    needed = None
    if is_drop and p_value <= alpha:
        result = Result.WORSE
    elif change.low > -margin:
        result = Result.SAFE
    else:
        result = Result.UNDECIDED
        needed = questions_to_settle(differences, alpha, margin)
    before, after = (sum(one[position] for one in pairs) / len(pairs) for position in (0, 1))
    return Comparison(other, part, metric, before, after, losses, wins, change, p_value, result, needed)


def comparisons(report: EvalReport) -> list[Comparison]:
    """Return all comparisons of a report, worked out from its rows. None for an unchanged production."""
    settings = report.verdict_configuration
    margin = float(settings.get("max_regression", DEFAULT_MAX_REGRESSION)) / 100
    found: list[Comparison] = []
    if report.production_generation != report.generation:
        with_production = [
            (query.production, query.answer) for query in report.counted if query.production and query.answer
        ]
        for part in _parts(float(settings.get("dense_weight", 0.5))):
            alpha = ALPHA_OF_PRODUCTION if part == "fused" else ALPHA_OF_HALF
            of_part = _LIST_OF[part]
            lists = [(of_part(before), of_part(after)) for before, after in with_production]
            found += _of_lists("production", part, lists, alpha, margin)
    if report.anchor_generation not in (report.generation, report.production_generation):
        anchored = [(query.anchor, query.fused) for query in report.counted if query.anchor]
        found += _of_lists("anchor", "fused", anchored, ALPHA_OF_ANCHOR, margin)
    return found


def _parts(dense_weight: float) -> list[Part]:
    """Return the lists that count. A half without weight changes no answer."""
    halves: list[Part] = ["dense"] if dense_weight > 0 else []
    return ["fused", *halves, *(["keyword"] if dense_weight < 1 else [])]  # pyright: ignore[reportReturnType]


def _of_lists(
    other: str, part: Part, lists: Sequence[tuple[ListScores, ListScores]], alpha: float, margin: float
) -> list[Comparison]:
    if not lists:
        return []
    pairs = {
        "recall_at_5": [(before.recall_at_5, after.recall_at_5) for before, after in lists],
        "mrr": [(before.mrr, after.mrr) for before, after in lists],
    }
    return [compare(other, part, metric, values, alpha, margin) for metric, values in pairs.items()]


def lost_questions(report: EvalReport, found: Iterable[Comparison]) -> list[QueryResult]:
    """Return the questions that lost in these comparisons, the largest loss first."""
    lost: dict[int, float] = {}
    for one in found:
        for position, query in enumerate(report.counted):
            before, after = _values(query, one)
            if before - after > _SAME:
                lost[position] = lost.get(position, 0.0) + before - after
    return [report.counted[position] for position in sorted(lost, key=lambda it: (-lost[it], it))]


def _values(query: QueryResult, one: Comparison) -> tuple[float, float]:
    if one.other == "anchor":
        return getattr(query.anchor, one.metric, 0.0), getattr(query.fused, one.metric)
    if query.production is None or query.answer is None:
        return 0.0, 0.0
    before, after = _LIST_OF[one.part](query.production), _LIST_OF[one.part](query.answer)
    return getattr(before, one.metric), getattr(after, one.metric)
