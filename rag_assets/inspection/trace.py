"""The history and state of one document or point: the answer to "why is this answer wrong?".

Reports only recorded facts. The form of `trace --json` is stable.
"""

import re
from typing import Any

from rag_assets.document_metadata.values import NO_METADATA
from rag_assets.document_metadata.wording import metadata_text
from rag_assets.embedders.model_identity import recorded_model
from rag_assets.fingerprint import short_hash
from rag_assets.generations.contents import points_of_content
from rag_assets.ingestion.source_reports import outage_text
from rag_assets.inspection.document_names import close_matches
from rag_assets.inspection.history import change_entry, history_line, run_at_end, run_entry
from rag_assets.inspection.lines import labeled
from rag_assets.inspection.trace_evidence import Evidence, KeptGeneration, TracedDocument
from rag_assets.inspection.trace_outcome import explain, why_not_live
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.base import ParseRecord
from rag_assets.records import Location
from rag_assets.text.wording import counted

UNKNOWN = "unknown"
_POINT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_CHUNKS = 20
_MOST_NEAR_DUPLICATES = 10


def trace(knowledge_base: KnowledgeBase, name: str) -> dict[str, Any]:
    """Explain a document (id, URI, path or unique filename) or a point (id) as JSON-compatible data.

    The keys are documented in docs/cli.md.

    Raises:
        RefusedError: the name fits several different documents.
    """
    evidence = Evidence(knowledge_base)
    point, holding = evidence.point(name) if _POINT_ID.fullmatch(name) else (None, [])
    location = Location.from_payload(point.payload["locations"][0]) if point else evidence.resolve(name)
    report = _unknown(evidence, name) if location is None else _known(evidence, location)
    if point is not None:
        report["point"] = {
            "id": point.id,
            "chunk_index": point.payload["chunk_index"],
            "total_chunks": point.payload["total_chunks"],
            "content_hash": point.payload["content_hash"],
            "generations": [generation.name for generation in holding],
        }
        where = " and ".join(generation.role for generation in holding)
        report["explanation"].insert(
            0,
            f"the point is chunk {point.payload['chunk_index']} of {point.payload['total_chunks']} (numbered from 0) "
            f"in {where}",
        )
    return {"asked": name, **report}


def _known(evidence: Evidence, location: Location) -> dict[str, Any]:
    document = evidence.document(location)
    outcome, explanation = explain(evidence, document)
    also_at = _also_at(evidence, document)
    if also_at:
        explanation.append(f"the same text is also at {', '.join(also_at)}: they share its points")
    near_duplicates = [one for one in evidence.near_duplicates(document.id) if one not in also_at]
    if near_duplicates:
        more = len(near_duplicates) - _MOST_NEAR_DUPLICATES
        names = ", ".join(near_duplicates[:_MOST_NEAR_DUPLICATES]) + (
            f" and {more:,} more" if more > 0 else ""
        )
        explanation.append(f"in the last refresh it was a near-duplicate of {names}")
    candidate = evidence.candidate
    return {
        "outcome": outcome,
        "explanation": explanation,
        "document_id": document.id,
        "point": None,
        "source": _source(evidence, document),
        "parse": None if document.parse is None else _parse(document.parse),
        "content_hash": document.content_hash,
        **_metadata(evidence, document),
        "also_at": also_at,
        "near_duplicates": near_duplicates,
        "history": [change_entry(one) for one in document.history],
        "generations": [_generation(one, document.id) for one in document.holding.values()],
        "candidate": None
        if candidate is None
        else {
            "generation": candidate.name,
            "refresh_id": candidate.staged.header.refresh_id,
            **run_entry(candidate.staged.header.run_id),
            "content_hash": document.candidate.content_hash if document.candidate else None,
            "not_live_because": why_not_live(evidence, candidate),
        },
        "chunks": _chunks(evidence, document),
        "suggestions": [],
    }


def _unknown(evidence: Evidence, name: str) -> dict[str, Any]:
    """Explain a name without any record."""
    suggestions: list[str] = []
    skipped = evidence.why_skipped(name)
    purged = [one for one in evidence.knowledge_base.purged_documents.kept_out() if one.is_named(name)]
    if purged:
        outcome, explanation = (
            "purged",
            [f"{one}. It stays out until `rag-assets purge --lift`" for one in purged],
        )
    elif skipped:
        outcome, explanation = "skipped", [f"it exists but is not read as a document: {skipped}"]
    elif evidence.problems or evidence.outages:
        outcome = "unreadable_source"
        explanation = [
            f"it is in no record, and a source that may hold it cannot be listed: {problem}"
            for problem in (*evidence.problems.values(), *map(outage_text, evidence.outages))
        ]
    else:
        outcome = UNKNOWN
        oldest = evidence.refreshes[-1].refresh_id if evidence.refreshes else None
        refreshes = f"nor any refresh since {oldest}" if oldest else "and nothing was refreshed yet"
        noun = "point with this id" if _POINT_ID.fullmatch(name) else "document with this name"
        explanation = [f"there is no {noun} in any source or generation, {refreshes}"]
        suggestions = close_matches(name, evidence.current_locations())
    return {
        "outcome": outcome,
        "explanation": explanation,
        "document_id": None,
        "point": None,
        "source": None,
        "parse": None,
        "content_hash": None,
        "metadata": {},
        "metadata_left_out": [],
        "also_at": [],
        "near_duplicates": [],
        "history": [],
        "generations": [],
        "candidate": None,
        "chunks": None,
        "suggestions": suggestions,
    }


# Parts of the report


def _source(evidence: Evidence, document: TracedDocument) -> dict[str, Any]:
    location, entry = document.location, document.entry
    outage = evidence.outage_of(location)
    unsure = location.source in evidence.problems or location.source not in evidence.sources
    return {
        "source": location.source,
        "source_uri": location.source_uri,
        "path": location.path,
        "listed": None if entry is None and unsure else entry is not None,
        "problem": evidence.problems.get(location.source),
        "outage": outage and {"place": outage.place, "problem": outage.problem, "token": outage.token},
        "version_token": entry.version_token if entry else None,
        "size_bytes": entry.size_bytes if entry else None,
        "modified_at": entry.modified_at if entry else None,
    }


def _parse(parse: ParseRecord) -> dict[str, Any]:
    return {
        "version_token": parse.version_token or None,
        "raw_hash": parse.raw_hash,
        "parser": parse.parser,
        "parser_version": parse.parser_version,
        "content_hash": parse.content_hash,
        "title": parse.title,
        "quarantine_reason": parse.quarantine_reason,
        "quarantine_detail": parse.quarantine_detail,
    }


def _metadata(evidence: Evidence, document: TracedDocument) -> dict[str, Any]:
    """Return the metadata of the served version, else of the newest known one, and what is left out of the newest."""
    parse, entry = document.parse, document.entry
    policy = evidence.knowledge_base.settings.metadata_policy
    newest = policy.merged(
        entry.metadata if entry else NO_METADATA,
        parse.reading_metadata if parse else NO_METADATA,
        parse.metadata if parse else NO_METADATA,
    )
    served = next((it.documents[document.id].location.metadata for it in document.holding.values()), newest)
    return {"metadata": served.to_json(), "metadata_left_out": list(newest.left_out)}


def _also_at(evidence: Evidence, document: TracedDocument) -> list[str]:
    """Return the other documents with the same text, in production or in the last refresh."""
    content_hash = document.content_hash
    if content_hash is None:
        return []
    found = {state.document_id for state in evidence.served.values() if state.content_hash == content_hash}
    deduped = evidence.refreshes[0].artifacts.get("deduped_documents") if evidence.refreshes else None
    if deduped is not None:
        found |= {row["document_id"] for row in deduped.find_rows("content_hash", content_hash)}
    return sorted(found - {document.id})


def _generation(generation: KeptGeneration, document_id: str) -> dict[str, Any]:
    manifest = generation.manifest
    return {
        "generation": manifest.generation,
        "role": generation.role,
        "refresh_id": manifest.refresh_id,
        **run_entry(manifest.run_id),
        "embedding_model": recorded_model(manifest).model,
        "sealed_at": manifest.sealed_at,
        "content_hash": generation.documents[document_id].content_hash,
    }


def _chunks(evidence: Evidence, document: TracedDocument) -> dict[str, Any] | None:
    """Return the points of the document in production, or else in another generation with the document."""
    generation = next(iter(document.holding.values()), None)
    if generation is None or document.content_hash is None:
        return None
    reader = evidence.knowledge_base.vector_store.read(generation.name)
    try:
        fingerprint_hash = short_hash(generation.manifest.fingerprint)
        points = points_of_content(reader, fingerprint_hash, document.content_hash)
    finally:
        reader.close()
    first = points[0].payload if points else {"refresh_id": "", "indexed_at": ""}
    return {
        "generation": generation.name,
        "num_chunks": len(points),
        "num_tokens": sum(point.payload["token_count"] for point in points),
        "refresh_id": first["refresh_id"],
        **run_entry(evidence.run_of(first["refresh_id"])),
        "indexed_at": first["indexed_at"],
        "points": [
            {
                "id": point.id,
                "chunk_index": point.payload["chunk_index"],
                "token_count": point.payload["token_count"],
                "heading_path": list(point.payload["heading_path"]),
                "flags": list(point.payload.get("flags", ())),
            }
            for point in points
        ],
    }


# For a person


def describe(report: dict[str, Any]) -> str:
    """Return the report as text for a person."""
    lines = [f"{report['document_id'] or report['asked']}: {report['outcome'].replace('_', ' ')}"]
    lines.extend(f"  {sentence}" for sentence in report["explanation"])
    if report["suggestions"]:
        lines.append(f"  did you mean {', '.join(report['suggestions'])}?")
    source, parse, chunks = report["source"], report["parse"], report["chunks"]
    if source is not None:
        listed = {True: "listed", False: "not listed", None: "not known whether listed"}[source["listed"]]
        version = f", version {source['version_token']}" if source["version_token"] else ""
        lines.append(labeled("source", f"{source['source_uri']}, {listed}{version}"))
    if parse is not None:
        lines.append(labeled("parsed by", f"{parse['parser']}, version {parse['parser_version']}"))
    if report["content_hash"]:
        lines.append(labeled("content", report["content_hash"]))
    if report["metadata"]:
        lines.append(labeled("metadata", metadata_text(report["metadata"])))
    if report["metadata_left_out"]:
        lines.append(labeled("", f"cut or left out: {', '.join(report['metadata_left_out'])}"))
    lines.extend(labeled("refresh", history_line(entry)) for entry in report["history"])
    lines.extend(
        labeled(one["role"], f"{one['generation']}, model {one['embedding_model']}{run_at_end(one)}")
        for one in report["generations"]
    )
    if chunks is not None:
        made = f"made by refresh {chunks['refresh_id']}{run_at_end(chunks)}"
        tokens = counted(chunks["num_tokens"], "token")
        lines.append(labeled("chunks", f"{chunks['num_chunks']:,}, {tokens}, {made}"))
        for point in chunks["points"][:_MOST_CHUNKS]:
            headings = " > ".join(point["heading_path"])
            flags = f"  flagged: {', '.join(point['flags'])}" if point["flags"] else ""
            tokens = counted(point["token_count"], "token")
            lines.append(f"  {point['id']}  {tokens:>12}  {headings}".rstrip() + flags)
        if chunks["num_chunks"] > _MOST_CHUNKS:
            lines.append(f"  and {chunks['num_chunks'] - _MOST_CHUNKS:,} more")
    return "\n".join(lines)
