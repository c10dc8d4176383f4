"""One document as a generation holds it: chunks with text, locations, state, and its history in short.

Reads what is stored, and asks no source. The form of `show --json` is stable.
"""

import shlex
from contextlib import suppress
from typing import Any

from rag_assets.errors import GenerationDamaged, RefusedError
from rag_assets.fingerprint import short_hash
from rag_assets.generations.contents import locations_of, points_of_content
from rag_assets.generations.lookup import (
    CANDIDATE,
    PRODUCTION,
    StoredGeneration,
    find_generation,
    stored_generations,
)
from rag_assets.inspection.document_names import close_matches, document_named
from rag_assets.inspection.history import change_entry
from rag_assets.inspection.holds import rolled_back_generations
from rag_assets.inspection.trace_evidence import Evidence
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import DocumentState, Location, Point
from rag_assets.text.control_characters import one_line, quoted


def show(knowledge_base: KnowledgeBase, name: str, generation_name: str | None = None) -> dict[str, Any]:
    """Return a document and its chunks as JSON-compatible data. The keys are documented in docs/cli.md.

    Args:
        name: id, URI, path or unique filename.
        generation_name: name or role of a generation, None for production.

    Raises:
        RefusedError: the generation does not exist, does not hold the document, or the name fits several documents.
        GenerationDamaged: chunks of the document are missing.
    """
    evidence = Evidence(knowledge_base)
    generation = find_generation(
        knowledge_base.vector_store,
        generation_name or PRODUCTION,
        knowledge_base.place,
        rolled_back_generations(knowledge_base),
    )
    documents = knowledge_base.documents_of(generation.name)
    state = document_named(name, documents)
    if state is None or state.content_hash is None:
        raise _not_held(evidence, generation, name, documents)
    points = _points(knowledge_base, generation, state.content_hash)
    locations = locations_of(points[0].payload)
    # As the points have it: the ledger is a cache.
    own = next((one for one in locations if one.document_id == state.document_id), state.location)
    history = [change_entry(one) for one in evidence.history(state.document_id)]
    last = history[0] if history else None
    quarantined = last is not None and bool(last["quarantine_reason"])
    return {
        "asked": name,
        "generation": generation.name,
        "role": generation.role,
        "described_generation": str(generation),
        **_location(own),
        "content_hash": state.content_hash,
        "quarantine": {
            "refresh_id": last["refresh_id"],
            "reason": last["quarantine_reason"],
            "detail": last["quarantine_detail"],
        }
        if last is not None and quarantined
        else None,
        "locations": [_location(one) for one in locations],
        "other_generations": _others(evidence, generation, state),
        "history": history,
        "candidate_refresh_id": evidence.candidate.staged.header.refresh_id if evidence.candidate else None,
        "num_chunks": len(points),
        "num_tokens": sum(point.payload["token_count"] for point in points),
        "chunks": [_chunk(point) for point in points],
    }


def _points(knowledge_base: KnowledgeBase, generation: StoredGeneration, content_hash: str) -> list[Point]:
    reader = knowledge_base.vector_store.read(generation.name)
    try:
        points = points_of_content(reader, short_hash(generation.manifest.fingerprint), content_hash)
    finally:
        reader.close()
    if not points or len(points) != points[0].payload["total_chunks"]:
        raise GenerationDamaged(
            f"generation {generation.name} lacks chunks of content {content_hash}: run `rag-assets doctor --deep`"
        )
    return points


def _not_held(
    evidence: Evidence, generation: StoredGeneration, name: str, documents: list[DocumentState]
) -> RefusedError:
    if other := _other_with(evidence, generation, name):
        named = other.name if other.role == CANDIDATE else other.role
        advice = f"it is in {other}. Add `--generation {named}`"
    elif matches := close_matches(name, (state.location for state in documents)):
        advice = f"did you mean {', '.join(matches)}?"
    else:
        advice = f"`rag-assets trace {shlex.quote(one_line(name))}` says why"
    return RefusedError(
        f"generation {generation.name} ({generation.role}) has no document {quoted(name)}: {advice}"
    )


def _other_with(evidence: Evidence, shown: StoredGeneration, name: str) -> StoredGeneration | None:
    """Return another generation with a document of this name, also a kept candidate, or None."""
    knowledge_base = evidence.knowledge_base
    for one in stored_generations(knowledge_base.vector_store, rolled_back_generations(knowledge_base)):
        if one.name == shown.name:
            continue
        with suppress(GenerationDamaged):
            if document_named(name, knowledge_base.documents_of(one.name)) is not None:
                return one
    return None


def _location(location: Location) -> dict[str, Any]:
    return location.to_payload() | {"metadata": location.metadata.to_json()}


def _others(evidence: Evidence, shown: StoredGeneration, state: DocumentState) -> list[dict[str, Any]]:
    """Return the other generations in production, before it, or held, with their version of the document."""
    others: list[dict[str, Any]] = []
    for one in evidence.generations:
        if one.name != shown.name:
            theirs = one.documents.get(state.document_id)
            content = theirs.content_hash if theirs is not None else None
            others.append(
                {
                    "generation": one.name,
                    "role": one.role,
                    "content_hash": content,
                    "has_same_text": content == state.content_hash,
                }
            )
    return others


def _chunk(point: Point) -> dict[str, Any]:
    payload = point.payload
    return {
        "id": point.id,
        "chunk_index": payload["chunk_index"],
        "start": payload["start"],
        "end": payload["end"],
        "token_count": payload["token_count"],
        "heading_path": list(payload["heading_path"]),
        "flags": list(payload.get("flags", ())),  # missing in generations of earlier versions
        "text": payload["text"],
    }
