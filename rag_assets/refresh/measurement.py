"""The measurement for one `eval_report`: candidate and production, on the same questions."""

import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

from rag_assets.artifacts.rows import report_from
from rag_assets.changes.content_changes import content_changes
from rag_assets.document_metadata.normalization import normalized_key
from rag_assets.embedders.base import Embedder
from rag_assets.embedders.model_identity import recorded_model
from rag_assets.embedders.probe import ProbedEmbedder
from rag_assets.embedding import EmbeddingUsage, embed_texts
from rag_assets.errors import (
    BenchmarkError,
    GenerationDamaged,
    RagAssetsError,
    StateFormatError,
    TextRefused,
    VectorStoreUnavailable,
)
from rag_assets.evaluation.benchmark import Benchmark, DocumentNames, load_benchmark
from rag_assets.evaluation.evaluate import evaluate_generation
from rag_assets.evaluation.report import EvalReport, QueryResult, Scores
from rag_assets.evaluation.report_checks import damage_in, report_digest
from rag_assets.evaluation.slices import SliceNames
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import DocumentState, GenerationManifest, Vector
from rag_assets.refresh.accepted_deletions import accepted_names
from rag_assets.refresh.kept_measurements import (
    KeptMeasurement,
    anchor_for,
    kept_measurement,
    measurement_configuration,
    measurement_of,
)
from rag_assets.refresh.promotion import check_candidate, verify_candidate
from rag_assets.retrieval import GenerationSearch
from rag_assets.text.hashing import text_sha256
from rag_assets.text.wording import counted
from rag_assets.vector_stores.base import GenerationReader

_logger = logging.getLogger(__name__)
_SHOWN_CHARACTERS = 200


def measure_candidate(
    knowledge_base: KnowledgeBase,
    generation: str,
    digest: str,
    documents: Sequence[DocumentState],
    approved: Collection[str] = (),
) -> EvalReport:
    """Verify the candidate against the store, then evaluate it together with production.

    An unusable benchmark does not raise. The report names the problem, and the gate fails on it.

    Args:
        documents: documents of the candidate.
        approved: ids of documents deleted in this refresh with an approval.

    Raises:
        SupersededError, PromotionRefused: the candidate is gone or rejected.
        GenerationDamaged: the store does not hold the sealed points.
    """
    manifest = check_candidate(knowledge_base.vector_store, generation, digest)
    # Verification and questions use one handle. So both see the same points, and a handle is slow to open and close.
    reader = knowledge_base.vector_store.read(generation)
    try:
        verify_candidate(knowledge_base.vector_store, reader, manifest, content_changes((), documents))
        return _report(knowledge_base, reader, manifest, documents, approved)
    finally:
        reader.close()


def _report(
    knowledge_base: KnowledgeBase,
    reader: GenerationReader,
    manifest: GenerationManifest,
    documents: Sequence[DocumentState],
    approved: Collection[str],
) -> EvalReport:
    started_at = time.perf_counter()
    store, settings = knowledge_base.vector_store, knowledge_base.settings
    usage, notes = EmbeddingUsage(), list[str]()
    report = EvalReport(
        generation=manifest.generation,
        digest=manifest.digest,
        points_count=manifest.points_count,
        verdict_configuration=knowledge_base.verdict_configuration(),
        production_generation=store.production_state().production or "",
    )
    try:
        benchmark = load_benchmark(settings.benchmark_file)
        if manifest.points_count:
            embedder = knowledge_base.embedder_of(manifest)
            _verify(knowledge_base, manifest, embedder, notes)
            names = DocumentNames(documents)
            questions = _Questions(benchmark, names, accepted_names(store, benchmark, names, approved))
            report = _with_candidate(knowledge_base, reader, embedder, report, questions, usage)
            report = _with_slices(
                report, questions, SliceNames(documents, normalized_key(settings.eval_slice_by) or "")
            )
            notes += _notes_of_documents(report)
            report = _with_production(knowledge_base, manifest, embedder, report, questions, usage)
            if report.production_problem:
                notes.append(f"production could not be measured for comparison: {report.production_problem}")
                _logger.warning("%s", notes[-1])
            anchor, note = anchor_for(
                store, report.verdict_configuration["benchmark"], len(benchmark.queries)
            )
            notes += filter(None, [note])
            if anchor is not None:
                report = _with_anchor(report, anchor)
    except BenchmarkError as error:
        report = replace(report, problems=(str(error),))
    return replace(
        report,
        num_embedded=usage.num_embedded,
        notes=tuple(notes),
        cost=replace(report.cost, seconds=time.perf_counter() - started_at),
    )


@dataclass(frozen=True, slots=True)
class _Questions:
    """The benchmark with the documents of the candidate.

    Attributes:
        set_apart: missing documents with an accepted deletion.
    """

    benchmark: Benchmark
    names: DocumentNames
    set_apart: frozenset[str]

    @property
    def positions_set_apart(self) -> tuple[int, ...]:
        queries = enumerate(self.benchmark.queries)
        return tuple(it for it, query in queries if not self.set_apart.isdisjoint(query.expected_docs))


def _with_candidate(
    knowledge_base: KnowledgeBase,
    reader: GenerationReader,
    embedder: Embedder,
    report: EvalReport,
    questions: _Questions,
    usage: EmbeddingUsage,
) -> EvalReport:
    """Measure the candidate. An unchanged production keeps its measurement."""
    if report.generation == report.production_generation:
        before = _last_report(knowledge_base, report, questions)
        if before is not None:
            cost = replace(report.cost, num_reused=len(before.queries))
            return replace(report, scores=before.scores, queries=before.queries, cost=cost)
    search = GenerationSearch(reader, embedder, knowledge_base.settings.dense_weight)
    scores, queries = _evaluate(knowledge_base, search, questions, usage)
    cost = replace(report.cost, num_searches=len(queries))
    return replace(report, scores=scores, queries=tuple(queries), cost=cost)


def _last_report(
    knowledge_base: KnowledgeBase, report: EvalReport, questions: _Questions
) -> EvalReport | None:
    """Return the last report if it measured the same generation in the same way, and the vector store vouches for it."""
    try:
        artifact = knowledge_base.artifacts.latest("eval_report")
        before = None if artifact is None else report_from(artifact)
    except StateFormatError:
        return None
    asked = [(query.query, query.expected_docs) for query in questions.benchmark.queries]
    if (
        before is None
        or (before.generation, before.digest) != (report.generation, report.digest)
        or before.verdict_configuration != report.verdict_configuration
        or [(query.query, query.expected_docs) for query in before.queries] != asked
        or measurement_of(before) is None
        or damage_in(before)
        or tuple(it for it, query in enumerate(before.queries) if query.is_set_apart)
        != questions.positions_set_apart
        or knowledge_base.vector_store.report_digest(report.generation) != report_digest(before)
    ):
        return None
    return before


def _with_slices(report: EvalReport, questions: _Questions, names: SliceNames) -> EvalReport:
    queries = zip(report.queries, questions.benchmark.queries, strict=True)
    return replace(
        report, queries=tuple(replace(result, slices=names.of(query)) for result, query in queries)
    )


def _notes_of_documents(report: EvalReport) -> list[str]:
    """Name the missing expected documents."""
    apart = [query for query in report.queries if query.is_set_apart]
    missing = sorted({name for query in report.counted for name in query.missing_docs})
    notes: list[str] = []
    if missing:
        notes.append(
            f"{counted(len(missing), 'missing expected document')}, counted as not retrieved: {', '.join(missing)}. If "
            "deleted on purpose: `rag-assets benchmark accept --deleted`"
        )
    if apart:
        gone = sorted({name for query in apart for name in query.missing_docs})
        notes.append(
            f"{counted(len(apart), 'question')} set apart, because the deletion was accepted: {', '.join(gone)}"
        )
    return notes


def _with_anchor(report: EvalReport, anchor: KeptMeasurement) -> EvalReport:
    queries = zip(report.queries, anchor.answers, strict=True)
    return replace(
        report,
        queries=tuple(replace(query, anchor=answer.fused) for query, answer in queries),
        anchor_generation=anchor.generation,
        anchor_pinned_by=anchor.pinned_by,
    )


def _verify(
    knowledge_base: KnowledgeBase, manifest: GenerationManifest, embedder: Embedder, notes: list[str]
) -> None:
    """Ask the probe once more before cached question vectors count for a candidate: applications ask the model.

    Raises:
        ModelChanged: the model has changed since the candidate was built.
        EmbedderUnavailable, InvalidVectorError, ConfigurationError: no usable answer.
    """
    if not isinstance(embedder, ProbedEmbedder):
        return
    if knowledge_base.vector_store.production_state().production != manifest.generation:
        embedder.verify(again=True)
    elif not embedder.verified:
        notes.append(
            "the endpoint of the model did not answer: the questions are answered from cached vectors"
        )


def _evaluate(
    knowledge_base: KnowledgeBase, search: GenerationSearch, questions: _Questions, usage: EmbeddingUsage
) -> tuple[Scores, list[QueryResult]]:
    texts = [query.query for query in questions.benchmark.queries]
    vectors = _question_vectors(knowledge_base, search.embedder, texts, usage)
    return evaluate_generation(
        search, questions.benchmark, questions.names, vectors.__getitem__, questions.set_apart
    )


def _question_vectors(
    knowledge_base: KnowledgeBase, embedder: Embedder, questions: Sequence[str], usage: EmbeddingUsage
) -> dict[str, Vector]:
    """Embed all questions through the cache, so an unchanged benchmark costs nothing.

    Raises:
        BenchmarkError: the model refuses a question.
    """
    by_hash = {text_sha256(question): question for question in questions}
    spent = partial(knowledge_base.spend, "questions", embedder.model.model)
    vectors = embed_texts(by_hash.items(), embedder, knowledge_base.ledger, usage, len(by_hash), spent=spent)
    try:
        return {by_hash[hashed]: vector for hashed, vector in vectors}
    except TextRefused as error:
        question = by_hash[error.text_hash]
        beginning = question if len(question) <= _SHOWN_CHARACTERS else f"{question[:_SHOWN_CHARACTERS]}…"
        raise BenchmarkError(
            f"question {questions.index(question) + 1} of {knowledge_base.settings.benchmark_file} {error.says}: "
            f"shorten or remove it. It begins: {beginning}"
        ) from None


def _with_production(
    knowledge_base: KnowledgeBase,
    candidate: GenerationManifest,
    embedder: Embedder,
    report: EvalReport,
    questions: _Questions,
    usage: EmbeddingUsage,
) -> EvalReport:
    """Add production on the same questions: as it was measured before its promotion, or measured now.

    Raises:
        VectorStoreUnavailable: it holds the candidate too. A retry measures both, and nothing is judged without production.
    """
    production = report.production_generation
    if not production:
        return report
    if production == candidate.generation:
        queries = tuple(replace(query, production=query.answer) for query in report.queries)
        return replace(report, production_scores=report.scores, queries=queries)
    kept = kept_measurement(knowledge_base.vector_store, "production")
    try:
        if kept is not None and _still_holds(kept, report, questions):
            scores, answers = kept.scores, list(kept.answers)
            cost = replace(report.cost, num_reused=report.cost.num_reused + len(answers))
        else:
            scores, results = _measured_production(
                knowledge_base, production, candidate, embedder, questions, usage
            )
            answers = [result.answer for result in results]
            cost = replace(report.cost, num_searches=report.cost.num_searches + len(answers))
    except VectorStoreUnavailable:
        raise
    except RagAssetsError as error:
        return replace(report, production_problem=str(error))
    queries = zip(report.queries, answers, strict=True)
    return replace(
        report,
        production_scores=scores,
        queries=tuple(replace(query, production=answer) for query, answer in queries),
        cost=cost,
    )


def _still_holds(kept: KeptMeasurement, report: EvalReport, questions: _Questions) -> bool:
    """Return whether a kept measurement is one of production, on these questions, with these settings.

    The name of a generation is used once. So a damaged production is compared as it was measured.
    """
    return (
        kept.generation == report.production_generation
        and kept.configuration == measurement_configuration(report.verdict_configuration)
        and len(kept.answers) == len(report.queries)
        and kept.set_apart == questions.positions_set_apart
    )


def _measured_production(
    knowledge_base: KnowledgeBase,
    production: str,
    candidate: GenerationManifest,
    embedder: Embedder,
    questions: _Questions,
    usage: EmbeddingUsage,
) -> tuple[Scores, list[QueryResult]]:
    """Evaluate production.

    Raises:
        RagAssetsError: production or its model does not answer, or it is damaged.
    """
    documents = knowledge_base.documents_of(production)
    manifest = knowledge_base.vector_store.manifest(production)
    if manifest is None:
        raise GenerationDamaged(f"generation {production} is in production, but its manifest is missing")
    if (recorded_model(manifest), manifest.probe) != (recorded_model(candidate), candidate.probe):
        embedder = knowledge_base.embedder_of(manifest)
        if isinstance(embedder, ProbedEmbedder):
            embedder.verify()
    reader = knowledge_base.vector_store.read(production)
    search = GenerationSearch(reader, embedder, knowledge_base.settings.dense_weight)
    try:
        return _evaluate(knowledge_base, search, replace(questions, names=DocumentNames(documents)), usage)
    finally:
        search.close()
