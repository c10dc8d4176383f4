"""The commands on production: `rag-assets rollback`, `resume`, `approve` and `export`."""

import argparse
from collections.abc import Iterator
from typing import Any

from rag_assets.cli.terminal import ask, say_json, say_text
from rag_assets.generations.contents import locations_of
from rag_assets.generations.lookup import nothing_in_production
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import Point
from rag_assets.text.control_characters import one_line


def rollback(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Put the previous generation back into production and hold it there."""
    from rag_assets.operations.decisions import roll_back

    state = roll_back(knowledge_base, by=person(options), reason=reason_for_rollback(options))
    say_text(one_line(state.hold_in_words))
    say_text(
        f"{state.held} is out of service. Refreshes still build and evaluate a candidate, and it waits until "
        "`rag-assets resume`"
    )
    return 0


def resume(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Lift the hold of a rollback."""
    from rag_assets.operations.decisions import resume as lift_hold

    hold, state = lift_hold(knowledge_base, by=person(options), reason=options.reason or "")
    if hold is None:
        say_text(f"nothing was held, production is {state.production or 'empty'}")
    else:
        production = state.production or "an empty production"
        say_text(f"lifted the hold of {production}: the next refresh to pass the gate goes live")
        say_text(one_line(f"it was held {hold}"))
    return 0


def approve(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Admit one refused set of deletions or one refused rebuild, once."""
    from rag_assets.operations.decisions import approve as admit

    refusal = admit(knowledge_base, options.token, by=person(options), reason=options.reason or "")
    when = f"refused on {refusal.refused_at}" if refusal.refused_at else "not refused by a refresh yet"
    examples = f": {', '.join(refusal.examples)}, …" if refusal.examples else ""
    say_text(one_line(f"approved for the next refresh, once: {refusal.subject}, {when}{examples}"))
    return 0


def person(options: argparse.Namespace) -> str:
    """Return the name of the person who decides."""
    from rag_assets.operations.decisions import current_user

    return options.by if options.by is not None else current_user()


def reason_for_rollback(options: argparse.Namespace) -> str:
    """Return the reason, asked for on a terminal. A script is never kept waiting."""
    if options.reason is not None:
        return options.reason
    return ask("Why? Shown to everyone with the hold (Enter for no reason): ")


def export(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Print every chunk in production, one JSON object per line and location.

    Raises:
        RefusedError: nothing is in production yet.
    """
    production = knowledge_base.vector_store.production_state().production
    if production is None:
        raise nothing_in_production(knowledge_base.place)
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
            "title": location.title,
            "metadata": location.metadata.to_json(),
        }
        if point.vector is not None:
            line["vector"] = [float(component) for component in point.vector]
        yield line
