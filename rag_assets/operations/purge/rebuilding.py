"""The kept generations rebuilt without some documents, beside the served ones."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from rag_assets.embedders.cache_key import cache_key
from rag_assets.embedders.model_identity import recorded_model
from rag_assets.errors import MENDED_BY_REBUILD, GenerationDamaged
from rag_assets.generations.copying import CheckedPoints, copy_generation
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import DocumentState, GenerationManifest, Point
from rag_assets.vector_stores.production_state import ProductionState

ROLES = ("production", "previous", "held")


@dataclass(slots=True)
class Rebuilt:
    """The new generations.

    Attributes:
        state: production, previous and hold afterwards.
        documents: new generation -> its documents.
        manifests: new generation -> its manifest.
        digest_before: of production before. The new one has the same if it did not hold the documents.
        lost: role -> damage of a generation without a rebuild. It goes without a successor. A hold stands.
        vector_keys: cached vectors of the removed chunks, without those of other chunks with the same text.
    """

    state: ProductionState
    documents: dict[str, list[DocumentState]] = field(default_factory=dict[str, list[DocumentState]])
    manifests: dict[str, GenerationManifest] = field(default_factory=dict[str, GenerationManifest])
    digest_before: str = ""
    lost: dict[str, str] = field(default_factory=dict[str, str])
    vector_keys: set[bytes] = field(default_factory=set[bytes])


def rebuild_without(
    knowledge_base: KnowledgeBase,
    document_ids: frozenset[str],
    before: ProductionState,
) -> Rebuilt:
    """Write each kept generation again, without these documents.

    Args:
        before: production, previous and hold now.

    Raises:
        GenerationDamaged: production differs from its seal.
    """
    store = knowledge_base.vector_store
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    rebuilt = Rebuilt(before)
    existing = store.generations()
    removed: set[bytes] = set()
    stay: set[bytes] = set()
    for role in ROLES:
        old = getattr(before, role)
        if old is None or (role == "held" and old not in existing):
            continue
        name = f"{now}-purged-{role}"
        try:
            manifest = store.manifest(old)
            if manifest is None or manifest.damaged:
                raise GenerationDamaged(
                    manifest.damaged if manifest else f"generation {old} was never sealed"
                )
            if role == "production":
                rebuilt.digest_before = manifest.digest
            checked = CheckedPoints(manifest, store.exact_vectors)
            with closing(store.read(old)) as reader:
                batches = checked.over(reader.scroll(512, with_vectors=True), "points copied")
                watched = _keys_watched(batches, manifest, document_ids, removed, stay)
                sealed, documents = copy_generation(store, watched, manifest, name, without=document_ids)
        except MENDED_BY_REBUILD as error:
            if role == "production":
                raise
            rebuilt.lost[role] = str(error)
            rebuilt.state = _with(rebuilt.state, role, None if role == "previous" else name)
            continue
        rebuilt.documents[name], rebuilt.manifests[name] = documents, sealed
        rebuilt.state = _with(rebuilt.state, role, name)
    rebuilt.vector_keys = removed - stay
    return rebuilt


def _with(state: ProductionState, role: str, name: str | None) -> ProductionState:
    if role == "production":
        return replace(state, production=name)
    if role == "previous":
        return replace(state, previous=name)
    return replace(state, hold=state.hold and replace(state.hold, generation=name or ""))


def _keys_watched(
    batches: Iterator[Sequence[Point]],
    manifest: GenerationManifest,
    document_ids: frozenset[str],
    removed: set[bytes],
    stay: set[bytes],
) -> Iterator[Sequence[Point]]:
    """Yield all batches, and sort the keys of their cached vectors into removed ones and others."""
    model = recorded_model(manifest)
    for batch in batches:
        for point in batch:
            goes = {one["document_id"] for one in point.payload["locations"]} <= document_ids
            (removed if goes else stay).add(cache_key(model, point.payload["text"]))
        yield batch
