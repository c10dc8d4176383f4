"""`rag-assets quarantine --retry`: quarantined documents are read again by the next refresh, even if unchanged."""

import argparse
from collections.abc import Sequence

from rag_assets.cli.terminal import say, say_json, say_text
from rag_assets.errors import RefusedError
from rag_assets.inspection.document_names import close_matches, document_named
from rag_assets.inspection.quarantine import quarantined_documents
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import DocumentState
from rag_assets.text.control_characters import one_line, quoted
from rag_assets.text.wording import counted


def retry(knowledge_base: KnowledgeBase, options: argparse.Namespace) -> int:
    """Forget the outcomes of the named documents, of all without names."""
    documents = _named(options.retry, quarantined_documents(knowledge_base))
    by_uri = {state.location.source_uri: state.document_id for state in documents}
    forgotten = {by_uri[uri] for uri in knowledge_base.ledger.forget_quarantined(list(by_uri))}
    if options.json:
        say_json(
            {
                "num_quarantined": len(documents),
                "documents": [
                    {
                        "document_id": state.document_id,
                        "reason": state.quarantine_reason,
                        "was_remembered": state.document_id in forgotten,
                    }
                    for state in documents
                ],
            }
        )
        return 0
    if not documents:
        say("no document is quarantined")
        return 0
    for state in documents:
        again = (
            "will be read again" if state.document_id in forgotten else "every refresh tries it again anyway"
        )
        say_text(one_line(f"{state.document_id} ({state.quarantine_reason}): {again}"))
    say(f"the next refresh reads {counted(len(documents), 'quarantined document')}")
    return 0


def _named(names: Sequence[str], quarantined: list[DocumentState]) -> list[DocumentState]:
    """Return the quarantined documents of these names, all of them without names.

    Raises:
        RefusedError: a name fits none of them, or several. Nothing is forgotten then.
    """
    found: dict[str, DocumentState] = {}
    for name in names:
        state = document_named(name, quarantined)
        if state is None:
            matches = close_matches(name, (one.location for one in quarantined))
            advice = (
                f"did you mean {', '.join(matches)}?" if matches else "`rag-assets quarantine` lists them"
            )
            raise RefusedError(f"no quarantined document is named {quoted(name)}: {advice}")
        found[state.document_id] = state
    return list(found.values()) if names else quarantined
