"""The differences between production and another generation. The form of `diff --json` is stable."""

from collections import Counter
from contextlib import closing
from typing import Any

from rag_assets.errors import RefusedError
from rag_assets.fingerprint import fingerprint_difference
from rag_assets.generations.comparison import (
    ChunkComparison,
    ChunkDifferences,
    DocumentDifference,
    Pair,
    compare_documents,
)
from rag_assets.generations.lookup import (
    CANDIDATE,
    PRODUCTION,
    ROLLED_BACK,
    StoredGeneration,
    find_generation,
    stored_generations,
)
from rag_assets.inspection.holds import rolled_back_generations
from rag_assets.inspection.lines import labeled
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import DocumentState, Point
from rag_assets.text.wording import counted

_KINDS = ("added", "removed", "changed", "moved", "payload", "rechunked")
_MOST_OF_A_KIND = 20


def diff(knowledge_base: KnowledgeBase, name: str | None = None) -> dict[str, Any]:
    """Return the differences as JSON-compatible data. The keys are documented in docs/cli.md.

    The previous generation is compared with production as the later one, any other generation with production as the
    earlier one: what a candidate would change.

    Args:
        name: name or role of a generation. None: the previous one, or else the held one, or else the latest candidate.

    Raises:
        RefusedError: the generation does not exist or is production, or production is the only one.
        GenerationDamaged: chunks of a generation are missing.
    """
    production, other = _both(knowledge_base, name)
    before, after = (other, production) if other.role == "previous" else (production, other)
    old, new = (knowledge_base.documents_of(one.name) for one in (before, after))
    settings = fingerprint_difference(before.manifest.fingerprint, after.manifest.fingerprint)
    differences = compare_documents(old, new, is_rebuilt=bool(settings))
    chunks = _chunk_differences(
        knowledge_base,
        (before, after),
        # Equal contents have equal chunks, unless a setting differs.
        [one.pair for one in differences if one.before != one.after or settings],
    )
    if not settings:
        chunks = _without_copies(chunks, old, new)
    differences = [
        one for one in differences if one.kind != "rechunked" or chunks[one.pair] != ChunkDifferences()
    ]
    counts = Counter(one.kind for one in differences)
    in_both = sum(counts[kind] for kind in ("changed", "moved", "payload", "rechunked"))
    return {
        "from": _side(before),
        "to": _side(after),
        "differing_settings": settings,
        **{f"num_{kind}": counts[kind] for kind in _KINDS},
        "num_unchanged": sum(state.content_hash is not None for state in new) - counts["added"] - in_both,
        "num_chunks_added": sum(len(one.added) for one in chunks.values()),
        "num_chunks_removed": sum(len(one.removed) for one in chunks.values()),
        "documents": [_document(one, chunks.get(one.pair, ChunkDifferences())) for one in differences],
    }


def _both(knowledge_base: KnowledgeBase, name: str | None) -> tuple[StoredGeneration, StoredGeneration]:
    """Return production and the other generation."""
    store = knowledge_base.vector_store
    rolled_back = rolled_back_generations(knowledge_base)
    production = find_generation(store, PRODUCTION, knowledge_base.place)
    if name is not None:
        other = find_generation(store, name, rolled_back=rolled_back)
        if other.name == production.name:
            raise RefusedError(f"generation {other.name} is production itself: name another generation")
        return production, other
    others = [
        one
        for role in ("previous", "held", ROLLED_BACK, CANDIDATE)
        for one in stored_generations(store, rolled_back)
        if one.role == role
    ]
    if not others:
        raise RefusedError(
            f"there is no generation to compare with {production}. RAG_KEEP_FAILED_CANDIDATE=true keeps a candidate that "
            "fails the gate"
        )
    return production, others[0]


def _chunk_differences(
    knowledge_base: KnowledgeBase, generations: tuple[StoredGeneration, StoredGeneration], pairs: list[Pair]
) -> dict[Pair, ChunkDifferences]:
    first, second = generations
    store = knowledge_base.vector_store
    with closing(store.read(first.name)) as before, closing(store.read(second.name)) as after:
        comparison = ChunkComparison((before, after), (first.manifest, second.manifest))
        return dict(comparison.compare(pairs))


def _without_copies(
    chunks: dict[Pair, ChunkDifferences], old: list[DocumentState], new: list[DocumentState]
) -> dict[Pair, ChunkDifferences]:
    """Leave out the chunks of a text that another document keeps, or had before: the points stay."""
    had, has = ({state.content_hash for state in documents} for documents in (old, new))
    return {
        (before, after): ChunkDifferences(
            removed=() if before in has else found.removed, added=() if after in had else found.added
        )
        for (before, after), found in chunks.items()
    }


def _side(generation: StoredGeneration) -> dict[str, Any]:
    manifest = generation.manifest
    return {
        "generation": generation.name,
        "role": generation.role,
        "description": str(generation),
        "num_documents": manifest.documents_count,
        "num_chunks": manifest.points_count,
    }


def _document(difference: DocumentDifference, chunks: ChunkDifferences) -> dict[str, Any]:
    return {
        "document_id": difference.document_id,
        "change": difference.kind,
        "moved_from": difference.moved_from,
        "content_hash_before": difference.before,
        "content_hash_after": difference.after,
        "chunks_added": [_chunk(point) for point in chunks.added],
        "chunks_removed": [_chunk(point) for point in chunks.removed],
    }


def _chunk(point: Point) -> dict[str, Any]:
    return {
        "id": point.id,
        "chunk_index": point.payload["chunk_index"],
        "token_count": point.payload["token_count"],
        "heading_path": list(point.payload["heading_path"]),
    }


# For a person


def describe(report: dict[str, Any]) -> str:
    """Return the differences as text for a person: counts first, then at most 20 documents of each kind."""
    kinds = [kind for kind in _KINDS if report[f"num_{kind}"]]
    documents = [f"{report[f'num_{kind}']:,} {_WORDS[kind]}" for kind in kinds]
    documents.append(f"{report['num_unchanged']:,} unchanged")
    sides = " → ".join(f"{report[side]['num_chunks']:,}" for side in ("from", "to"))
    lines = [
        labeled("from", report["from"]["description"]),
        labeled("to", report["to"]["description"]),
        labeled("documents", ", ".join(documents)),
        labeled(
            "chunks",
            f"{report['num_chunks_added']:,} added, {report['num_chunks_removed']:,} removed ({sides} in all)",
        ),
    ]
    if report["differing_settings"]:
        lines.append(labeled("settings", f"{', '.join(report['differing_settings'])} differ"))
    for kind in kinds:
        found = [one for one in report["documents"] if one["change"] == kind]
        lines.extend(labeled(kind, _document_text(one)) for one in found[:_MOST_OF_A_KIND])
        if (more := len(found) - _MOST_OF_A_KIND) > 0:
            lines.append(labeled("", f"and {counted(more, 'more document')}, all with --json"))
    return "\n".join(lines)


_WORDS = {
    "added": "added",
    "removed": "removed",
    "changed": "changed",
    "moved": "moved",
    "payload": "with other metadata",
    "rechunked": "with other chunks",
}


def _document_text(entry: dict[str, Any]) -> str:
    text = entry["document_id"]
    if entry["moved_from"]:
        text += f" from {entry['moved_from']}"
    added, removed = len(entry["chunks_added"]), len(entry["chunks_removed"])
    found = [
        f"{counted(number, 'chunk')} {word}"
        for number, word in ((added, "added"), (removed, "removed"))
        if number
    ]
    return f"{text}: {', '.join(found)}" if found else text
