"""`rag-assets search`: the hits of one question, for a person or as JSON."""

import argparse
from collections.abc import Container
from contextlib import closing
from typing import Any

from rag_assets.cli.snippets import QuestionWords
from rag_assets.cli.terminal import Bold, columns, say, say_json, wrapped
from rag_assets.document_metadata.wording import metadata_text
from rag_assets.generations.lookup import find_generation
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import SearchHit
from rag_assets.text.control_characters import one_line
from rag_assets.vector_stores.filter_expressions import parse_filters

_INDENT = "   "


def search(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Print the best hits of a question, best first."""
    with closing(knowledge_base.retriever()) as retriever:
        generation = find_generation(
            knowledge_base.vector_store,
            options.generation or retriever.name_of_production(),
            knowledge_base.place,
            _rolled_back(knowledge_base) if options.generation else (),
        )
        with closing(retriever.open(generation.name)) as opened:
            wanted = parse_filters(options.filter, opened.kinds_of)
            hits = opened.search(options.question, options.limit, wanted)
    if options.json:
        say_json(
            {
                "query": options.question,
                "generation": generation.name,
                "role": generation.role,
                "hits": [_hit_json(hit) for hit in hits],
            }
        )
        return 0
    _say_wrapped(str(generation), indent="")
    words = QuestionWords(options.question)
    for rank, hit in enumerate(hits, start=1):
        _say_hit(rank, hit, words)
    if not hits:
        say("no hits")
    return 0


def _rolled_back(knowledge_base: KnowledgeBase) -> Container[str]:
    from rag_assets.inspection.holds import rolled_back_generations  # a search of production reads no records

    return rolled_back_generations(knowledge_base)


def _say_hit(rank: int, hit: SearchHit, words: QuestionWords) -> None:
    first, *others = hit.locations
    say()
    _say_wrapped(f"{first.title or first.filename} ({hit.score:.3f})", f"{rank}.", bold=True)
    # Never wrapped, to be copied.
    say(one_line(f"{_INDENT}{first.path}, chunk {hit.chunk_index}"))
    for location in others:
        say(one_line(f"{_INDENT}also {location.path}"))
    if hit.payload["heading_path"]:
        _say_wrapped(f"in {' > '.join(hit.payload['heading_path'])}")
    if first.metadata:
        _say_wrapped(metadata_text(first.metadata.to_json()))
    for line in wrapped(one_line(words.snippet(hit.text)), columns() - len(_INDENT)):
        say(_INDENT, *words.marked(line))


def _say_wrapped(text: str, begin: str = "", *, indent: str = _INDENT, bold: bool = False) -> None:
    for line in wrapped(one_line(text), columns() - len(indent)):
        say(f"{begin or indent:<{len(indent)}}", Bold(line) if bold else line)
        begin = indent


def _hit_json(hit: SearchHit) -> dict[str, Any]:
    first = hit.locations[0]
    return {
        "document_id": first.document_id,
        "source": first.source,
        "source_uri": first.source_uri,
        "filename": first.filename,
        "title": first.title,
        "heading_path": list(hit.payload["heading_path"]),
        "metadata": first.metadata.to_json(),
        "chunk_index": hit.chunk_index,
        "score": hit.score,
        "text": hit.text,
        "id": hit.point_id,
        "content_hash": hit.content_hash,
        "flags": hit.payload.get("flags", []),  # missing in generations of earlier versions
        "locations": [location.to_payload() for location in hit.locations],
    }
