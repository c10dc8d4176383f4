"""The purge of a document.

1. Each kept generation is rebuilt without it, beside the served ones.
2. The new production is measured. Below the threshold, a person has to accept it.
3. The document is recorded as purged. From here on no refresh reads it.
4. The new generations take the place of the old ones, in one step, also during a hold. Readings in progress end.
5. Old generations, candidates, cached values, texts and records go, and the ledger is written again without free pages.

A killed purge is run again, and completes. The record of step 3 has all it needs.
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from rag_assets.artifacts.decisions import DecisionLog
from rag_assets.errors import (
    BenchmarkError,
    ConfigurationError,
    EmbedderUnavailable,
    GateFailed,
    InvalidVectorError,
    MetadataTablesUnavailable,
    ModelChanged,
    RagAssetsError,
    RefusedError,
    VectorStoreUnavailable,
)
from rag_assets.evaluation.benchmark import load_benchmark
from rag_assets.evaluation.gate import judge
from rag_assets.evaluation.report_checks import report_digest
from rag_assets.fingerprint import name_hash
from rag_assets.generations.retention import sweep
from rag_assets.ingestion.purged_documents import SHOWN_DIGITS, PurgedDocument
from rag_assets.inspection.document_names import spelled_names
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.lease import lease_renewed, wait_for_lease
from rag_assets.operations.decisions import checked_name, checked_reason
from rag_assets.operations.purge import traces
from rag_assets.operations.purge.known_documents import KnownDocuments, known_documents
from rag_assets.operations.purge.rebuilding import Rebuilt, rebuild_without
from rag_assets.records import Readings
from rag_assets.refresh.measurement import measure_candidate
from rag_assets.text.forgotten_names import forgetting
from rag_assets.text.wording import counted
from rag_assets.tracking.observer import Observer
from rag_assets.tracking.records import storable
from rag_assets.vector_stores.base import KeepsSnapshots
from rag_assets.vector_stores.production_state import ProductionState

_logger = logging.getLogger(__name__)
Copies = Literal["ask", "with", "keep"]
_SHOWN = 5


class CopiesFound(RefusedError):
    """Other documents have the same text. A person has to decide about them.

    Attributes:
        document_ids: of the others.
    """

    def __init__(self, document_id: str, others: list[str]) -> None:
        shown = ", ".join(others[:_SHOWN]) + (
            f" and {len(others) - _SHOWN:,} more" if len(others) > _SHOWN else ""
        )
        super().__init__(
            f"{counted(len(others), 'other document')} with the same text as {document_id}: {shown}. `--with-copies` purges "
            f"all of them, `--keep-copies` removes only {document_id}, and the text stays. Nothing was purged"
        )
        self.document_ids = others


@dataclass(slots=True)
class PurgeReport:
    """The result of a purge.

    Attributes:
        document_ids: purged documents.
        state: production afterwards.
        rebuilt: role -> new generation.
        copies: other documents with the text, which stays there.
        verdict: of the gate on the new production, "" if production did not hold the document.
        questions: number of questions of the benchmark about the document.
        lost: role -> damage of a generation without a successor.
        removed_aside: paths of unreadable and unused files, removed with it.
        left: folders and snapshots that may hold the document, and stay.
    """

    document_ids: list[str]
    state: ProductionState
    rebuilt: dict[str, str] = field(default_factory=dict[str, str])
    copies: list[str] = field(default_factory=list[str])
    verdict: str = ""
    num_texts_removed: int = 0
    questions: int = 0
    lost: dict[str, str] = field(default_factory=dict[str, str])
    removed_aside: list[str] = field(default_factory=list[str])
    left: list[str] = field(default_factory=list[str])


def purge(
    knowledge_base: KnowledgeBase,
    name: str,
    *,
    copies: Copies = "ask",
    accept: bool = False,
    by: str = "",
    reason: str = "",
) -> PurgeReport:
    """Remove a document from all that is kept, and keep it out.

    Args:
        name: id, URI, path or unique filename.
        copies: the decision about other documents with the same text.
        accept: go on if the new production fails its gate, or cannot be measured.

    Raises:
        RefusedError: no document has this name, or several have.
        CopiesFound: other documents have the same text.
        GateFailed: the new production is below the threshold. Nothing was purged.
        SupersededError: production changed in the meantime. Nothing was purged.
        LedgerUnavailable, VectorStoreUnavailable, MetadataTablesUnavailable: traces are left. Run it again.
    """
    by, reason = checked_name(by), checked_reason(reason)
    owner = f"purge-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    wait_for_lease(knowledge_base.ledger, owner)
    try:
        with lease_renewed(knowledge_base.ledger, owner, process_outlives_step=False) as held:
            known = known_documents(knowledge_base)
            document_ids, others = _targets(known, name, copies)
            before = knowledge_base.vector_store.production_state()
            rebuilt = _rebuild(knowledge_base, known, document_ids, before)
            report = PurgeReport(sorted(document_ids), rebuilt.state, copies=others, lost=rebuilt.lost)
            report.rebuilt = {
                role: name
                for role in ("production", "previous", "held")
                if (name := getattr(rebuilt.state, role)) in rebuilt.manifests
            }
            try:
                _pass_gate(knowledge_base, rebuilt, report, accept=accept)
                held.holds()
            except BaseException:
                _discard(knowledge_base, rebuilt.manifests)
                raise
            record = _records(known, document_ids, by, reason)
            knowledge_base.purged_documents.put(record)
            # Before their generations go: afterwards a server does not list them any more.
            if isinstance(knowledge_base.vector_store, KeepsSnapshots):
                old = set(knowledge_base.vector_store.generations()) - rebuilt.manifests.keys()
                report.left += knowledge_base.vector_store.remove_snapshots(sorted(old))
            _exchange(knowledge_base, known, document_ids, rebuilt, before)
            _remove_traces(knowledge_base, record, report)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            knowledge_base.purged_documents.put(one.finished(now) for one in record)
            log = DecisionLog(knowledge_base.failures.folder)
            for one in record:
                forget = forgetting([one.document_id, *one.known_as])
                log.record("purge", by=by, reason=forget(reason), about=one.document_hash[:SHOWN_DIGITS])
    finally:
        knowledge_base.ledger.release_lease(owner)
    return report


def lift(knowledge_base: KnowledgeBase, name: str, *, by: str = "", reason: str = "") -> PurgedDocument:
    """Let a purged document in again. The next refresh reads it, if its source has it.

    Raises:
        RefusedError: no document of this name is kept out.
        MetadataTablesUnavailable: the tables cannot let it in. Nothing was changed.
    """
    by, reason = checked_name(by), checked_reason(reason)
    purged = knowledge_base.purged_documents
    found = [one for one in purged.kept_out() if any(map(one.is_named, spelled_names(name)))]
    if len(found) != 1:
        problem = (
            f"{name!r} fits {len(found)} purged documents"
            if found
            else f"no purged document is named {name!r}"
        )
        raise RefusedError(f"{problem}: `rag-assets purge --list` shows their hashes, which are names too")
    lifted = replace(found[0], lifted_at=datetime.now(UTC).isoformat(timespec="seconds"), lifted_by=by)
    # First: afterwards the command would not find it again.
    observer = Observer(knowledge_base)
    if not isinstance(observer.place, Path) or observer.place.exists():
        observer.readmit_document([lifted.document_hash, *lifted.names])
    purged.put([lifted])
    DecisionLog(knowledge_base.failures.folder).record(
        "lift", by=by, reason=reason, about=lifted.document_hash[:SHOWN_DIGITS]
    )
    return lifted


def _targets(known: KnownDocuments, name: str, copies: Copies) -> tuple[frozenset[str], list[str]]:
    """Return the documents to purge, and others with the same text."""
    document_id = known.named(name)
    others = known.others_with(known.contents[document_id], [document_id])
    if others and copies == "ask":
        raise CopiesFound(document_id, others)
    if copies == "with":
        return frozenset((document_id, *others)), []
    return frozenset((document_id,)), others


def _rebuild(
    knowledge_base: KnowledgeBase,
    known: KnownDocuments,
    document_ids: frozenset[str],
    before: ProductionState,
) -> Rebuilt:
    """Rebuild all kept generations, also those without the documents: a copy made by the engine keeps deleted points.

    Measured: the text of a document deleted by a refresh was still in the files of the next generation.
    """
    held = {state.document_id for documents in known.by_generation.values() for state in documents}
    was_completed = all(
        (one := known.earlier_purge(name)) is not None and not one.is_unfinished for name in document_ids
    )
    if was_completed and not held & document_ids:
        return Rebuilt(before)
    return rebuild_without(knowledge_base, document_ids, before)


def _pass_gate(knowledge_base: KnowledgeBase, rebuilt: Rebuilt, report: PurgeReport, *, accept: bool) -> None:
    """Measure the new production.

    Raises:
        GateFailed: it is below the threshold, or could not be measured, and this was not accepted.
    """
    production = rebuilt.state.production
    manifest = rebuilt.manifests.get(production or "")
    if manifest is None or production is None or manifest.digest == rebuilt.digest_before:
        return
    passed, verdict = False, ""
    try:
        measured = measure_candidate(
            knowledge_base, production, manifest.digest, rebuilt.documents[production]
        )
        judged = judge(measured, knowledge_base.settings.eval_threshold)
        passed, verdict = judged.passed, judged.reason
        knowledge_base.vector_store.record_report(production, report_digest(measured))
    except (
        BenchmarkError,
        ConfigurationError,
        EmbedderUnavailable,
        InvalidVectorError,
        MetadataTablesUnavailable,
        ModelChanged,
    ) as error:
        verdict = f"it could not be measured: {error}"
    report.verdict = verdict
    report.questions = _questions_about(knowledge_base, report.document_ids)
    if not passed and not accept:
        expected = ""
        if report.questions:
            expected = (
                f" {counted(report.questions, 'question')} of the benchmark expected it: remove "
                f"{'it' if report.questions == 1 else 'them'} from {knowledge_base.settings.benchmark_file}, or"
            )
        raise GateFailed(
            f"production without {', '.join(report.document_ids)} does not pass its gate: {verdict}. Nothing was purged, and "
            f"production still serves it.{expected or ' To purge it all the same,'} add --accept"
        )


def _questions_about(knowledge_base: KnowledgeBase, document_ids: Iterable[str]) -> int:
    """Return the number of questions of the benchmark about these documents."""
    ids = {*document_ids, *(one.partition(":")[2] for one in document_ids)}
    names = ids | {one.rpartition("/")[2] for one in ids}
    with suppress(BenchmarkError):
        queries = load_benchmark(knowledge_base.settings.benchmark_file).queries
        return sum(bool(names & set(query.expected_docs)) for query in queries)
    return 0


def _discard(knowledge_base: KnowledgeBase, generations: Iterable[str]) -> None:
    for generation in generations:
        try:
            knowledge_base.vector_store.discard(generation)
        except RagAssetsError as error:
            _logger.warning(
                "could not discard generation %s; the next refresh retries: %s", generation, error
            )


def _records(
    known: KnownDocuments, document_ids: frozenset[str], by: str, reason: str
) -> list[PurgedDocument]:
    """Return the records to keep. Who, when and why of an earlier purge stay."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    records: list[PurgedDocument] = []
    for document_id in sorted(document_ids):
        before = known.earlier_purge(document_id)
        if before is None:
            forget = forgetting([document_id, *known.other_names(document_id)])
            before = PurgedDocument(name_hash(document_id), now, by, forget(reason))
        uris = {*before.source_uris, *(one.source_uri for one in known.locations[document_id])}
        names = {*before.known_as, *known.other_names(document_id)}
        records.append(
            replace(
                before,
                document_id=document_id,
                names=tuple(
                    sorted({*before.names, *map(name_hash, names | {storable(one) for one in names})})
                ),
                known_as=tuple(sorted(names)),
                completed_at="",
                source_uris=tuple(sorted(uris)),
                contents=tuple(sorted({*before.contents, *known.contents[document_id]})),
            )
        )
    return records


def _exchange(
    knowledge_base: KnowledgeBase,
    known: KnownDocuments,
    document_ids: frozenset[str],
    rebuilt: Rebuilt,
    before: ProductionState,
) -> None:
    """Put the new generations in place. A refresh with an earlier reading cannot be promoted any more."""
    store, ledger = knowledge_base.vector_store, knowledge_base.ledger
    # Before the exchange: afterwards nothing tells which they were.
    traces.forget_cached(knowledge_base, (), (), rebuilt.vector_keys)
    for generation, documents in rebuilt.documents.items():
        ledger.put_documents(generation, documents)
    number = store.begin_reading()
    sources = {one.partition(":")[0] for one in document_ids}
    sources |= {location.source for name in document_ids for location in known.locations[name]}
    store.exchange(rebuilt.state, before, Readings(number, dict.fromkeys(sources, number)))


def _remove_traces(knowledge_base: KnowledgeBase, records: list[PurgedDocument], report: PurgeReport) -> None:
    store, ledger = knowledge_base.vector_store, knowledge_base.ledger
    state = store.production_state()
    sweep(store, ())
    left = set(store.generations()) - state.kept
    if left:
        raise VectorStoreUnavailable(
            f"generation {min(left)} could not be deleted, and may hold the document: run the command again"
        )
    ids = {one.document_id for one in records}
    names = {one.document_id: {one.document_id, *one.known_as} for one in records}
    traces.remove_from_records(knowledge_base, ids, frozenset[str]().union(*names.values()))
    kept = {
        str(one.content_hash)
        for generation in state.kept
        if store.manifest(generation) is not None
        for one in knowledge_base.documents_of(generation)
    }
    raw = knowledge_base.artifacts.latest("raw_documents")
    kept |= {
        str(row["content_hash"]) for row in (raw.rows(["content_hash"]) if raw else ()) if row["content_hash"]
    }
    report.num_texts_removed = traces.remove_texts(knowledge_base, kept)
    for one in records:
        traces.remove_notes(knowledge_base, one.document_id.partition(":")[0], one.source_uris)
    report.removed_aside = traces.remove_leftovers(knowledge_base)
    if folder := traces.unused_vector_store(knowledge_base):
        report.left.append(f"{folder}, the vector store of before QDRANT_URL")
    ledger.prune(state.kept)
    uris = {uri for one in records for uri in one.source_uris}
    contents = {content for one in records for content in one.contents} - kept
    traces.forget_cached(knowledge_base, uris, contents, ())
    by, reason = records[0].by, records[0].reason
    try:
        Observer(knowledge_base).forget_documents(names, contents, by=by, reason=reason)
    except MetadataTablesUnavailable as error:
        raise MetadataTablesUnavailable(
            f"{', '.join(report.document_ids)} is removed from everything but the metadata tables. The purge is unfinished: run the "
            f"command again when they are available. {error}"
        ) from None
