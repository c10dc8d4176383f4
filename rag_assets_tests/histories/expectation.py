"""The expected contents of a knowledge base, worked out from scratch: the oracle of the tests in this folder.

`Reading` is one look at the sources without any memory. `Snapshot` holds the documents of one generation, and its points
as a build from nothing writes them.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rag_assets.changes.content_changes import content_changes
from rag_assets.chunking import chunk_contents
from rag_assets.errors import RagAssetsError
from rag_assets.fingerprint import short_hash
from rag_assets.generations.staging import Staging
from rag_assets.generations.verification import check_every_point
from rag_assets.records import DocumentState, Point, Vector
from rag_assets_tests.documents import vector_of
from rag_assets_tests.histories.world import World
from rag_assets_tests.in_memory_vector_store import InMemoryVectorStore


@dataclass(frozen=True)
class Reading:
    """The documents in the sources.

    Attributes:
        documents: by id, broken ones included.
        complete_sources: sources listed to the end.
        texts: content hash -> text.
    """

    documents: dict[str, DocumentState]
    complete_sources: frozenset[str]
    texts: dict[str, str]


@dataclass(frozen=True)
class Snapshot:
    """The documents of a generation by id, with the settings of its index."""

    documents: dict[str, DocumentState]
    chunk_size: int


def read_sources(world: World) -> Reading:
    """Read the sources with an empty state folder, so no cache has a say."""
    with (
        tempfile.TemporaryDirectory() as folder,
        world.knowledge_base(state_dir=Path(folder)) as knowledge_base,
    ):
        ingestion = knowledge_base.ingestion()
        documents = {state.document_id: state for state in ingestion.documents()}
        texts = {
            state.content_hash: knowledge_base.text_store.get(state.content_hash) or ""
            for state in documents.values()
            if state.content_hash
        }
        complete = frozenset(report.source for report in ingestion.reports if report.complete)
    return Reading(documents, complete, texts)


def after_refresh(served: Mapping[str, DocumentState], reading: Reading) -> dict[str, DocumentState]:
    """Return the documents served after a refresh: those of the sources, and the last good version of broken ones."""
    not_believed = too_alike(served, reading)
    documents = {document_id: served[document_id] for document_id in not_believed & served.keys()}
    for document_id, state in reading.documents.items():
        if document_id in not_believed:
            continue
        if state.content_hash is not None:
            documents[document_id] = DocumentState(state.location, state.content_hash)
        elif document_id in served:
            documents[document_id] = served[document_id]
    unlisted = {
        document_id: state
        for document_id, state in served.items()
        if document_id not in reading.documents and state.location.source not in reading.complete_sources
    }
    return documents | unlisted


def too_alike(served: Mapping[str, DocumentState], reading: Reading) -> set[str]:
    """Return the documents of sources with one text in place of at least four fifths of their different documents."""

    def bare(state: DocumentState) -> str:
        text = reading.texts[state.content_hash] if state.content_hash else ""
        return text.partition("\n")[2].strip() if text.startswith("# ") else text

    found: set[str] = set()
    for source in {state.location.source for state in served.values()}:
        before = {key: state for key, state in served.items() if state.location.source == source}
        now = {key: state for key, state in reading.documents.items() if state.location.source == source}
        for text in {bare(state) for state in now.values()} - {""}:
            equal = {key for key, state in now.items() if bare(state) == text}
            new = {key for key in equal if key not in before}
            changed = {key for key in equal - new if now[key].content_hash != before[key].content_hash}
            if len({before[key].content_hash for key in changed}) > 1 and 5 * len(changed) >= 4 * len(before):
                found |= changed | new
    return found


def points_from_nothing(
    world: World,
    snapshot: Snapshot,
    texts: Mapping[str, str],
    vector_of: Callable[[str], Vector] = vector_of,
) -> dict[str, Point]:
    """Build the points of a snapshot in another kind of store, without base, cache and artifacts.

    Args:
        vector_of: the embedder of the world, without a cost or a count.
    """
    documents = list(snapshot.documents.values())
    changes = content_changes((), documents)
    store = InMemoryVectorStore()
    with world.knowledge_base(chunk_size=snapshot.chunk_size) as knowledge_base:
        chunks = list(
            chunk_contents([c.content_hash for c in changes], texts.__getitem__, knowledge_base.chunker)
        )
        fingerprint = knowledge_base.fingerprint()
        Staging(
            store,
            generation="from-nothing",
            refresh_id="from-nothing",
            fingerprint=fingerprint,
            fingerprint_hash=short_hash(fingerprint),
            base=None,
            expected_production=None,
            encode_sparse=knowledge_base.bm25.encode_document,
        ).run(
            changes,
            ((chunk, vector_of(chunk.text)) for chunk in chunks),
            documents=documents,
            total_chunks=len(chunks),
        )
    return store.points["from-nothing"]


def stored_points(world: World, generation: str) -> dict[str, Point]:
    with world.knowledge_base() as knowledge_base:
        reader = knowledge_base.vector_store.read(generation)
        try:
            return {point.id: point for batch in reader.scroll(with_vectors=True) for point in batch}
        finally:
            reader.close()


def known_documents(world: World) -> dict[str, DocumentState]:
    """Return the documents of production as the product itself knows them."""
    with world.knowledge_base() as knowledge_base:
        return knowledge_base.served_documents()


def problems_of(world: World, generation: str) -> tuple[str, ...]:
    """Look at every point of a generation, as `doctor --deep` does. () if all is as sealed."""
    with world.knowledge_base() as knowledge_base:
        try:
            manifest = knowledge_base.vector_store.manifest(generation)
            if manifest is None:
                return (f"generation {generation} has no manifest",)
            return check_every_point(
                knowledge_base.vector_store, manifest, short_hash(manifest.fingerprint)
            ).problems
        except RagAssetsError as error:
            return (str(error),)
