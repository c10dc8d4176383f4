"""What a refresh would do now, found out with the refresh's own code on a dry run, which writes nothing.

Figures have the names that the assets give them in their metadata, asset by asset. The form of `plan --json` is
stable.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from rag_assets.batches import batched
from rag_assets.changes.change_set import Change, DocumentChange, count_changes
from rag_assets.changes.content_changes import content_changes
from rag_assets.chunking import chunk_contents
from rag_assets.embedding import WINDOW, cached_vectors, distinct
from rag_assets.errors import MENDED_BY_REBUILD, DeletionRefused
from rag_assets.evaluation.benchmark import fitting_problem, reading_problem
from rag_assets.fingerprint import fingerprint_difference, short_hash
from rag_assets.ingestion.source_reports import (
    degraded_lines,
    files_left_out,
    require_a_readable_source,
    unreadable_sources,
)
from rag_assets.inspection.dry_run import UNKNOWN_DIMENSIONS, dry_run
from rag_assets.inspection.unconfigured_sources import unconfigured_lines, unconfigured_sources
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import Chunk
from rag_assets.refresh.decision import Decision, check_deletions, decide
from rag_assets.refresh.promotion import is_held
from rag_assets.refresh.staging_plan import staging_plan_for
from rag_assets.settings import Settings

_MOST_DOCUMENTS = 1000
_MOST_LINES = 10


def plan(settings: Settings) -> dict[str, Any]:
    """Return what a refresh would do, as JSON can hold it; the keys are documented in docs/cli.md.

    Raises:
        SourceUnavailable, RefusedError: where a refresh would stop before it has decided anything.
    """
    with dry_run(settings) as knowledge_base:
        ingestion = knowledge_base.ingestion()
        documents = list(ingestion.documents())
        require_a_readable_source(ingestion.reports)
        complete = frozenset(report.source for report in ingestion.reports if report.complete)
        decision = decide(knowledge_base, documents, complete)
        held = [] if decision.rebuild else decision.production
        staging = staging_plan_for(knowledge_base, decision.base, held, decision.documents)
        new_contents = [change.content_hash for change in staging.changes if not change.was_held]
        chunked = {"num_contents": len(new_contents), "num_chunks": 0, "num_tokens": 0}
        chunks = chunk_contents(new_contents, staging.text_of, knowledge_base.chunker)
        embedded = _embeddings(knowledge_base, _counted(chunks, chunked))
        return {
            "base_generation": decision.base_name,
            "raw_documents": {
                "num_documents": len(documents),
                "num_read": sum(report.num_read for report in ingestion.reports),
                "num_parsed": sum(report.num_parsed for report in ingestion.reports),
                "num_quarantined": sum(report.num_quarantined for report in ingestion.reports),
                "unreadable_sources": unreadable_sources(ingestion.reports),
                "unconfigured_sources": unconfigured_sources(settings, decision.production),
                "to_ask": [
                    {
                        "model": usage.model,
                        "num_documents": usage.num_documents,
                        "num_bytes": usage.num_bytes,
                    }
                    for usage in ingestion.media.usage.values()
                ],
                "left_out": files_left_out(ingestion.reports),
            },
            "deduped_documents": _deduped_documents(knowledge_base, decision),
            "chunks": chunked,
            "embeddings": embedded,
            "staging_collection": {
                "written": decision.rebuild or bool(staging.changes),
                "num_documents": len(decision.documents),
            },
            "eval_report": {
                "no_benchmark": reading_problem(settings.benchmark_file) or None,
                "benchmark_does_not_fit": fitting_problem(settings.benchmark_file, decision.documents)
                or None,
            },
            "production_collection": {"held_generation": _held_generation(knowledge_base)},
        }


def _counted(chunks: Iterator[Chunk], counts: dict[str, int]) -> Iterator[Chunk]:
    for chunk in chunks:
        counts["num_chunks"] += 1
        counts["num_tokens"] += chunk.token_count
        yield chunk


def _deduped_documents(knowledge_base: KnowledgeBase, decision: Decision) -> dict[str, Any]:
    refusal: dict[str, str] | None = None
    try:
        check_deletions(knowledge_base, decision)
    except DeletionRefused as error:
        refusal = {"message": str(error), "token": error.token}
    return {
        **count_changes(decision.changes),
        "num_near_duplicates": sum(len(group.document_ids) for group in decision.near_duplicates),
        "num_contents": len(content_changes((), decision.documents)),
        "num_contents_changed": decision.num_contents_changed,
        "full_rebuild": decision.rebuild,
        "differing_settings": _differing_settings(knowledge_base),
        "deletion_refused": refusal,
        "documents": _document_lists(decision.changes),
    }


def _differing_settings(knowledge_base: KnowledgeBase) -> list[str]:
    try:
        manifest = knowledge_base.production_manifest()
    except MENDED_BY_REBUILD:
        return []
    return fingerprint_difference(manifest.fingerprint, knowledge_base.fingerprint()) if manifest else []


def _document_lists(changes: Sequence[DocumentChange]) -> dict[str, list[dict[str, Any]]]:
    first_of_content: dict[str | None, str] = {}
    for change in changes:
        if change.change is not Change.DUPLICATE:
            first_of_content.setdefault(change.content_hash, change.document_id)
    lists: dict[str, list[dict[str, Any]]] = {
        kind.value: [] for kind in Change if kind is not Change.UNCHANGED
    }
    for change in changes:
        if change.change is Change.UNCHANGED or len(lists[change.change]) == _MOST_DOCUMENTS:
            continue
        entry: dict[str, Any] = {"document_id": change.document_id}
        if change.change is Change.MOVED:
            entry["moved_from"] = change.moved_from
        elif change.change is Change.DUPLICATE:
            entry["duplicate_of"] = first_of_content.get(change.content_hash)
        elif change.change is Change.OMITTED:
            entry["near_duplicate_of"] = change.near_duplicate_of
        elif change.change is Change.QUARANTINED:
            entry["reason"] = change.quarantine_reason
            entry["detail"] = change.quarantine_detail
            entry["last_good_version_served"] = change.content_hash is not None
        lists[change.change].append(entry)
    return lists


def _embeddings(knowledge_base: KnowledgeBase, chunks: Iterator[Chunk]) -> dict[str, Any]:
    """Look every distinct text up in the cache, a bounded number at a time."""
    embedder = knowledge_base.embedder
    num_texts = num_cached = num_tokens = 0
    for window in batched(distinct(chunks, lambda chunk: chunk.text_hash), WINDOW):
        cached = cached_vectors(
            [(chunk.text_hash, chunk.text) for chunk in window], embedder.model, knowledge_base.ledger
        )
        num_texts += len(window)
        num_cached += len(cached)
        num_tokens += sum(chunk.token_count for chunk in window if chunk.text_hash not in cached)
    # Without the dimension there is no key to look up: how much is cached is not known.
    known = embedder.model.dimensions != UNKNOWN_DIMENSIONS or not num_texts
    price = embedder.usd_per_million_tokens
    return {
        "embedding_model": embedder.model.model,
        "num_texts": num_texts,
        "num_cached": num_cached if known else None,
        "num_embedded": num_texts - num_cached if known else None,
        "num_tokens": num_tokens if known else None,
        "estimated_cost_usd": num_tokens * price / 1_000_000 if known and price is not None else None,
    }


def _held_generation(knowledge_base: KnowledgeBase) -> str | None:
    store = knowledge_base.vector_store
    state = store.production_state()
    return state.held if is_held(store, state, short_hash(knowledge_base.fingerprint())) else None


def describe(report: dict[str, Any]) -> str:
    """Return the plan for a person."""
    raw, deduped, chunked, embedded = (
        report[name] for name in ("raw_documents", "deduped_documents", "chunks", "embeddings")
    )
    lines = [
        f"production     {report['base_generation'] or 'nothing yet'}",
        (
            f"sources        {raw['num_documents']:,} documents listed, {raw['num_read']:,} to read, "
            f"{raw['num_parsed']:,} to parse"
        ),
    ]
    lines.extend(degraded_lines(raw["unreadable_sources"]))
    lines.extend(unconfigured_lines(raw["unconfigured_sources"]))
    lines.extend(
        f"to ask         {asked['model']} about {asked['num_documents']:,} documents ({asked['num_bytes'] / 1e6:,.1f} MB), "
        "at a price that only its answers tell; what they hold is in no figure below"
        for asked in raw["to_ask"]
        if asked["num_documents"]
    )
    lines.extend(
        f"left out       {count:,} files that only a model can read: set {variable}"
        for variable, count in raw["left_out"].items()
    )
    counts = {kind.value: deduped[f"num_{kind.value}"] for kind in Change}
    lines.append(
        "changes        " + (", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count))
    )
    for kind, entries in deduped["documents"].items():
        lines.extend(f"  {kind:<13}{_entry_line(entry)}" for entry in entries[:_MOST_LINES])
        if counts[kind] > _MOST_LINES:
            lines.append(f"  {kind:<13}and {counts[kind] - _MOST_LINES:,} more")
    if deduped["full_rebuild"] and report["base_generation"]:
        differing = deduped["differing_settings"]
        why = f"{', '.join(differing)} changed" if differing else "production is damaged"
        lines.append(f"REBUILD        in full: {why}")
    lines.append(
        f"to chunk       {chunked['num_contents']:,} contents: {chunked['num_chunks']:,} chunks, "
        f"{chunked['num_tokens']:,} tokens"
    )
    lines.append(f"to embed       {_embedding_line(embedded)}")
    if not report["staging_collection"]["written"]:
        lines.append("candidate      none: production is up to date")
    else:
        lines.append(f"candidate      {report['staging_collection']['num_documents']:,} documents")
    if deduped["deletion_refused"]:
        lines.append(f"REFUSED        {deduped['deletion_refused']['message']}")
    evaluated = report["eval_report"]
    if evaluated["no_benchmark"]:
        lines.append(f"NO BENCHMARK   the gate would hold this refresh back: {evaluated['no_benchmark']}")
    if evaluated["benchmark_does_not_fit"]:
        lines.append(
            f"BENCHMARK      the gate would hold this refresh back: {evaluated['benchmark_does_not_fit']}"
        )
    held = report["production_collection"]["held_generation"]
    if held:
        lines.append(
            f"HELD           rolled back from {held}: no candidate goes live until `rag-assets resume`"
        )
    return "\n".join(lines)


def _entry_line(entry: dict[str, Any]) -> str:
    line = str(entry["document_id"])
    if "moved_from" in entry:
        line += f" (from {entry['moved_from']})"
    if entry.get("duplicate_of"):
        line += f" (of {entry['duplicate_of']})"
    if "near_duplicate_of" in entry:
        line += f" (nearly the same as {entry['near_duplicate_of']}, which is kept)"
    if "reason" in entry:
        line += f" ({entry['reason']}: {entry['detail']}"
        line += " Its last good version stays.)" if entry["last_good_version_served"] else ")"
    return line


def _embedding_line(embedded: dict[str, Any]) -> str:
    model = embedded["embedding_model"]
    if embedded["num_embedded"] is None:
        return (
            f"at most {embedded['num_texts']:,} texts with {model}, whose dimension only its endpoint knows"
        )
    cost = embedded["estimated_cost_usd"]
    price = "at an unknown price" if cost is None else f"{cost:.4f} USD"
    return (
        f"{embedded['num_embedded']:,} texts with {model} ({embedded['num_cached']:,} more are cached), "
        f"{embedded['num_tokens']:,} tokens, {price}"
    )
