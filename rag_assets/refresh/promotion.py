"""Promotion: the last checks, the switch to the candidate, and the cleanup.

Results of earlier steps are not trusted. The verdict is computed again from the report. The candidate must have the
digest named by the report, and production must still be its base. Its points are verified once more. The ledger is
written only after the switch.
"""

import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rag_assets.changes.content_changes import ContentChange
from rag_assets.errors import (
    GateFailed,
    GenerationDamaged,
    ProductionHeld,
    PromotionRefused,
    RagAssetsError,
    StaleInputError,
    SupersededError,
)
from rag_assets.evaluation.gate import judge, stale_reason
from rag_assets.evaluation.report import EvalReport
from rag_assets.evaluation.report_checks import MEASURE_AGAIN, report_digest
from rag_assets.generations.retention import sweep
from rag_assets.generations.verification import check_sealed, verify_documents
from rag_assets.ledgers.base import Ledger
from rag_assets.records import DocumentState, GenerationManifest
from rag_assets.refresh.accepted_deletions import accept
from rag_assets.refresh.kept_measurements import keep_measurement
from rag_assets.refresh.outcome import Outcome
from rag_assets.vector_stores.base import GenerationReader, VectorStore
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets.vector_stores.promotion_rules import check_hold, check_readings

_logger = logging.getLogger(__name__)
_NOT_RECORDED = "the ledger did not take its documents; the next refresh reads them from the points"


@dataclass(frozen=True, slots=True)
class Promotion:
    """The end of a refresh without an error.

    Attributes:
        outcome: `live`, `unchanged` or `held`.
        state: production afterwards.
    """

    outcome: Outcome
    state: ProductionState


def check_candidate(store: VectorStore, generation: str, digest: str) -> GenerationManifest:
    """Return the manifest of the candidate named by a report or by staging.

    Raises:
        SupersededError: the candidate is gone, because a later refresh swept it or it failed its gate.
        PromotionRefused: the candidate was rejected, or has a different digest.
    """
    manifest = store.manifest(generation)
    if manifest is None:
        raise SupersededError(
            f"candidate {generation} is gone: it failed its gate and was discarded, or a later refresh took its "
            "place. Production is unchanged. Materialize all assets to create a new candidate"
        )
    if manifest.rejected:
        raise PromotionRefused(
            f"candidate {generation} was rejected: {manifest.rejected}. A rejected candidate never goes live, even "
            "with a lower threshold. Materialize all assets to create a new one"
        )
    if manifest.digest != digest:
        raise PromotionRefused(
            f"candidate {generation} has a different digest than named: materialize staging_collection and "
            "everything after it"
        )
    return manifest


def check_unchanged(store: VectorStore, report: EvalReport, *, unknown_allowed: bool = True) -> None:
    """Compare a report with the digest kept beside the seal of its generation.

    Args:
        unknown_allowed: whether a generation without a digest is fine. A report of an earlier version has none. It
            may reject a candidate, but not promote it.

    Raises:
        PromotionRefused: it is not the report of the last measurement.
    """
    recorded = store.report_digest(report.generation)
    if recorded is None and not unknown_allowed:
        raise PromotionRefused(
            f"the vector store knows of no measurement of {report.generation}: eval_report is from an earlier version, "
            f"or was not finished. {MEASURE_AGAIN.capitalize()}"
        )
    if recorded is not None and recorded != report_digest(report):
        raise PromotionRefused(
            f"the report in eval_report is not the last measurement of {report.generation}: it was changed, or belongs to "
            f"another candidate. Production is unchanged: {MEASURE_AGAIN}"
        )


def verify_candidate(
    store: VectorStore,
    reader: GenerationReader,
    manifest: GenerationManifest,
    contents: Sequence[ContentChange],
) -> None:
    """Compare a candidate with its seal and its documents. A damaged one is discarded.

    Production itself is the candidate of a refresh without changes. Its damage is recorded, and the next refresh
    rebuilds it.

    Raises:
        GenerationDamaged: it differs.
    """
    try:
        check_sealed(store, manifest)
    except GenerationDamaged as error:
        problem, generation = str(error), manifest.generation
        store.mark_damaged(generation, problem)
        if generation == store.production_state().production:
            raise GenerationDamaged(
                f"{problem}. It is in production: materialize all assets to build it again from kept texts and vectors"
            ) from None
        reader.close()
        done = reject_candidate(store, generation, problem, keep=False)
        raise GenerationDamaged(
            f"{problem}. It does not go live: {done}. Check the disk or the Qdrant server, then materialize all assets"
        ) from None
    verify_documents(reader, manifest, contents)


def roll_back(store: VectorStore, *, by: str = "", reason: str = "") -> ProductionState:
    """Put the previous generation back into production and hold it there, if it is as it was sealed.

    Args:
        by: name of the person.
        reason: stored with the hold, for everyone to see.

    Raises:
        GenerationDamaged: the previous generation is damaged. Production stays as it is.
        RefusedError: there is no previous generation, or production is held already.
        SupersededError: production has changed.
    """
    state = store.production_state()
    manifest = store.manifest(state.previous) if state.previous is not None else None
    if manifest is not None:
        try:
            check_sealed(store, manifest)
        except GenerationDamaged as error:
            store.mark_damaged(manifest.generation, str(error))
            raise GenerationDamaged(
                f"no rollback to a damaged generation: {error}. Production is still {state.production}. Materialize all "
                "assets to build a new generation from the sources"
            ) from None
    return store.rollback(state.production, by=by, reason=reason)


def reject_candidate(store: VectorStore, generation: str, reason: str, *, keep: bool) -> str:
    """Mark a candidate as rejected after it failed its gate, and discard it unless `keep` is set.

    Production and previous generations are never touched.

    Returns:
        The result, in words.
    """
    state = store.production_state()
    if generation in state.kept:
        return f"{generation} is or was in production: nothing to discard"
    if store.manifest(generation) is None:
        return f"candidate {generation} is already gone"
    try:
        store.reject(generation, reason)
        if keep:
            return f"candidate {generation} is kept (RAG_KEEP_FAILED_CANDIDATE) and can never be promoted"
        store.discard(generation)
    except RagAssetsError as error:
        _logger.warning("could not discard candidate %s; the next refresh retries: %s", generation, error)
        return f"candidate {generation} is rejected; the next refresh discards it"
    return f"candidate {generation} is discarded"


def promote(
    store: VectorStore,
    ledger: Ledger,
    report: EvalReport,
    *,
    base: str | None,
    readings: Mapping[str, int],
    verdict_configuration: dict[str, Any],
    threshold: float,
    documents: Sequence[DocumentState],
    contents: Sequence[ContentChange],
    keep_failed_candidate: bool = False,
    approvals: Sequence[str] = (),
    run_ids: Sequence[str] = (),
) -> Promotion:
    """Put the candidate of a report into production, if all checks pass and no person holds production.

    Args:
        base: base of the change set, a generation.
        readings: source -> number of the reading behind the candidate. They count if the refresh succeeds, also
            without a change of production.
        verdict_configuration: the current one. It must equal that of the report.
        documents: documents of the candidate, for the ledger.
        contents: the same by content, for the sample compared with the store.
        approvals: tokens used by this refresh. They end here, unless production is held.
        run_ids: this run and the ones it retries. Their own candidate in production went live, in an earlier attempt.

    Returns:
        The outcome `live`, `unchanged` or `held`.

    Raises:
        GateFailed: the verdict is negative.
        PromotionRefused: the report was changed, or the candidate was rejected.
        StaleInputError: the report has another verdict configuration.
        SupersededError: production has moved on, the candidate is gone, or a later reading of a source counted.
    """
    stale = stale_reason(report, verdict_configuration)
    if stale:
        raise StaleInputError(stale)
    check_unchanged(store, report)
    verdict = judge(report, threshold)
    if not verdict.passed:
        ledger.end_approvals(approvals)
        done = reject_candidate(store, report.generation, str(verdict), keep=keep_failed_candidate)
        raise GateFailed(f"{report.generation} may not go live: {verdict}. {done}")
    manifest = check_candidate(store, report.generation, report.digest)
    while True:
        try:
            promotion = _promotion(
                store, ledger, report, manifest, base, readings, documents, contents, run_ids
            )
        except ProductionHeld:
            state = store.production_state()
            if state.hold is None:
                continue  # a person has just resumed
            check_readings(readings, store.readings())
            return Promotion(Outcome.HELD, state)
        with _production_stands("the approvals of this refresh were not ended; the next one ends them"):
            ledger.end_approvals(approvals)
        return promotion


def _promotion(
    store: VectorStore,
    ledger: Ledger,
    report: EvalReport,
    manifest: GenerationManifest,
    base: str | None,
    readings: Mapping[str, int],
    documents: Sequence[DocumentState],
    contents: Sequence[ContentChange],
    run_ids: Sequence[str],
) -> Promotion:
    generation = manifest.generation
    state = store.production_state()
    if state.production == generation:
        state = store.promote(generation, generation, readings)
        _keep_measurement(store, report)
        with _production_stands(_NOT_RECORDED):
            if ledger.documents(generation) is None:
                ledger.put_documents(generation, documents)
        return Promotion(Outcome.LIVE if manifest.run_id in run_ids else Outcome.UNCHANGED, state)
    check_unchanged(store, report, unknown_allowed=False)
    check_hold(generation, state)
    if state.production != base or manifest.base != base:
        raise SupersededError(
            f"candidate {generation} was made for production {manifest.base or 'none'}, but production is now "
            f"{state.production or 'none'}: another refresh or a rollback came first. Materialize all assets"
        )
    reader = store.read(generation)
    try:
        verify_candidate(store, reader, manifest, contents)
    finally:
        reader.close()
    state = store.promote(generation, base, readings)
    _keep_measurement(store, report)
    with _production_stands(_NOT_RECORDED):
        ledger.put_documents(generation, documents)
    return Promotion(Outcome.LIVE, state)


def _keep_measurement(store: VectorStore, report: EvalReport) -> None:
    """Keep the measurement for the next comparison, and the deletions accepted with an approval."""
    with _production_stands("its measurement was not kept; the next refresh measures it again"):
        keep_measurement(store, report)
        accept(store, {name for query in report.queries if query.is_set_apart for name in query.missing_docs})


@contextmanager
def _production_stands(lost: str) -> Generator[None]:
    """Warn of a ledger without an answer: after the switch, a failed refresh would be a false report.

    Args:
        lost: the consequence.
    """
    try:
        yield
    except RagAssetsError as error:  # also a password that was changed meanwhile
        _logger.warning("production is switched, but %s: %s", lost, error)


def retire(
    store: VectorStore,
    ledger: Ledger,
    prune_texts: Callable[[set[str]], int],
    extra_contents: Iterable[str] = (),
) -> list[str]:
    """Discard generations that no rollback can reach, with their ledger entries and texts.

    A failure here is only a warning. The promotion stands.

    Args:
        prune_texts: removes the texts of all contents except the given ones.
        extra_contents: contents to keep besides those of kept generations.

    Returns:
        Names of the discarded generations.
    """
    try:
        retired = sweep(store, ())
        state = store.production_state()
        kept = sorted(state.kept)
        contents = set(extra_contents)
        for generation in kept:
            documents = ledger.documents(generation)
            if documents is None:
                return retired  # its texts are not known: keep all texts
            contents.update(document.content_hash for document in documents if document.content_hash)
        ledger.prune(kept)
        prune_texts(contents)
    except Exception as error:
        # A full disk or a locked ledger, for example. Production has been switched, so the refresh succeeded.
        _logger.warning(
            "cleanup after the promotion did not finish; the next promotion retries: %s: %s",
            type(error).__name__,
            error,
        )
        return []
    return retired
