"""A knowledge base with a secret document, and its purge."""

from typing import Any

from rag_assets.ingestion.purged_documents import PurgedDocument
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.operations.purge.purge import PurgeReport, purge
from rag_assets_tests.canary import CANARY
from rag_assets_tests.operations.conftest import Installations, all_points

SECRET = "one:secret.md"
TITLE_TOO = (
    f"---\ntitle: {CANARY}\nkeywords: {CANARY}\n---\n# {CANARY}\n\n{CANARY}, and nobody else heard it.\n"
)


def purged(installations: Installations, name: str = SECRET, **options: Any) -> PurgeReport:
    with installations.original() as knowledge_base:
        return purge(knowledge_base, name, by="ana", reason="a request", **options)


def record_of(knowledge_base: KnowledgeBase, document_id: str = SECRET) -> PurgedDocument:
    one = knowledge_base.purged_documents.kept_out().get(document_id)
    assert one is not None
    return one


def texts_of(installations: Installations, role: str = "production") -> set[str]:
    with installations.original() as knowledge_base:
        generation = getattr(knowledge_base.vector_store.production_state(), role)
        return {point.payload["text"] for point in all_points(knowledge_base, generation).values()}
