"""The quarantined documents of the last refresh, with reason and date. The form of `quarantine --json` is stable.

Reports only recorded facts. `rag_assets.changes.change_set` decides what happens to a quarantined document.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from rag_assets.artifacts.parquet_artifact import Artifact
from rag_assets.artifacts.rows import document_from_row
from rag_assets.effective_settings import names_of
from rag_assets.errors import QuarantineReason, StateFormatError
from rag_assets.inspection.lines import knowledge_base_line, labeled, last_good_version
from rag_assets.inspection.settled import refused_rows
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import DocumentState

_COLUMNS = ("document_id", "source_uri", "path", "filename", "quarantine_reason", "quarantine_detail")
WHAT_TO_DO: dict[QuarantineReason, str] = {
    "empty": "fill it, install tesseract-ocr, or remove it",
    "encrypted": "save it without a password",
    "corrupt": "open it in its program and save it again",
    "not_text": "remove it, or give it the right suffix",
    "unreadable": "restore access; every refresh tries again",
    "too_large": "split it, or raise the limit",
    "too_slow": "split or simplify it",
    "model_unavailable": "follow the message; every refresh tries again",
    "refused_by_model": "shorten or change it, or set a smaller RAG_CHUNK_SIZE; every refresh sends only the refused text again",
    "crashed": "save it again, or remove it; if possible report it with the file",
}
"""The next step for each reason."""


def quarantine(knowledge_base: KnowledgeBase) -> dict[str, Any]:
    """Return every quarantined document as JSON-compatible data. The keys are documented in docs/cli.md.

    Raises:
        StateFormatError: the artifact of the last refresh is damaged.
    """
    last = knowledge_base.artifacts.latest("raw_documents")
    others = [
        one for one in knowledge_base.artifacts.kept("raw_documents") if last and one.folder != last.folder
    ]
    staged = {one.header.refresh_id: one for one in knowledge_base.artifacts.kept("staging_collection")}
    rows = _quarantined(last, staged) if last else []
    oldest = others[-1] if others else last
    since = _since([last, *others] if last else [], [row["document_id"] for row in rows], staged)
    served = knowledge_base.served_documents() if rows else {}
    return {
        "knowledge_base": names_of(knowledge_base.settings),
        "refresh_id": last and last.header.refresh_id,
        "at": last and last.header.created_at,
        "oldest_at": oldest and oldest.header.created_at,
        "num_quarantined": len(rows),
        "reasons": _counts(rows),
        "documents": [
            {
                "document_id": row["document_id"],
                "source_uri": row["source_uri"],
                "reason": row["quarantine_reason"],
                "detail": row["quarantine_detail"],
                "what_to_do": WHAT_TO_DO.get(row["quarantine_reason"], ""),
                "since": since[row["document_id"]],
                "last_good_version_served": row["document_id"] in served,
            }
            for row in rows
        ],
    }


def quarantined_documents(knowledge_base: KnowledgeBase) -> list[DocumentState]:
    """Return the quarantined documents of the last refresh, by id.

    Raises:
        StateFormatError: the artifact of the last refresh is damaged.
    """
    last = knowledge_base.artifacts.latest("raw_documents")
    if last is None:
        return []
    staged = knowledge_base.artifacts.latest("staging_collection")
    rows = [row for row in last.rows() if row["quarantine_reason"]]
    rows += refused_rows(staged, last.header.refresh_id)
    return [document_from_row(row) for row in sorted(rows, key=lambda row: row["document_id"])]


def _quarantined(reading: Artifact, staged: Mapping[str, Artifact]) -> list[dict[str, Any]]:
    """Return the documents of one refresh without usable text, and those refused by the embedding model."""
    rows = [row for row in reading.rows(_COLUMNS) if row["quarantine_reason"]]
    refresh_id = reading.header.refresh_id
    rows += refused_rows(staged.get(refresh_id), refresh_id)
    return sorted(rows, key=lambda row: row["document_id"])


def _counts(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Return reason -> number of documents, in the documented order of reasons."""
    counts = Counter(row["quarantine_reason"] for row in rows)
    order = (*get_args(QuarantineReason), *sorted(counts))
    return {reason: counts[reason] for reason in order if counts[reason]}


def _since(
    readings: Sequence[Artifact], document_ids: Sequence[str], staged: Mapping[str, Artifact]
) -> dict[str, str | None]:
    """Return when each document was first quarantined. None: in the oldest recorded refresh or before.

    Args:
        readings: latest first. All the documents are quarantined in the first one.
    """
    since: dict[str, str | None] = dict.fromkeys(document_ids)
    waiting = set(document_ids)
    later: Artifact | None = None
    for reading in readings:
        if not waiting:
            break
        try:
            found = {row["document_id"] for row in _quarantined(reading, staged)}
        except StateFormatError:
            break
        if later is not None:
            for document_id in waiting - found:
                since[document_id] = later.header.created_at
        waiting &= found
        later = reading
    return since


def describe(report: dict[str, Any]) -> str:
    """Return the quarantine as text for a person, by reason."""
    if report["refresh_id"] is None:
        return f"{knowledge_base_line(report)}\nno document is quarantined: nothing was refreshed yet"
    if not report["documents"]:
        return f"no document is quarantined (refresh {report['refresh_id']}, {report['at']})"
    lines = [f"{report['num_quarantined']:,} quarantined by refresh {report['refresh_id']}, {report['at']}"]
    for reason, count in report["reasons"].items():
        found = [entry for entry in report["documents"] if entry["reason"] == reason]
        lines.append(labeled(reason, f"{count:,}"))
        if found[0]["what_to_do"]:
            lines.append(f"  {found[0]['what_to_do']}")
        lines.extend(_line(entry, report["oldest_at"]) for entry in found)
    lines.append("history of one document: rag-assets trace DOCUMENT")
    lines.append(
        "read unchanged documents again in the next refresh: rag-assets quarantine --retry [DOCUMENT …]"
    )
    return "\n".join(lines)


def _line(entry: dict[str, Any], oldest_at: str) -> str:
    since = f"since {entry['since']}" if entry["since"] else f"since {oldest_at} or earlier"
    served = last_good_version(entry["last_good_version_served"])
    return f"  {entry['document_id']}: {entry['detail']} ({served}, {since})"
