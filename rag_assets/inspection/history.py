"""The past changes of one document and their Dagster runs, as data and as lines of a report."""

from typing import Any

from rag_assets.inspection.trace_evidence import PastChange


def run_entry(run_id: str | None) -> dict[str, str | None]:
    """Return a run id and its path in the Dagster UI."""
    return {"run_id": run_id or None, "run_path": f"/runs/{run_id}" if run_id else None}


def change_entry(past: PastChange) -> dict[str, Any]:
    """Return a past change as JSON-compatible data."""
    return {
        "refresh_id": past.refresh_id,
        **run_entry(past.artifact.header.run_id),
        "at": past.artifact.header.created_at,
        "change": past.change,
        "content_hash": past.content_hash,
        "moved_from": past.moved_from,
        "moved_to": past.moved_to,
        "near_duplicate_of": past.near_duplicate_of,
        "quarantine_reason": past.quarantine_reason,
        "quarantine_detail": past.quarantine_detail,
    }


def history_line(entry: dict[str, Any]) -> str:
    """Return an entry of `change_entry` in one line."""
    line = f"{entry['refresh_id']}: {entry['change'] or 'read, not compared with production'}"
    for way in ("from", "to"):
        if entry[f"moved_{way}"]:
            line += f" {way} {entry[f'moved_{way}']}"
    return line + run_at_end(entry)


def run_at_end(entry: dict[str, Any]) -> str:
    """Return the path of the run of an entry, for the end of a line."""
    return f", run {entry['run_path']}" if entry["run_path"] else ""
