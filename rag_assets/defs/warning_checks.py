"""Checks that warn of a degraded state, and block nothing. Each one is evaluated by the step of its own asset."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from rag_assets.changes.change_set import DocumentChange
from rag_assets.defs.metadata.documents import quarantine_table
from rag_assets.defs.metadata.tables import shortened
from rag_assets.records import DocumentState
from rag_assets.text.wording import counted

_MAX_NAMES = 5
_NAME_LENGTH = 80

SOURCES_COMPLETE = dg.AssetCheckSpec(
    "sources_complete",
    asset="raw_documents",
    description="Warns if a source could not be read completely. Its missing documents are not deleted, and nothing is "
    "blocked.",
)
NOTHING_QUARANTINED = dg.AssetCheckSpec(
    "nothing_quarantined",
    asset="raw_documents",
    description="Warns if documents have no usable text. Their last good versions are still served, and nothing is "
    "blocked.",
)
NOTHING_REFUSED = dg.AssetCheckSpec(
    "nothing_refused",
    asset="staging_collection",
    description="Warns if the embedding model refuses a part of a document. Its last good version is still served, and "
    "nothing is blocked.",
)


def sources_complete(problems: Mapping[str, str], num_sources: int) -> dg.AssetCheckResult:
    """Warn of sources that were not read completely.

    Args:
        problems: source -> reason.
    """
    description = f"{counted(num_sources, 'source')} read completely"
    if problems:
        whose = "Its documents stay" if len(problems) == 1 else "Their documents stay"
        description = (
            f"{len(problems)} of {counted(num_sources, 'source')} not read completely: {_names(sorted(problems))}. "
            f"{whose} in production as they were. The reasons are below, and in `rag-assets status`."
        )
    return _warning(SOURCES_COMPLETE, not problems, description, dict(problems))


def nothing_quarantined(states: Sequence[DocumentState | DocumentChange]) -> dg.AssetCheckResult:
    """Warn of documents without usable text."""
    return _quarantine(NOTHING_QUARANTINED, states)


def nothing_refused(settled: Iterable[DocumentChange]) -> dg.AssetCheckResult:
    """Warn of documents with a text that the embedding model refuses."""
    refused = [change for change in settled if change.quarantine_reason == "refused_by_model"]
    return _quarantine(NOTHING_REFUSED, refused)


def _quarantine(
    spec: dg.AssetCheckSpec, states: Sequence[DocumentState | DocumentChange]
) -> dg.AssetCheckResult:
    description = "no document quarantined"
    if states:
        names = _names([f"{state.document_id} ({state.quarantine_reason})" for state in states])
        description = (
            f"{counted(len(states), 'document')} quarantined: {names}. Served versions stay. "
            "`rag-assets quarantine` says what to do for each one."
        )
    return _warning(
        spec, not states, description, {"quarantined": quarantine_table(states)} if states else {}
    )


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES:,} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(shortened(name, _NAME_LENGTH) for name in names[:_MAX_NAMES]) + more


def _warning(
    spec: dg.AssetCheckSpec, passed: bool, description: str, metadata: Mapping[str, Any]
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed,
        asset_key=spec.asset_key,
        check_name=spec.name,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
        metadata=metadata,
    )
