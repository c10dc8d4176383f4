"""Evaluation reports for the tests of gate and promotion."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rag_assets.evaluation.report import Answer, EvalReport, ListScores, QueryResult, Scores
from rag_assets.evaluation.retrieval_metrics import METRICS

VERDICT_CONFIGURATION: dict[str, Any] = {"benchmark": "cd", "eval_threshold": 0.75, "dense_weight": 0.3}


def _scores(recall: float) -> Scores:
    return Scores(
        means=dict.fromkeys(METRICS, recall),
        recall_at_5_standard_error=0.05,
        latency_p50_seconds=0.001,
        latency_p95_seconds=0.002,
        latency_p99_seconds=0.003,
    )


def answer(recall: float) -> Answer:
    """Return the answer to one question with this score in every list."""
    return Answer(*[ListScores(recall, recall)] * 3)


def compared_report(pairs: Sequence[tuple[Answer, Answer]], **settings: Any) -> EvalReport:
    """Return a report on `g2` with a question for each pair of answers: of production `g1`, and of the candidate."""
    queries = tuple(
        QueryResult(
            f"question {number}",
            ("a.md",),
            (),
            dict.fromkeys(METRICS, after.fused.recall_at_5) | {"mrr": after.fused.mrr},
            0.001,
            dense=after.dense,
            keyword=after.keyword,
            production=before,
        )
        for number, (before, after) in enumerate(pairs, start=1)
    )

    def scores(answers: list[Answer]) -> Scores:
        recall = sum(one.fused.recall_at_5 for one in answers) / len(answers)
        rank = sum(one.fused.mrr for one in answers) / len(answers)
        return replace(_scores(recall), means=dict.fromkeys(METRICS, recall) | {"mrr": rank})

    return EvalReport(
        generation="g2",
        digest="ab",
        points_count=3,
        verdict_configuration=VERDICT_CONFIGURATION | settings,
        scores=scores([after for _, after in pairs]),
        production_scores=scores([before for before, _ in pairs]),
        queries=queries,
        production_generation="g1",
    )


def passing_report(generation: str, digest: str, recall: float = 0.9) -> EvalReport:
    """Return a report with a production for comparison. It passes at 0.75 unless `recall` is lower."""
    query = QueryResult("How?", ("a.md",), ("filesystem:a.md",), dict.fromkeys(METRICS, recall), 0.001)
    return EvalReport(
        generation=generation,
        digest=digest,
        points_count=3,
        verdict_configuration=dict(VERDICT_CONFIGURATION),
        scores=_scores(recall),
        production_scores=_scores(0.8),
        queries=(query,),
    )
