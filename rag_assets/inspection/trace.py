"""What became of one document, or one point, and why: the answer to "why is this answer wrong?".

What is kept nowhere is not guessed. The form of `trace --json` is stable.
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rag_assets.changes.change_set import Change
from rag_assets.fingerprint import short_hash
from rag_assets.generations.contents import points_of_content
from rag_assets.inspection.trace_evidence import Evidence, KeptGeneration, PastChange
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.ledgers.base import ParseRecord
from rag_assets.parsers import asks_by_name
from rag_assets.records import DocumentState, Location, SourceEntry
from rag_assets.retrieval import recorded_model

UNKNOWN = "unknown"
_POINT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_SUGGESTIONS = 5
_MOST_CHUNKS = 20
_MOST_NEAR_DUPLICATES = 10


@dataclass(frozen=True, slots=True)
class _Document:
    """One document, and all that is known of it.

    Attributes:
        entry: as its source lists it now.
        history: what refreshes did to it, the latest first.
        holding: generations that hold it, by role.
        candidate: as the last candidate holds it, which never went live.
    """

    location: Location
    entry: SourceEntry | None
    parse: ParseRecord | None
    history: list[PastChange]
    holding: dict[str, KeptGeneration]
    candidate: DocumentState | None

    @property
    def id(self) -> str:
        return self.location.document_id

    @property
    def content_hash(self) -> str | None:
        """Of the version that serves, else of the newest that is known."""
        for generation in self.holding.values():
            return generation.documents[self.id].content_hash
        if self.candidate is not None:
            return self.candidate.content_hash
        return self.parse.content_hash if self.parse else None

    @property
    def quarantine(self) -> PastChange | None:
        """The refresh that found it unusable, if that is the last that is known of it."""
        last = self.history[0] if self.history else None
        there = self.entry is not None or "production" in self.holding
        return last if last is not None and last.quarantine_reason and there else None


def trace(knowledge_base: KnowledgeBase, name: str) -> dict[str, Any]:
    """Explain a document (id, URI, path or unique filename) or a point (id), as JSON can hold it.

    The keys are documented in docs/cli.md.

    Raises:
        RefusedError: the name fits several documents that differ.
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
            f"the point is chunk {point.payload['chunk_index']} of {point.payload['total_chunks']} (from 0), in {where}",
        )
    return {"asked": name, **report}


def _known(evidence: Evidence, location: Location) -> dict[str, Any]:
    document = _look_up(evidence, location)
    outcome, why = _outcome(evidence, document)
    also_at = _also_at(evidence, document)
    explanation = [why, *_elsewhere(evidence, document), *_next_refresh(evidence, document)]
    if also_at:
        explanation.append(f"the same text is also at {', '.join(also_at)}: they share its points")
    near_duplicates = [one for one in evidence.near_duplicates(document.id) if one not in also_at]
    if near_duplicates:
        more = len(near_duplicates) - _MOST_NEAR_DUPLICATES
        names = ", ".join(near_duplicates[:_MOST_NEAR_DUPLICATES]) + (
            f" and {more:,} more" if more > 0 else ""
        )
        explanation.append(f"the last refresh found that it says nearly the same as {names}")
    candidate = evidence.candidate
    return {
        "outcome": outcome,
        "explanation": explanation,
        "document_id": document.id,
        "point": None,
        "source": _source(evidence, document),
        "parse": None if document.parse is None else _parse(document.parse),
        "content_hash": document.content_hash,
        "also_at": also_at,
        "near_duplicates": near_duplicates,
        "history": [_past_change(one) for one in document.history],
        "generations": [_generation(one, document.id) for one in document.holding.values()],
        "candidate": None
        if candidate is None
        else {
            "generation": candidate.name,
            "refresh_id": candidate.staged.header.refresh_id,
            **_run(candidate.staged.header.run_id),
            "content_hash": document.candidate.content_hash if document.candidate else None,
            "not_live_because": candidate.not_live_because,
        },
        "chunks": _chunks(evidence, document),
        "suggestions": [],
    }


def _look_up(evidence: Evidence, location: Location) -> _Document:
    document_id, uri = location.document_id, location.source_uri
    rows = evidence.candidate.staged.find_rows("document_id", document_id) if evidence.candidate else []
    return _Document(
        location=location,
        entry=evidence.listed.get(document_id),
        parse=evidence.knowledge_base.ledger.parses([uri]).get(uri),
        history=evidence.history(document_id),
        holding={one.role: one for one in evidence.generations if document_id in one.documents},
        candidate=DocumentState(location, rows[0]["content_hash"]) if rows else None,
    )


# Why


def _outcome(evidence: Evidence, document: _Document) -> tuple[str, str]:
    """Return what became of a document, in one word and in a sentence."""
    holding, quarantine = document.holding, document.quarantine
    if quarantine is not None:
        served = "its last good version" if "production" in holding else "nothing of it"
        return "quarantined", (
            f"refresh {quarantine.refresh_id} quarantined it ({quarantine.quarantine_reason}: "
            f"{quarantine.quarantine_detail}); {served} is served"
        )
    if "production" in holding:
        return "served", f"production, generation {holding['production'].name}, holds it"
    if "held" in holding:
        return "rolled_back", (
            f"generation {holding['held'].name} holds it, which a rollback took out of service; production is held "
            "until `rag-assets resume`"
        )
    if document.candidate is not None:
        return "not_promoted", "production does not hold it"
    last = document.history[0] if document.history else None
    if document.entry is not None and last is not None and last.change is Change.OMITTED:
        return "omitted", (
            f"refresh {last.refresh_id} left it out of the index, for it says nearly the same as "
            f"{last.near_duplicate_of}, which is kept (RAG_NEAR_DUPLICATES is keep_one)"
        )
    if document.entry is not None:
        if last is not None and last.change is None:
            return "not_promoted", (
                f"refresh {last.refresh_id} read it and ended before it decided what to do: its run says why"
            )
        asks = asks_by_name(document.entry.filename)
        if asks is not None and not evidence.knowledge_base.media_models().is_set(asks):
            return "skipped", (
                f"its source lists it, but only a model can read it, and none is set for {asks.plural}: set "
                f"{asks.model_variable}"
            )
        return "not_read_yet", (
            "its source lists it, and no refresh has taken it in yet: `rag-assets plan` says what the next one does"
        )
    return _gone(evidence, document)


def _gone(evidence: Evidence, document: _Document) -> tuple[str, str]:
    """Say since when a document that neither serves nor is listed is gone, and what still holds it."""
    moved = next((one for one in document.history if one.moved_to), None)
    deleted = next((one for one in document.history if one.change is Change.DELETED), None)
    previous = document.holding.get("previous")
    outcome = "deleted"
    if moved is not None:
        outcome, why = "moved", f"refresh {moved.refresh_id} found it at {moved.moved_to}: trace that"
    elif deleted is not None:
        why = f"refresh {deleted.refresh_id} found it gone from its source and took it out of production"
    elif previous is not None:
        why = "production no longer holds it, and the refresh that took it out is no longer kept"
    else:
        why = f"it was last read by refresh {document.history[0].refresh_id}, never went live, and is listed no longer"
    if previous is not None:
        why += f"; the previous generation {previous.name} still holds it (`rag-assets rollback` goes back to all of that)"
    else:
        why += "; no generation that is kept holds it"
    skipped = evidence.why_skipped(document.id)
    return outcome, f"{why}; a file of that name is there, but {skipped}" if skipped else why


def _elsewhere(evidence: Evidence, document: _Document) -> Iterator[str]:
    """Say where a generation that could serve instead of production differs in this document."""
    served = evidence.served.get(document.id)
    rolled_back = next((one for one in evidence.generations if one.role == "held"), None)
    if rolled_back is not None and served is not None:
        what = _difference(served, rolled_back.documents.get(document.id))
        if what:
            yield f"generation {rolled_back.name}, which a rollback took out of service, {what}"
    candidate = evidence.candidate
    what = _difference(served, document.candidate)
    if candidate is not None and what:
        yield (
            f"candidate {candidate.name} of refresh {candidate.staged.header.refresh_id} {what}, and never went live: "
            f"{candidate.not_live_because}"
        )


def _difference(served: DocumentState | None, other: DocumentState | None) -> str:
    if served is None or other is None:
        return "no longer holds it" if served else "holds it" if other else ""
    return "" if served.content_hash == other.content_hash else "holds another version of it"


def _next_refresh(evidence: Evidence, document: _Document) -> Iterator[str]:
    """Say what is waiting for the next refresh."""
    source, entry, parse = document.location.source, document.entry, document.parse
    if source not in evidence.sources:
        yield f"its source {source} is not among RAG_SOURCES: nothing of it is read or deleted"
    elif source in evidence.problems and entry is None:
        yield f"its source cannot be listed, so nothing of it is deleted: {evidence.problems[source]}"
    elif entry is None and "production" in document.holding:
        skipped = evidence.why_skipped(document.id)
        yield "its source no longer lists it: the next refresh deletes it" + (
            f" ({skipped})" if skipped else ""
        )
    elif entry is not None and parse is not None and parse.version_token != entry.version_token:
        yield (
            "it may have changed since it was last read: the next refresh reads it"
            if parse.version_token
            else "it was read within seconds of being written: the next refresh reads it once more"
        )


def _unknown(evidence: Evidence, name: str) -> dict[str, Any]:
    """Explain a name that nothing that is kept knows."""
    suggestions: list[str] = []
    skipped = evidence.why_skipped(name)
    if skipped:
        outcome, explanation = "skipped", [f"it is there, but it is no document: {skipped}"]
    elif evidence.problems:
        outcome = "unreadable_source"
        explanation = [
            f"nothing that is kept knows it, and whether its source has it cannot be told: {problem}"
            for problem in evidence.problems.values()
        ]
    else:
        outcome = UNKNOWN
        oldest = evidence.refreshes[-1].refresh_id if evidence.refreshes else None
        refreshes = f"nor any refresh since {oldest}" if oldest else "and nothing was refreshed yet"
        what = "point of this id" if _POINT_ID.fullmatch(name) else "document of this name"
        explanation = [
            f"there is no {what}: neither a source nor a generation that is kept has it, {refreshes}"
        ]
        suggestions = _close_matches(name, evidence.current_locations())
    return {
        "outcome": outcome,
        "explanation": explanation,
        "document_id": None,
        "point": None,
        "source": None,
        "parse": None,
        "content_hash": None,
        "also_at": [],
        "near_duplicates": [],
        "history": [],
        "generations": [],
        "candidate": None,
        "chunks": None,
        "suggestions": suggestions,
    }


def _close_matches(name: str, locations: list[Location]) -> list[str]:
    """Return the ids of the documents with the most similar names, the most similar first."""
    ids: dict[str, str] = {}
    for location in locations:
        for known in (location.path, location.filename, location.document_id):
            ids.setdefault(known.lower(), location.document_id)
    matches = difflib.get_close_matches(name.lower(), ids, n=3 * _MOST_SUGGESTIONS)
    return list(dict.fromkeys(ids[match] for match in matches))[:_MOST_SUGGESTIONS]


# What


def _run(run_id: str | None) -> dict[str, str | None]:
    """Return a run id, and its path in the Dagster UI."""
    return {"run_id": run_id or None, "run_path": f"/runs/{run_id}" if run_id else None}


def _source(evidence: Evidence, document: _Document) -> dict[str, Any]:
    location, entry = document.location, document.entry
    unsure = location.source in evidence.problems or location.source not in evidence.sources
    return {
        "source": location.source,
        "source_uri": location.source_uri,
        "path": location.path,
        "listed": None if entry is None and unsure else entry is not None,
        "problem": evidence.problems.get(location.source),
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


def _also_at(evidence: Evidence, document: _Document) -> list[str]:
    """Return where else production holds the same text, or the last refresh found it."""
    content_hash = document.content_hash
    if content_hash is None:
        return []
    found = {state.document_id for state in evidence.served.values() if state.content_hash == content_hash}
    deduped = evidence.refreshes[0].artifacts.get("deduped_documents") if evidence.refreshes else None
    if deduped is not None:
        found |= {row["document_id"] for row in deduped.find_rows("content_hash", content_hash)}
    return sorted(found - {document.id})


def _past_change(past: PastChange) -> dict[str, Any]:
    return {
        "refresh_id": past.refresh_id,
        **_run(past.artifact.header.run_id),
        "at": past.artifact.header.created_at,
        "change": past.change,
        "content_hash": past.content_hash,
        "moved_from": past.moved_from,
        "moved_to": past.moved_to,
        "near_duplicate_of": past.near_duplicate_of,
        "quarantine_reason": past.quarantine_reason,
        "quarantine_detail": past.quarantine_detail,
    }


def _generation(generation: KeptGeneration, document_id: str) -> dict[str, Any]:
    manifest = generation.manifest
    return {
        "generation": manifest.generation,
        "role": generation.role,
        "refresh_id": manifest.refresh_id,
        **_run(manifest.run_id),
        "embedding_model": recorded_model(manifest).model,
        "sealed_at": manifest.sealed_at,
        "content_hash": generation.documents[document_id].content_hash,
    }


def _chunks(evidence: Evidence, document: _Document) -> dict[str, Any] | None:
    """Return the points of the document in production, else in another generation that holds it."""
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
        **_run(evidence.run_of(first["refresh_id"])),
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
    """Return the explanation for a person."""
    lines = [f"{report['document_id'] or report['asked']}: {report['outcome'].replace('_', ' ')}"]
    lines.extend(f"  {sentence}" for sentence in report["explanation"])
    if report["suggestions"]:
        lines.append(f"  did you mean {', '.join(report['suggestions'])}?")
    source, parse, chunks = report["source"], report["parse"], report["chunks"]
    if source is not None:
        listed = {True: "listed", False: "not listed", None: "not known whether listed"}[source["listed"]]
        version = f", version {source['version_token']}" if source["version_token"] else ""
        lines.append(f"source         {source['source_uri']}, {listed}{version}")
    if parse is not None:
        lines.append(f"parsed by      {parse['parser']}, version {parse['parser_version']}")
    if report["content_hash"]:
        lines.append(f"content        {report['content_hash']}")
    lines.extend(f"refresh        {_history_line(entry)}" for entry in report["history"])
    lines.extend(
        f"{one['role']:<15}{one['generation']}, model {one['embedding_model']}{_run_at_end(one)}"
        for one in report["generations"]
    )
    if chunks is not None:
        lines.append(
            f"chunks         {chunks['num_chunks']:,}, {chunks['num_tokens']:,} tokens, made by refresh "
            f"{chunks['refresh_id']}{_run_at_end(chunks)}"
        )
        for point in chunks["points"][:_MOST_CHUNKS]:
            headings = " > ".join(point["heading_path"])
            flags = f"  flagged: {', '.join(point['flags'])}" if point["flags"] else ""
            lines.append(f"  {point['id']}  {point['token_count']:>5} tokens  {headings}".rstrip() + flags)
        if chunks["num_chunks"] > _MOST_CHUNKS:
            lines.append(f"  and {chunks['num_chunks'] - _MOST_CHUNKS:,} more")
    return "\n".join(lines)


def _history_line(entry: dict[str, Any]) -> str:
    line = f"{entry['refresh_id']}: {entry['change'] or 'read, nothing decided'}"
    for way in ("from", "to"):
        if entry[f"moved_{way}"]:
            line += f" {way} {entry[f'moved_{way}']}"
    return line + _run_at_end(entry)


def _run_at_end(entry: dict[str, Any]) -> str:
    return f", run {entry['run_path']}" if entry["run_path"] else ""
