"""The decision of a refresh: the sources compared with production as it is now, and whether it may be carried out."""

from collections.abc import Iterable, Set
from dataclasses import dataclass

from rag_assets.change_set import (
    DocumentChange,
    DocumentState,
    content_changes,
    decide_changes,
    target_documents,
)
from rag_assets.errors import RefusedError
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import GenerationManifest


@dataclass(frozen=True, slots=True)
class Decision:
    """What a refresh has to do.

    Attributes:
        base_name: generation in production; None if there is none.
        base: its manifest; None if none of its points can be kept.
        production: its documents.
        documents: what the candidate is to hold.
        num_contents_changed: contents whose points change.
    """

    base_name: str | None
    base: GenerationManifest | None
    production: list[DocumentState]
    changes: list[DocumentChange]
    documents: list[DocumentState]
    num_contents_changed: int

    @property
    def rebuild(self) -> bool:
        return self.base is None


def decide(
    knowledge_base: KnowledgeBase, current: Iterable[DocumentState], complete_sources: Set[str]
) -> Decision:
    """Compare what the sources hold with production.

    Args:
        current, complete_sources: as `decide_changes` takes them.

    Raises:
        RefusedError: there is nothing, neither in production nor in the sources.
    """
    base_name = knowledge_base.vector_store.production_state().production
    production = knowledge_base.documents_of(base_name)
    changes = decide_changes(production, current, complete_sources)
    if not production and not any(change.content_hash for change in changes):
        raise RefusedError(
            f"there is no readable document in {', '.join(source.name for source in knowledge_base.sources())}: put "
            f"documents into {knowledge_base.settings.documents_dir} or set RAG_DOCUMENTS_DIR or RAG_SOURCES, then "
            "materialize all assets"
        )
    base = knowledge_base.reusable_production()
    documents = target_documents(changes)
    changed = content_changes(production if base else (), documents)
    return Decision(base_name, base, production, changes, documents, len(changed))


def check_deletions(knowledge_base: KnowledgeBase, decision: Decision) -> None:
    """Raises: DeletionRefused: too much would be deleted at once, and nobody has approved it."""
    knowledge_base.deletion_guard().check(
        {state.document_id: state.location.source for state in decision.production},
        decision.changes,
        base=decision.base_name,
        approved_tokens=knowledge_base.approved_tokens(),
    )
