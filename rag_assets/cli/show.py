"""`rag-assets show`: one document with its chunks, for a person or as JSON."""

import argparse
from typing import Any

from rag_assets.cli.terminal import Bold, columns, say, say_json, say_labeled, wrapped
from rag_assets.document_metadata.wording import metadata_text
from rag_assets.inspection.history import history_line
from rag_assets.inspection.lines import last_good_version
from rag_assets.inspection.show import show as shown_document
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.text.control_characters import one_line, printable
from rag_assets.text.wording import counted

_INDENT = "   "
_MOST_PLACES = 20


def show(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Print a document as a generation holds it."""
    report = shown_document(knowledge_base, options.name, options.generation)
    if options.json:
        say_json(report)
        return 0
    _say_document(report)
    for chunk in report["chunks"]:
        _say_chunk(chunk)
    return 0


def _say_document(report: dict[str, Any]) -> None:
    say(Bold(one_line(report["document_id"])))
    say_labeled("", report["described_generation"])
    if report["title"]:
        say_labeled("title", report["title"])
    say_labeled("uri", report["source_uri"], to_copy=True)
    others = [one for one in report["locations"] if one["document_id"] != report["document_id"]]
    for other in others[:_MOST_PLACES]:
        say_labeled("also at", other["document_id"], to_copy=True)
    if len(others) > _MOST_PLACES:
        say_labeled("", f"and {counted(len(others) - _MOST_PLACES, 'more place')}")
    if report["modified_at"]:
        say_labeled("modified", report["modified_at"])
    if report["access"] is not None:
        say_labeled("access", ", ".join(report["access"]) or "no one")
    if report["metadata"]:
        say_labeled("metadata", metadata_text(report["metadata"]))
    if quarantine := report["quarantine"]:
        is_served = last_good_version(report["role"] == "production")
        say_labeled(
            "QUARANTINED",
            f"by refresh {quarantine['refresh_id']}: {quarantine['reason']}, {quarantine['detail']} ({is_served})",
        )
    for other in report["other_generations"]:
        text = "the same text" if other["has_same_text"] else "another text"
        text = text if other["content_hash"] else "not there"
        say_labeled(other["role"], f"{text} in generation {other['generation']}")
    for entry in report["history"]:
        is_candidate = entry["refresh_id"] == report["candidate_refresh_id"]
        say_labeled("refresh", history_line(entry) + (" (not in production)" if is_candidate else ""))
    tokens = counted(report["num_tokens"], "token")
    say_labeled("chunks", f"{report['num_chunks']:,}, {tokens}")


def _say_chunk(chunk: dict[str, Any]) -> None:
    say()
    headings = " > ".join(chunk["heading_path"])
    flags = f", flagged: {', '.join(chunk['flags'])}" if chunk["flags"] else ""
    title = f"chunk {chunk['chunk_index']}, {counted(chunk['token_count'], 'token')}{flags}"
    for line in wrapped(one_line(f"{title}: {headings}" if headings else title), columns()):
        say(Bold(line))
    for line in printable(chunk["text"]).expandtabs(4).splitlines():
        # Tables and programs keep their columns where they fit.
        for part in (
            [line] if len(line) <= columns() - len(_INDENT) else wrapped(line, columns() - len(_INDENT))
        ):
            say(f"{_INDENT}{part}".rstrip())
