"""Metadata about single documents: changes, quarantine, near duplicates."""

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from rag_assets.changes.change_set import Change, DocumentChange, count_changes
from rag_assets.defs.metadata.tables import breakdown, column, shortened, table
from rag_assets.records import DocumentState
from rag_assets.refresh.decision import NearDuplicateDocuments

_NAMES_IN_CELL = 6
# So many characters fit on a page 1,440 pixels wide.
_ID_LENGTH = 34
_ID_BESIDE_TEXT = 30
_ID_BESIDE_ANOTHER = 18
# Changes in need of attention come first.
_CHANGES_SHOWN = (
    Change.QUARANTINED,
    Change.DELETED,
    Change.OMITTED,
    Change.UPDATED,
    Change.MOVED,
    Change.DUPLICATE,
    Change.ADDED,
)


def change_metadata(changes: Sequence[DocumentChange]) -> dict[str, Any]:
    """Changes of a refresh: as bars, as counts, and by document."""
    counts = Counter(change.change for change in changes)
    quarantined = [change for change in changes if change.quarantine_reason]
    return {
        "documents": breakdown("documents", {kind.value: counts[kind] for kind in Change}),
        "changes": change_table(changes),
        "quarantined": quarantine_table(quarantined),
        **quarantine_hint(quarantined),
        **count_changes(changes),
    }


def refused_metadata(settled: Sequence[DocumentChange]) -> dict[str, Any]:
    """Documents quarantined because the embedding model refuses a part of their text."""
    refused = [change for change in settled if change.quarantine_reason == "refused_by_model"]
    return {
        "num_quarantined": len(refused),
        "quarantined": quarantine_table(refused),
        **quarantine_hint(refused),
    }


def change_table(changes: Iterable[DocumentChange]) -> dg.TableMetadataValue:
    """Changed documents, without those omitted before."""
    changing = sorted(
        (
            change
            for change in changes
            if change.change in _CHANGES_SHOWN and (change.change is not Change.OMITTED or change.is_served)
        ),
        key=lambda change: (_CHANGES_SHOWN.index(change.change), change.document_id),
    )
    rows = ({"document_id": _place(it), "change": it.change.value} for it in changing)
    return table(rows, column("document_id", description="of a moved document: ← from"), column("change"))


def _place(change: DocumentChange) -> str:
    """Return the id, for a moved document also the old one. The UI puts the two below one another."""
    places = filter(None, (change.document_id, change.moved_from))
    return " ← ".join(shortened(place, _ID_LENGTH) for place in places)


def quarantine_table(states: Iterable[DocumentState | DocumentChange]) -> dg.TableMetadataValue:
    rows = (
        {"document_id": shortened(state.document_id, _ID_BESIDE_TEXT), "reason": _reason(state)}
        for state in states
    )
    return table(rows, column("document_id"), column("reason"))


def _reason(state: DocumentState | DocumentChange) -> str:
    reason = ": ".join(filter(None, (state.quarantine_reason, state.quarantine_detail)))
    # Only a change knows the version in production.
    served = isinstance(state, DocumentChange) and state.content_hash is not None
    return f"{reason.removesuffix('.')}. The last good version is served" if served else reason


def quarantine_hint(states: Sequence[DocumentChange]) -> dict[str, dg.TextMetadataValue]:
    """The command to explain quarantined documents. Empty without any."""
    return {"what_to_do": dg.MetadataValue.text("rag-assets quarantine")} if states else {}


def trace_hint(document_ids: Sequence[str]) -> dict[str, dg.TextMetadataValue]:
    """The command to explain the documents of a table. Empty for an empty table.

    A metadata value appears only in the UI, a string also in the log.
    """
    if not document_ids:
        return {}
    return {"trace": dg.MetadataValue.text(f"rag-assets trace {shlex.quote(document_ids[0])}")}


def near_duplicate_metadata(
    groups: Sequence[NearDuplicateDocuments], changes: Iterable[DocumentChange]
) -> dict[str, Any]:
    """Groups of near-duplicate documents, with those left out of the index."""
    omitted = {change.document_id for change in changes if change.change is Change.OMITTED}
    length = _ID_BESIDE_ANOTHER if omitted else _ID_LENGTH

    def names(document_ids: Iterable[str]) -> str | None:
        ids = list(document_ids)
        more = f" … {len(ids) - _NAMES_IN_CELL} more" if len(ids) > _NAMES_IN_CELL else ""
        return (", ".join(shortened(one, length) for one in ids[:_NAMES_IN_CELL]) + more) or None

    rows = (
        {
            "documents": names(one for one in group.document_ids if one not in omitted),
            "omitted": names(one for one in group.document_ids if one in omitted),
            "similarity": group.similarity,
        }
        for group in groups
    )
    return {
        "num_near_duplicates": sum(len(group.document_ids) for group in groups),
        "near_duplicates": table(
            rows,
            column("documents", description="documents with nearly the same text"),
            column("omitted", description="left out of the index, because RAG_NEAR_DUPLICATES is keep_one"),
            column(
                "similarity",
                "float",
                "estimated share of common three-word phrases, for the least similar pair",
            ),
        ),
    }
