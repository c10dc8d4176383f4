"""The verdict on a regression: the comparisons of a candidate with production and anchor, in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag_assets.evaluation.comparison import Comparison, Result, comparisons, lost_questions
from rag_assets.evaluation.report import EvalReport
from rag_assets.evaluation.slices import SliceLoss, slice_losses
from rag_assets.text.wording import counted

_NAMED_QUESTIONS = 3
_QUESTION_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Regression:
    """What a candidate lost.

    Attributes:
        comparisons: none for a first build, and for an unchanged production.
        slices: parts of the benchmark with a loss. They are named, and never block.
        lost: questions that lost, the largest loss first.
        fails: whether a loss blocks, by `RAG_REGRESSION_FAILS`.
        in_words: the result in one clause, "" for an unchanged production.
    """

    comparisons: tuple[Comparison, ...] = ()
    slices: tuple[SliceLoss, ...] = ()
    lost: tuple[str, ...] = ()
    fails: bool = True
    unmeasured: str = ""
    in_words: str = ""

    @property
    def worse(self) -> tuple[Comparison, ...]:
        return tuple(one for one in self.comparisons if one.result is Result.WORSE)

    @property
    def blocks(self) -> bool:
        return self.fails and bool(self.worse)

    @property
    def lost_slices(self) -> str:
        """The slices with a loss, "" without any."""
        named = ", ".join(map(str, self.slices[:_NAMED_QUESTIONS]))
        return f"lost most in {named}" if named else ""

    @property
    def what_got_worse(self) -> str:
        """Slices and questions with a loss, "" without any."""
        parts = [self.lost_slices] if self.slices else []
        if self.lost:
            named = ", ".join(f"“{_shortened(question)}”" for question in self.lost[:_NAMED_QUESTIONS])
            more = len(self.lost) - _NAMED_QUESTIONS
            parts.append(f"lost questions: {named}{f' and {more:,} more' if more > 0 else ''}")
        return "; ".join(parts)


NO_COMPARISON = Regression()


def judge_regression(report: EvalReport) -> Regression:
    """Compare a report with production and anchor, from its rows."""
    found = tuple(comparisons(report))
    worse = [one for one in found if one.result is Result.WORSE]
    return Regression(
        comparisons=found,
        slices=tuple(slice_losses(report)) if found else (),
        lost=tuple(query.query for query in lost_questions(report, worse or _of_production(found))),
        fails=bool(report.verdict_configuration.get("regression_fails", True)),
        unmeasured=report.production_problem,
        in_words=_in_words(report, found),
    )


def _of_production(found: Sequence[Comparison]) -> list[Comparison]:
    return [one for one in found if one.other == "production" and one.part == "fused"]


def _in_words(report: EvalReport, found: Sequence[Comparison]) -> str:
    parts: list[str] = []
    if report.production_problem:
        parts.append(
            f"PRODUCTION COULD NOT BE MEASURED, so nothing is known of a loss: {report.production_problem}"
        )
    elif not report.production_generation and report.production_scores is None:
        parts.append("floor only, because nothing is in production yet")
    for other in ("production", "anchor"):
        ours = [one for one in found if one.other == other]
        if ours:
            parts.append(
                _of_other(f"{other} {report.anchor_generation}" if other == "anchor" else other, ours)
            )
    return "; ".join(parts)


def _of_other(other: str, found: Sequence[Comparison]) -> str:
    worse = [one for one in found if one.result is Result.WORSE]
    if worse:
        meant = "" if other == "production" else " (`rag-assets benchmark pin` makes production the anchor)"
        return f"worse than {other}: {', '.join(map(str, worse))}{meant}"
    # Halves are watched for a collapse only: their thresholds are so strict that few benchmarks could show them safe.
    open_ones = [one for one in found if one.result is Result.UNDECIDED and one.part == "fused"]
    if not open_ones:
        return f"shown safe against {other}"
    first = min(open_ones, key=lambda one: one.change.low)
    needed = max((one.questions_to_settle or 0 for one in open_ones), default=0)
    endless = any(one.questions_to_settle is None for one in open_ones)
    more = (
        "no benchmark of 10,000 questions would settle it"
        if endless
        else f"about {counted(needed, 'more question')} would settle it"
    )
    return f"undecided against {other}: {first}, {more}"


def _shortened(question: str) -> str:
    text = " ".join(question.split())
    return text if len(text) <= _QUESTION_LENGTH else f"{text[: _QUESTION_LENGTH - 1]}…"
