"""A change set, ready to be worked on: what to do with each content, and where its text is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from rag_assets.artifacts.artifact import Artifact
from rag_assets.artifacts.rows import change_from_row
from rag_assets.changes.change_set import target_documents
from rag_assets.changes.content_changes import ContentChange, content_changes
from rag_assets.errors import MENDED_BY_REBUILD, StaleInputError, SupersededError
from rag_assets.fingerprint import short_hash
from rag_assets.generations.contents import text_from_points
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import DocumentState, GenerationManifest


@dataclass(frozen=True, slots=True)
class StagingPlan:
    """What follows from one `deduped_documents`.

    Attributes:
        base: manifest of the generation whose points can be kept; None for a first build or a rebuild.
        changes: contents whose points change.
        documents: every document that the candidate is to hold.
        text_of: returns the text of a content, from the text store or else from production's points.
    """

    base: GenerationManifest | None
    changes: tuple[ContentChange, ...]
    documents: tuple[DocumentState, ...]
    text_of: Callable[[str], str | None]


def plan_staging(knowledge_base: KnowledgeBase, deduped: Artifact, run_id: str) -> StagingPlan:
    """Work out what a change set means for production as it is now.

    Args:
        run_id: the run that is at work.

    Raises:
        SupersededError: this run decided the change set, and another refresh has promoted since.
        StaleInputError: it is of another run, and was decided against another production.
    """
    production = knowledge_base.vector_store.production_state().production
    if deduped.header.base != production:
        overtaken = deduped.header.run_id == run_id
        raise (SupersededError if overtaken else StaleInputError)(
            f"deduped_documents of refresh {deduped.header.refresh_id} was decided against production "
            f"{deduped.header.base or 'none'}, but production is now {production or 'none'}: materialize "
            "deduped_documents and everything after it"
        )
    base = knowledge_base.reusable_production()
    documents = target_documents(change_from_row(row) for row in deduped.rows())
    held = knowledge_base.documents_of(production) if base else []
    return staging_plan_for(knowledge_base, base, held, documents)


def staging_plan_for(
    knowledge_base: KnowledgeBase,
    base: GenerationManifest | None,
    held: Sequence[DocumentState],
    documents: Sequence[DocumentState],
) -> StagingPlan:
    """Work out what leads from production to a candidate.

    Args:
        base: manifest of production; None if none of its points can be kept.
        held: documents whose points can be kept; none of them for a rebuild.
        documents: what the candidate is to hold.
    """
    return StagingPlan(
        base=base,
        changes=tuple(content_changes(held, documents)),
        documents=tuple(documents),
        text_of=partial(text_of, knowledge_base),
    )


def text_of(knowledge_base: KnowledgeBase, content_hash: str) -> str | None:
    """Return the text of a content, from the text store or else from production's points; None if it is lost."""
    text = knowledge_base.text_store.get(content_hash)
    return text if text is not None else _text_in_production(knowledge_base, content_hash)


def _text_in_production(knowledge_base: KnowledgeBase, content_hash: str) -> str | None:
    try:
        manifest = knowledge_base.production_manifest()
        if manifest is None:
            return None
        reader = knowledge_base.vector_store.read(manifest.generation)
    except MENDED_BY_REBUILD:
        return None
    try:
        return text_from_points(reader, short_hash(manifest.fingerprint), content_hash)
    finally:
        reader.close()
