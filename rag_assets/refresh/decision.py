"""The decision of a refresh: a comparison of the sources with production now, and the checks before carrying it out."""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any

from rag_assets.changes.change_set import Change, DocumentChange, decide_changes, target_documents
from rag_assets.changes.content_changes import content_changes
from rag_assets.changes.deletion_guard import AdmittedDeletions, DeletionGuard
from rag_assets.changes.near_duplicates import (
    THRESHOLD,
    NearDuplicates,
    comparison_id,
    find_groups,
    signatures_of,
)
from rag_assets.changes.omission import keep_one_of_each
from rag_assets.changes.outages import FailedParts
from rag_assets.errors import QuarantineReason, RefusedError, StateFormatError
from rag_assets.fingerprint import short_hash
from rag_assets.ingestion.renamed_documents import renamed_documents
from rag_assets.ingestion.source_reports import skipped_text
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import DocumentState, GenerationManifest, Outage
from rag_assets.refresh.past_deletions import past_deletions
from rag_assets.refresh.staging_plan import text_of
from rag_assets.text.wording import counted
from rag_assets.vector_stores.promotion_rules import check_readings

_REFUSED: QuarantineReason = "refused_by_model"


@dataclass(frozen=True, slots=True)
class NearDuplicateDocuments:
    """The documents of one group of near duplicates.

    Attributes:
        document_ids: sorted, including all documents with the same content.
        similarity: estimate, as in `NearDuplicates`.
    """

    document_ids: tuple[str, ...]
    similarity: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The groups of near duplicates among the contents.

    Attributes:
        contents_hash: hash of the compared contents and of the method, equal for equal groups. "" without a
            comparison, or if a text was lost.
    """

    contents_hash: str = ""
    groups: tuple[NearDuplicates, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The work of a refresh.

    Attributes:
        base_name: generation in production, or None.
        base: its manifest, or None if none of its points can be kept.
        production: its documents.
        documents: documents of the candidate.
        num_contents_changed: number of contents with changed points.
        num_payload_updates: number of contents with new locations or metadata only. Nothing of them is embedded.
        comparison: of all contents, including those of omitted documents.
        near_duplicates: the documents of its groups.
        production_damage: why production cannot be copied, in words, "" if it is as it was sealed.
        admitted: outages whose loss a person has admitted.
    """

    base_name: str | None
    base: GenerationManifest | None
    production: list[DocumentState]
    changes: list[DocumentChange]
    documents: list[DocumentState]
    num_contents_changed: int
    num_payload_updates: int
    comparison: Comparison
    near_duplicates: list[NearDuplicateDocuments]
    production_damage: str
    admitted: Sequence[Outage] = ()

    @property
    def rebuild(self) -> bool:
        return self.base is None


def decide(
    knowledge_base: KnowledgeBase,
    current: Iterable[DocumentState],
    complete_sources: Set[str],
    outages: Iterable[Outage] = (),
    skipped: Mapping[str, Mapping[str, int]] | None = None,
) -> Decision:
    """Compare the sources with production.

    Args:
        current, complete_sources: as in `decide_changes`.
        outages: of parts of the sources, also admitted ones.
        skipped: source -> ending -> number of files left out, for the reason of an empty knowledge base.

    Raises:
        RefusedError: neither production nor the sources hold a document.
    """
    base_name = knowledge_base.vector_store.production_state().production
    production = knowledge_base.documents_of(base_name)
    outages = list(outages)
    changes, comparison, near_duplicates = _compare_documents(
        knowledge_base, production, current, complete_sources, outages, skipped
    )
    base, damage = knowledge_base.examine_production()
    documents = target_documents(changes)
    changed = content_changes(production if base else (), documents)
    return Decision(
        base_name,
        base,
        production,
        changes,
        documents,
        len(changed),
        sum(change.was_held and bool(change.locations) for change in changed),
        comparison,
        near_duplicates,
        damage,
        [outage for outage in outages if outage.is_admitted],
    )


def _why_nothing_is_readable(
    knowledge_base: KnowledgeBase,
    changes: Iterable[DocumentChange],
    skipped: Mapping[str, Mapping[str, int]],
) -> str:
    reasons = Counter(change.quarantine_reason for change in changes if change.quarantine_reason)
    found = [skipped_text(endings) for endings in skipped.values()]
    if reasons:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
        found.append(f"{counted(reasons.total(), 'document')} quarantined: {counts}")
    problem = f"no readable document in {', '.join(source.name for source in knowledge_base.sources())}"
    if found:
        return f"{problem}: {'; '.join(found)}. docs/formats.md lists the formats"
    return (
        f"{problem}: put documents into {knowledge_base.settings.documents_dir} or set RAG_DOCUMENTS_DIR or "
        "RAG_SOURCES, then materialize all assets"
    )


def decide_without(
    knowledge_base: KnowledgeBase,
    current: Iterable[DocumentState],
    complete_sources: Set[str],
    outages: Iterable[Outage],
    refused: Mapping[str, str],
) -> list[DocumentChange]:
    """Decide again without the contents that the embedding model refuses.

    A document with a refused text is quarantined, and its last good version stays. In a rebuild the model may refuse that
    one too. Then the document has no points.

    Args:
        refused: content hash -> the reason, a sentence.
    """
    production = knowledge_base.documents_of(knowledge_base.vector_store.production_state().production)
    changes, _, _ = _compare_documents(
        knowledge_base,
        production,
        (
            DocumentState(state.location, None, _REFUSED, refused[state.content_hash])
            if state.content_hash is not None and state.content_hash in refused
            else state
            for state in current
        ),
        complete_sources,
        outages,
    )
    return [
        replace(
            change,
            change=Change.QUARANTINED,
            content_hash=None,
            quarantine_reason=_REFUSED,
            quarantine_detail=refused[change.content_hash],
        )
        if change.content_hash is not None and change.content_hash in refused
        else change
        for change in changes
    ]


def _compare_documents(
    knowledge_base: KnowledgeBase,
    production: Sequence[DocumentState],
    current: Iterable[DocumentState],
    complete_sources: Set[str],
    outages: Iterable[Outage],
    skipped: Mapping[str, Mapping[str, int]] | None = None,
) -> tuple[list[DocumentChange], Comparison, list[NearDuplicateDocuments]]:
    failed = FailedParts(outage for outage in outages if not outage.is_admitted)
    renamed = renamed_documents(knowledge_base.sources(), production)
    policy = knowledge_base.settings.metadata_policy
    changes = decide_changes(production, current, complete_sources, failed, renamed, policy)
    changes = _without_purged(changes, knowledge_base.purged_documents.kept_out())
    if not production and not any(change.content_hash for change in changes):
        raise RefusedError(_why_nothing_is_readable(knowledge_base, changes, skipped or {}))
    comparison = _compare(knowledge_base, changes)
    near_duplicates = _documents_of(comparison.groups, changes)
    if knowledge_base.settings.near_duplicates == "keep_one":
        # In a chain only neighbors are alike. No document is omitted for a text with little resemblance.
        groups = (group.contents for group in comparison.groups if group.similarity >= THRESHOLD)
        changes = keep_one_of_each(changes, groups, complete_sources, failed)
    return changes, comparison, near_duplicates


def _without_purged(changes: Iterable[DocumentChange], purged: Container[str]) -> list[DocumentChange]:
    """Delete purged documents that production still holds: their purge was interrupted, and their source is away."""
    return [
        replace(change, change=Change.DELETED, content_hash=None, near_duplicate_of=None)
        if change.document_id in purged and change.content_hash is not None
        else change
        for change in changes
        if change.document_id not in purged or change.previous_content_hash is not None
    ]


def _compare(knowledge_base: KnowledgeBase, changes: Iterable[DocumentChange]) -> Comparison:
    """Find near duplicates. Reuse the groups of the last refresh if it had the same contents."""
    contents = sorted({change.content_hash for change in changes if change.content_hash is not None})
    if knowledge_base.settings.near_duplicates == "off" or len(contents) < 2:
        return Comparison()
    contents_hash = short_hash([comparison_id(), contents])
    try:
        last = knowledge_base.artifacts.latest("deduped_documents")
        if last is not None and last.details["comparison"]["contents_hash"] == contents_hash:
            return comparison_from(last.details["comparison"])
    except (StateFormatError, KeyError):
        pass  # of another version, or corrupt
    known, signatures = signatures_of(contents, partial(text_of, knowledge_base), knowledge_base.ledger)
    # If a text was lost, the groups are not reused: the text may be back next time.
    return Comparison(
        contents_hash if len(known) == len(contents) else "", tuple(find_groups(known, signatures))
    )


def comparison_from(details: Mapping[str, Any]) -> Comparison:
    """Read a comparison from the result of `asdict`."""
    groups = (NearDuplicates(tuple(one["contents"]), one["similarity"]) for one in details["groups"])
    return Comparison(details["contents_hash"], tuple(groups))


def _documents_of(
    groups: Iterable[NearDuplicates], changes: Sequence[DocumentChange]
) -> list[NearDuplicateDocuments]:
    by_content: dict[str | None, list[str]] = defaultdict(list)
    for change in changes:
        by_content[change.content_hash].append(change.document_id)
    return [
        NearDuplicateDocuments(
            tuple(sorted(chain.from_iterable(by_content[content] for content in group.contents))),
            group.similarity,
        )
        for group in groups
    ]


def require_current_reading(knowledge_base: KnowledgeBase, readings: Mapping[str, int]) -> None:
    """Refuse to go on with an older reading of the sources than the last one that counted.

    A run re-executed from its failure finds the reading of its first attempt.

    Args:
        readings: source -> number of its reading.

    Raises:
        SupersededError: a later reading of a source counted.
    """
    check_readings(readings, knowledge_base.vector_store.readings())


def clock() -> datetime:
    return datetime.now(UTC)


def check_deletions(knowledge_base: KnowledgeBase, decision: Decision) -> AdmittedDeletions:
    """Check the deletions with the deletion guard. A loss that was admitted with an outage passes.

    Raises:
        DeletionRefused: too many deletions, without an approval.
    """
    admitted, now = FailedParts(decision.admitted), clock()
    return DeletionGuard(knowledge_base.settings.max_deleted_share).check(
        len(decision.production),
        [
            change
            for change in decision.changes
            if change.change is not Change.DELETED or not admitted.contain(change.location)
        ],
        now=now,
        base=decision.base_name,
        approved_tokens=knowledge_base.approved_tokens(),
        history=past_deletions(knowledge_base, decision.base_name, now),
    )
