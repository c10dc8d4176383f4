"""Layout and wording shared by the reports for a person, from `rag-assets status` to `rag-assets doctor`."""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from rag_assets.ingestion.source_reports import metadata_left_out_text, skipped_text, without_name
from rag_assets.text.wording import counted

_LABEL_WIDTH = 15
_MOST_UNSETTLED = 10


def labeled(label: str, text: str, width: int = _LABEL_WIDTH) -> str:
    """Return one line of a report.

    Args:
        label: "" continues the line above.
        text: begins at column `width`.
    """
    return f"{label:<{width}}{text}"


def knowledge_base_line(report: Mapping[str, Any]) -> str:
    """Return the line about the knowledge base of a report: its name and place, and the server of its ledger."""
    names = report["knowledge_base"]
    ledger = f", ledger in {names['ledger']}" if names.get("ledger") else ""
    return labeled("knowledge base", f"{names['name']} in {names['place']}{ledger}")


def last_good_version(served: bool) -> str:
    """Return a clause about a quarantined document.

    Args:
        served: whether production holds the document now. The artifacts of the refresh cannot tell: a rollback may
            have removed the last good version since.
    """
    return "its last good version is served" if served else "no version of it is served"


def quarantined_text(entry: Mapping[str, Any]) -> str:
    """Return one quarantined document, with reason and detail, for a line of a report."""
    served = last_good_version(entry["last_good_version_served"])
    return f"{entry['document_id']}: {entry['reason']}, {entry['detail']} ({served})"


def degraded_lines(problems: Mapping[str, str]) -> list[str]:
    """Return one line per unreadable source.

    Args:
        problems: source -> problem.
    """
    return [
        labeled("DEGRADED", f"source {source}: {without_name(source, problem)}")
        for source, problem in problems.items()
    ]


def unsettled_entries(document_ids: Iterable[str], served: Container[str]) -> list[dict[str, Any]]:
    """Return documents that are still being written, as JSON-compatible data.

    Args:
        served: ids of the documents in production.
    """
    return [
        {"document_id": document_id, "last_good_version_served": document_id in served}
        for document_id in sorted(document_ids)
    ]


def unsettled_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one line per document that is still being written.

    Args:
        entries: as returned by `unsettled_entries`.
    """
    lines = [
        labeled(
            "still written",
            f"{entry['document_id']}: "
            + (
                "its last good version is served until it holds still"
                if entry["last_good_version_served"]
                else "left out until it holds still"
            ),
        )
        for entry in entries[:_MOST_UNSETTLED]
    ]
    if (more := len(entries) - _MOST_UNSETTLED) > 0:
        lines.append(labeled("", f"and {counted(more, 'more document')}"))
    return lines


def skipped_lines(skipped: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return one line per source with files left out.

    Args:
        skipped: source -> ending -> number of files.
    """
    return [
        labeled("left out", f"source {source}: {skipped_text(endings)}")
        for source, endings in skipped.items()
    ]


def metadata_lines(left_out: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return one line per source with metadata cut or left out.

    Args:
        left_out: source -> what was left out -> number of documents.
    """
    return [
        labeled("metadata", f"source {source}: {metadata_left_out_text(entries)}")
        for source, entries in left_out.items()
    ]


def unconfigured_lines(unconfigured: Mapping[str, int]) -> list[str]:
    """Return one line per source removed from the configuration.

    Args:
        unconfigured: source -> its documents in production.
    """
    return [
        labeled(
            "NOT CONFIGURED",
            f"source {source}: {counted(count, 'document')} still in production; docs/sources.md shows how to remove "
            "a source",
        )
        for source, count in unconfigured.items()
    ]


def ignored_lines(ignored: Mapping[str, str]) -> list[str]:
    """Return one line per source that is set up, but not named in `RAG_SOURCES`.

    Args:
        ignored: kind -> sign of its set-up.
    """
    return [
        labeled(
            "NOT ASKED",
            f"source {kind}: {sign}, but no source in RAG_SOURCES is of this kind: add {kind} to read it",
        )
        for kind, sign in ignored.items()
    ]
