"""The report of a candidate, read from disk and compared with the vector store. Nothing on disk is believed."""

from rag_assets.artifacts.parquet_artifact import Artifact
from rag_assets.artifacts.rows import report_from
from rag_assets.errors import PromotionRefused, StaleInputError
from rag_assets.evaluation.benchmark import load_benchmark
from rag_assets.evaluation.gate import stale_reason
from rag_assets.evaluation.report import EvalReport
from rag_assets.evaluation.report_checks import damage_in, foreign_questions_in
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.refresh.promotion import check_unchanged


def evaluated_report(knowledge_base: KnowledgeBase, artifact: Artifact) -> EvalReport:
    """Return the report of an `eval_report`, if it is as it was measured.

    Raises:
        StaleInputError: it was made with other settings.
        PromotionRefused: it is damaged, or was changed after its measurement.
        BenchmarkError: the benchmark cannot be read.
    """
    report = report_from(artifact)
    stale = stale_reason(report, knowledge_base.verdict_configuration())
    if stale:
        raise StaleInputError(stale)
    damage = damage_in(report)
    if report.queries and not damage:
        damage = foreign_questions_in(report, load_benchmark(knowledge_base.settings.benchmark_file))
    if damage:
        raise PromotionRefused(damage)
    check_unchanged(knowledge_base.vector_store, report)
    return report
