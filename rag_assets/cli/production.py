"""The commands on production: `rag-assets rollback`, `resume`, `approve` and `export`."""

import argparse
from collections.abc import Iterator
from typing import Any

from rag_assets.cli.terminal import one_line, say, say_json
from rag_assets.errors import RefusedError
from rag_assets.generations.contents import locations_of
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import Point
from rag_assets.refresh.promotion import roll_back


def rollback(knowledge_base: KnowledgeBase, _: argparse.Namespace) -> int:
    """Put the previous generation back into production and hold it there."""
    state = roll_back(knowledge_base.vector_store)
    say(
        f"production is {state.production} again and held there: refreshes are staged and evaluated, but not promoted "
        "until `rag-assets resume`"
    )
    return 0


def resume(knowledge_base: KnowledgeBase, _: argparse.Namespace) -> int:
    """Lift the hold of a rollback."""
    held = knowledge_base.vector_store.production_state().held
    state = knowledge_base.vector_store.resume()
    if held is None:
        say(f"nothing was held, production is {state.production or 'empty'}")
    else:
        say(
            f"hold lifted: production is {state.production}, and the next refresh to pass the gate is promoted"
        )
    return 0


def approve(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Admit one refused set of deletions or one refused rebuild, once."""
    from rag_assets.refresh.approvals import parsed_token, unknown_token

    token = parsed_token(options.token)
    refusal = knowledge_base.ledger.refusals().get(token)
    if refusal is None:
        from rag_assets.inspection.pending_refusals import pending_refusals

        # From `rag-assets plan`, or the ledger was lost.
        refusal = pending_refusals(knowledge_base.settings).get(token)
        if refusal is None:
            raise RefusedError(unknown_token(token))
        knowledge_base.ledger.put_refusals([refusal])
    knowledge_base.ledger.approve(token)
    when = f"refused on {refusal.refused_at}" if refusal.refused_at else "not refused by a refresh yet"
    examples = f": {', '.join(refusal.examples)}, …" if refusal.examples else ""
    say(one_line(f"approved for the next refresh, once: {refusal.subject}, {when}{examples}"))
    return 0


def export(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Print every chunk in production, one JSON object per line and location."""
    production = knowledge_base.vector_store.production_state().production
    if production is None:
        return 0
    reader = knowledge_base.vector_store.read(production)
    try:
        for batch in reader.scroll(with_vectors=options.vectors):
            for point in batch:
                for line in _export_lines(point):
                    say_json(line, indent=None)
    finally:
        reader.close()
    return 0


def _export_lines(point: Point) -> Iterator[dict[str, Any]]:
    for location in locations_of(point.payload):
        line: dict[str, Any] = {
            "id": point.id,
            "document_id": location.document_id,
            "source": location.source,
            "source_uri": location.source_uri,
            "filename": location.filename,
            "chunk_index": point.payload["chunk_index"],
            "text": point.payload["text"],
            "content_hash": point.payload["content_hash"],
        }
        if point.vector is not None:
            line["vector"] = [float(component) for component in point.vector]
        yield line
