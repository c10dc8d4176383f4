"""The plan for staging: a change set translated into contents, with access to their texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from rag_assets.artifacts.parquet_artifact import Artifact, Header
from rag_assets.artifacts.rows import change_from_row
from rag_assets.changes.change_set import target_documents
from rag_assets.changes.content_changes import ContentChange, content_changes
from rag_assets.errors import MENDED_BY_REBUILD, StaleInputError, SupersededError
from rag_assets.fingerprint import short_hash
from rag_assets.generations.contents import text_from_points
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import DocumentState, GenerationManifest
from rag_assets.vector_stores.promotion_rules import check_readings, expect_production


@dataclass(frozen=True, slots=True)
class StagingPlan:
    """The staging work for one `deduped_documents`.

    Attributes:
        base: manifest of the generation whose points can be reused, or None for a first build or a rebuild.
        changes: contents with changed points.
        documents: all documents of the candidate.
        text_of: returns the text of a content, from the text store or the points of production.
    """

    base: GenerationManifest | None
    changes: tuple[ContentChange, ...]
    documents: tuple[DocumentState, ...]
    text_of: Callable[[str], str | None]


def plan_staging(
    knowledge_base: KnowledgeBase,
    deduped: Artifact,
    run_id: str,
    documents: Sequence[DocumentState] | None = None,
) -> StagingPlan:
    """Translate a change set into the work of staging, for production as it is now.

    Args:
        run_id: id of the current run.
        documents: of the candidate, if they are others than those of the change set.

    Raises:
        SupersededError: the change set is from this run, and another refresh has promoted since. Or a later reading of
            a source counted.
        StaleInputError: the change set is from another run, for another production.
    """
    check_readings(deduped.header.readings, knowledge_base.vector_store.readings())
    state = knowledge_base.vector_store.production_state()
    production = state.production
    if deduped.header.base != production:
        overtaken = deduped.header.run_id == run_id
        if overtaken and state.hold is not None:
            expect_production(state, deduped.header.base)
        raise (SupersededError if overtaken else StaleInputError)(
            f"deduped_documents of refresh {deduped.header.refresh_id} was compared with production "
            f"{deduped.header.base or 'none'}, but production is now {production or 'none'}: materialize "
            "deduped_documents and everything after it"
        )
    base = knowledge_base.reusable_production()
    if documents is None:
        documents = target_documents(change_from_row(row) for row in deduped.rows())
    held = knowledge_base.documents_of(production) if base else []
    return staging_plan_for(knowledge_base, base, held, documents)


def require_current_work(knowledge_base: KnowledgeBase, header: Header) -> None:
    """Check that the work described by a header can still go live.

    Raises:
        SupersededError: production has changed, or a later reading of a source counted.
    """
    check_readings(header.readings, knowledge_base.vector_store.readings())
    expect_production(knowledge_base.vector_store.production_state(), header.base)


def staging_plan_for(
    knowledge_base: KnowledgeBase,
    base: GenerationManifest | None,
    held: Sequence[DocumentState],
    documents: Sequence[DocumentState],
) -> StagingPlan:
    """Plan the changes that turn production into a candidate.

    Args:
        base: manifest of production, or None if none of its points can be kept.
        held: documents whose points can be reused. Empty for a rebuild.
        documents: documents of the candidate.
    """
    return StagingPlan(
        base=base,
        changes=tuple(content_changes(held, documents)),
        documents=tuple(documents),
        text_of=partial(text_of, knowledge_base),
    )


def text_of(knowledge_base: KnowledgeBase, content_hash: str) -> str | None:
    """Return the text of a content, from the text store or the points of production, or None if it is lost."""
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
