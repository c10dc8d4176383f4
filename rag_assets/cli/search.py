"""`rag-assets search`: the hits of one question, for a person or as JSON."""

import argparse
import json
import re
from collections.abc import Set
from typing import Any

from rag_assets.cli.filters import parse_filters
from rag_assets.document_metadata.kinds import known_kinds
from rag_assets.document_metadata.normalization import normalized_key
from rag_assets.document_metadata.wording import metadata_text
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import SearchHit
from rag_assets.retrieval import Retriever

_SNIPPET_CHARACTERS = 300


def search(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Print the best hits of a question, best first."""
    retriever = knowledge_base.retriever()
    try:
        wanted = parse_filters(options.filter, lambda key: _kinds_of(retriever, key))
        hits = retriever.search(options.question, options.limit, wanted)
    finally:
        retriever.close()
    if options.json:
        answer = {"query": options.question, "hits": [_hit_json(hit) for hit in hits]}
        print(json.dumps(answer, ensure_ascii=False, indent=2))
        return 0
    for rank, hit in enumerate(hits, start=1):
        print(f"{rank}. {hit.locations[0].path}  (chunk {hit.chunk_index}, score {hit.score:.3f})")
        for location in hit.locations[1:]:
            print(f"   also {location.path}")
        if hit.locations[0].metadata:
            print(f"   {metadata_text(hit.locations[0].metadata.to_json())}")
        print(f"   {_snippet(hit.text, options.question)}\n")
    if not hits:
        print("no hits")
    return 0


def _kinds_of(retriever: Retriever, key: str) -> Set[str] | None:
    name = normalized_key(key)
    if name is None:
        return None
    return known_kinds(retriever.metadata_kinds(), retriever.metadata_indexes, name)


def _snippet(text: str, question: str) -> str:
    """Return the few lines of a chunk with most words of the question."""
    text = " ".join(text.split())
    asked = {word for word in re.findall(r"\w+", question.lower()) if len(word) > 3}
    starts = [0, *(match.end() for match in re.finditer(r"[.!?:] ", text))]

    def shared(start: int) -> int:
        return len(asked.intersection(re.findall(r"\w+", text[start : start + _SNIPPET_CHARACTERS].lower())))

    # The last of the best starts, to show the words of the question near the beginning.
    start = max(reversed(starts), key=shared)
    end = start + _SNIPPET_CHARACTERS
    return f"{'… ' if start else ''}{text[start:end].rstrip()}{' …' if end < len(text) else ''}"


def _hit_json(hit: SearchHit) -> dict[str, Any]:
    first = hit.locations[0]
    return {
        "document_id": first.document_id,
        "source": first.source,
        "source_uri": first.source_uri,
        "filename": first.filename,
        "metadata": first.metadata.to_json(),
        "chunk_index": hit.chunk_index,
        "score": hit.score,
        "text": hit.text,
        "id": hit.point_id,
        "content_hash": hit.content_hash,
        "flags": hit.payload.get("flags", []),  # missing in generations of earlier versions
        "locations": [location.to_payload() for location in hit.locations],
    }
