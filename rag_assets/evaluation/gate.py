"""The gate: a verdict from a report. It fails closed: no proof of quality, no promotion.

Two rules decide. The floor: Recall@5 reaches the threshold. No regression: no comparison with production or the anchor is *worse*.
"""

import math
from dataclasses import dataclass
from typing import Any

from rag_assets.evaluation.comparison import DEFAULT_MAX_REGRESSION
from rag_assets.evaluation.regression import NO_COMPARISON, Regression, judge_regression
from rag_assets.evaluation.report import EvalReport
from rag_assets.evaluation.report_checks import damage_in, mean_of_rows
from rag_assets.evaluation.statistics import standard_error
from rag_assets.text.wording import counted

_DEFAULTS = {"max_regression": DEFAULT_MAX_REGRESSION, "regression_fails": True}
"""Settings that reports of earlier versions lack."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a candidate may go live, with the reasons in words.

    Attributes:
        advice: the next place to look, left out where the reader already is there.
        floor_reached: whether Recall@5 reaches the threshold.
        regression: the comparison with production and anchor.
    """

    passed: bool
    reasons: tuple[str, ...]
    advice: str = ""
    floor_reached: bool = True
    regression: Regression = NO_COMPARISON

    @property
    def reason(self) -> str:
        return "; ".join(self.reasons)

    def __str__(self) -> str:
        return "; ".join(filter(None, (*self.reasons, self.advice)))


def stale_reason(report: EvalReport, verdict_configuration: dict[str, Any]) -> str:
    """Return why a report cannot support a verdict made now, or "".

    Lowering the threshold after the measurement must not let a rejected candidate through.
    """
    measured = _DEFAULTS | report.verdict_configuration
    now = _DEFAULTS | verdict_configuration
    differing = sorted(key for key in measured.keys() | now.keys() if measured.get(key) != now.get(key))
    if not differing:
        return ""
    return (
        f"the report on {report.generation} was made with different settings ({', '.join(differing)}): materialize all "
        "assets (nothing is embedded twice), or eval_report and production_collection if the candidate still exists"
    )


def judge(report: EvalReport, threshold: float) -> Verdict:
    """Return the verdict on a report. Everything is worked out from its rows, and no stored result is taken.

    The margin of a regression, and whether one fails or warns, come from the verdict configuration of the report.

    Args:
        threshold: Recall@5 to reach, 0 to 1.
    """
    unmeasured = _unmeasured(report, threshold)
    if unmeasured:
        return Verdict(False, unmeasured, floor_reached=False)
    recall = mean_of_rows(report, "recall_at_5")
    error = standard_error([query.recall_at_5 for query in report.counted])
    measured = f"Recall@5 {recall:.3f} ± {error:.3f} over {counted(len(report.counted), 'question')}"
    production = report.production_scores
    if production is not None:
        measured += f" (production now: {production.recall_at_5:.3f})"
    reached = recall >= threshold
    floor = f"{measured} {'reaches' if reached else 'is below'} the threshold {threshold:g}"
    regression = judge_regression(report)
    if reached and not regression.blocks:
        reasons = (floor, regression.in_words, regression.lost_slices)
        return Verdict(True, tuple(filter(None, reasons)), regression=regression)
    reasons = [floor, regression.in_words]
    if not regression.worse and production is not None and production.recall_at_5 < threshold:
        reasons.append(
            f"no loss is found: production is at {production.recall_at_5:.3f}, below the threshold too"
        )
    reasons.append(regression.what_got_worse)
    return Verdict(
        False,
        tuple(filter(None, reasons)),
        "production is unchanged; `rag-assets status` and the metadata of eval_report list the worst questions",
        floor_reached=reached,
        regression=regression,
    )


def _unmeasured(report: EvalReport, threshold: float) -> tuple[str, ...]:
    """Return why a report is no proof of anything, or ()."""
    if report.problems:
        return report.problems
    if report.points_count < 1:
        return ("the candidate is empty: add documents, then refresh",)
    if report.scores is None or not report.counted:
        return ("nothing was measured: materialize eval_report",)
    damage = damage_in(report)
    if damage:
        return (damage,)
    recall = mean_of_rows(report, "recall_at_5")
    if not math.isfinite(recall) or not math.isfinite(threshold):
        return (f"Recall@5 is {recall}, the threshold {threshold}: both must be finite numbers",)
    return ()
