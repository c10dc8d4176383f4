"""The measurement for one `eval_report`: candidate and production, on the same questions."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from rag_assets.changes.content_changes import content_changes
from rag_assets.embedders.base import Embedder
from rag_assets.embedders.model_identity import recorded_model
from rag_assets.embedders.probe import ProbedEmbedder
from rag_assets.embedding import EmbeddingUsage, embed_texts
from rag_assets.errors import BenchmarkError, RagAssetsError, TextRefused
from rag_assets.evaluation.benchmark import Benchmark, DocumentNames, load_benchmark
from rag_assets.evaluation.evaluate import evaluate_generation
from rag_assets.evaluation.report import EvalReport, QueryResult, Scores
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import DocumentState, GenerationManifest, Vector
from rag_assets.refresh.promotion import check_candidate, verify_candidate
from rag_assets.retrieval import GenerationSearch
from rag_assets.text.hashing import text_sha256
from rag_assets.text.wording import counted
from rag_assets.vector_stores.base import GenerationReader

_logger = logging.getLogger(__name__)
_SHOWN_CHARACTERS = 200


def measure_candidate(
    knowledge_base: KnowledgeBase, generation: str, digest: str, documents: Sequence[DocumentState]
) -> EvalReport:
    """Verify the candidate against the store, then evaluate it together with production.

    An unusable benchmark does not raise. The report names the problem, and the gate fails on it.

    Args:
        documents: documents of the candidate.

    Raises:
        SupersededError, PromotionRefused: the candidate is gone or rejected.
        GenerationDamaged: the store does not hold the sealed points.
    """
    manifest = check_candidate(knowledge_base.vector_store, generation, digest)
    # Verification and questions use one handle. So both see the same points, and a handle is slow to open and close.
    reader = knowledge_base.vector_store.read(generation)
    try:
        verify_candidate(knowledge_base.vector_store, reader, manifest, content_changes((), documents))
        return _report(knowledge_base, reader, manifest, documents)
    finally:
        reader.close()


def _report(
    knowledge_base: KnowledgeBase,
    reader: GenerationReader,
    manifest: GenerationManifest,
    documents: Sequence[DocumentState],
) -> EvalReport:
    scores: Scores | None = None
    production_scores: Scores | None = None
    queries: list[QueryResult] = []
    problems: list[str] = []
    notes: list[str] = []
    usage = EmbeddingUsage()
    try:
        benchmark = load_benchmark(knowledge_base.settings.benchmark_file)
        if manifest.points_count:
            embedder = knowledge_base.embedder_of(manifest)
            _verify(knowledge_base, manifest, embedder, notes)
            search = GenerationSearch(reader, embedder, knowledge_base.settings.dense_weight)
            scores, queries = _evaluate(knowledge_base, search, benchmark, documents, usage)
            missing = sorted({name for query in queries for name in query.missing_docs})
            if missing:
                notes.append(
                    f"{counted(len(missing), 'missing expected document')}, counted as not retrieved: "
                    f"{', '.join(missing)}"
                )
            production = _measure_production(
                knowledge_base, manifest, embedder, (scores, queries), benchmark, usage, notes
            )
            if production is not None:
                production_scores, before = production
                queries = [
                    replace(query, production=other.answer)
                    for query, other in zip(queries, before, strict=True)
                ]
    except BenchmarkError as error:
        problems.append(str(error))
    return EvalReport(
        generation=manifest.generation,
        digest=manifest.digest,
        points_count=manifest.points_count,
        verdict_configuration=knowledge_base.verdict_configuration(),
        scores=scores,
        production_scores=production_scores,
        queries=tuple(queries),
        num_embedded=usage.num_embedded,
        problems=tuple(problems),
        notes=tuple(notes),
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
    knowledge_base: KnowledgeBase,
    search: GenerationSearch,
    benchmark: Benchmark,
    documents: Sequence[DocumentState],
    usage: EmbeddingUsage,
) -> tuple[Scores, list[QueryResult]]:
    questions = [query.query for query in benchmark.queries]
    vectors = _question_vectors(knowledge_base, search.embedder, questions, usage)
    return evaluate_generation(search, benchmark, DocumentNames(documents), vectors.__getitem__)


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


def _measure_production(
    knowledge_base: KnowledgeBase,
    candidate: GenerationManifest,
    embedder: Embedder,
    measured: tuple[Scores, list[QueryResult]],
    benchmark: Benchmark,
    usage: EmbeddingUsage,
    notes: list[str],
) -> tuple[Scores, list[QueryResult]] | None:
    """Evaluate production for comparison. It is not part of the verdict, so a failure is only a note."""
    production = knowledge_base.vector_store.production_state().production
    if production is None:
        return None
    if production == candidate.generation:
        return measured
    try:
        documents = knowledge_base.documents_of(production)
        manifest = knowledge_base.vector_store.manifest(production)
        if manifest is None:
            return None
        if (recorded_model(manifest), manifest.probe) != (recorded_model(candidate), candidate.probe):
            embedder = knowledge_base.embedder_of(manifest)
            if isinstance(embedder, ProbedEmbedder):
                embedder.verify()
        reader = knowledge_base.vector_store.read(production)
        search = GenerationSearch(reader, embedder, knowledge_base.settings.dense_weight)
        try:
            return _evaluate(knowledge_base, search, benchmark, documents, usage)
        finally:
            search.close()
    except RagAssetsError as error:
        notes.append(f"production could not be measured for comparison: {error}")
        _logger.warning("production could not be measured for comparison: %s", error)
        return None
