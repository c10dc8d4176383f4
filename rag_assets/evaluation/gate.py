"""The gate: a verdict from a report and a threshold. It fails closed: no proof of quality, no promotion."""

import math
from dataclasses import dataclass
from typing import Any

from rag_assets.evaluation.report import EvalReport
from rag_assets.evaluation.report_checks import damage_in, mean_of_rows
from rag_assets.evaluation.statistics import standard_error
from rag_assets.text.wording import counted


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a candidate may go live, with the reasons in words.

    Attributes:
        advice: the next place to look, left out where the reader already is there.
    """

    passed: bool
    reasons: tuple[str, ...]
    advice: str = ""

    @property
    def reason(self) -> str:
        return "; ".join(self.reasons)

    def __str__(self) -> str:
        return "; ".join(filter(None, (*self.reasons, self.advice)))


def stale_reason(report: EvalReport, verdict_configuration: dict[str, Any]) -> str:
    """Return why a report cannot support a verdict made now, or "".

    Lowering the threshold after the measurement must not let a rejected candidate through.
    """
    measured = report.verdict_configuration
    differing = sorted(
        key
        for key in measured.keys() | verdict_configuration.keys()
        if measured.get(key) != verdict_configuration.get(key)
    )
    if not differing:
        return ""
    return (
        f"the report on {report.generation} was made with different settings ({', '.join(differing)}): materialize all "
        "assets (nothing is embedded twice), or eval_report and production_collection if the candidate still exists"
    )


def judge(report: EvalReport, threshold: float) -> Verdict:
    """Return the verdict on a report. The scores are worked out from its rows, and not taken from the stored means.

    Args:
        threshold: Recall@5 to reach, 0 to 1.
    """
    if report.problems:
        return Verdict(False, report.problems)
    if report.points_count < 1:
        return Verdict(False, ("the candidate is empty: add documents, then refresh",))
    if report.scores is None or not report.queries:
        return Verdict(False, ("nothing was measured: materialize eval_report",))
    damage = damage_in(report)
    if damage:
        return Verdict(False, (damage,))
    recall = mean_of_rows(report, "recall_at_5")
    error = standard_error([query.recall_at_5 for query in report.queries])
    if not math.isfinite(recall) or not math.isfinite(threshold):
        return Verdict(
            False, (f"Recall@5 is {recall}, the threshold {threshold}: both must be finite numbers",)
        )
    measured = f"Recall@5 {recall:.3f} ± {error:.3f} over {counted(len(report.queries), 'question')}"
    if report.production_scores is not None:
        measured += f" (production now: {report.production_scores.recall_at_5:.3f})"
    if recall < threshold:
        return Verdict(
            False,
            (f"{measured} is below the threshold {threshold:g}",),
            "production is unchanged; `rag-assets status` and the metadata of eval_report list the worst questions",
        )
    return Verdict(True, (f"{measured} reaches the threshold {threshold:g}",))
