"""Texts refused by the embedding model: their documents keep the last good version, all others are refreshed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

from rag_assets.artifacts.consistency import require_same_refresh
from rag_assets.artifacts.parquet_artifact import Artifact
from rag_assets.artifacts.rows import (
    change_from_row,
    chunk_from_row,
    document_from_row,
    read_vectors,
    repeated_text_hashes,
)
from rag_assets.changes.change_set import DocumentChange, target_documents
from rag_assets.chunking import chunk_contents
from rag_assets.embedding import EmbeddingUsage, embed_texts, remember_refusals
from rag_assets.errors import ConfigurationError, StaleInputError
from rag_assets.generations.staging import join_vectors
from rag_assets.ingestion.source_reports import outages_from
from rag_assets.knowledge_base import KnowledgeBase
from rag_assets.records import Chunk, Vector
from rag_assets.refresh.decision import decide_without
from rag_assets.refresh.staging_plan import StagingPlan, plan_staging
from rag_assets.text.wording import counted

_MOST_REFUSED = 10
_SAMPLE = 64


@dataclass(slots=True)
class Refusals:
    """The refusals of one refresh, as kept with its embeddings.

    Attributes:
        texts: hash of a refused text -> the reason, a predicate.
        contents: hash of a content with such a text -> the reason, a sentence.
        additional: contents embedded in their place, in this order: last good versions, and near-duplicates.
    """

    texts: dict[str, str] = field(default_factory=dict[str, str])
    contents: dict[str, str] = field(default_factory=dict[str, str])
    additional: list[str] = field(default_factory=list[str])

    def add_content(self, content_hash: str, text_hash: str) -> None:
        self.contents[content_hash] = f"A part of its text {self.texts[text_hash]}."


def refusals_of(embedded: Artifact) -> Refusals:
    """Return the refusals behind some embeddings. None in those of an earlier version."""
    return Refusals(**embedded.details.get("refusals", {}))


def settled_changes(
    knowledge_base: KnowledgeBase, deduped: Artifact, refusals: Refusals
) -> list[DocumentChange]:
    """Return the change set without the refused contents.

    Raises:
        StaleInputError: the reading of the sources behind the change set is gone.
    """
    for raw in knowledge_base.artifacts.kept("raw_documents"):
        if raw.header.refresh_id == deduped.header.refresh_id:
            return decide_without(
                knowledge_base,
                (document_from_row(row) for row in raw.rows()),
                frozenset(raw.details["complete_sources"]),
                list(outages_from(raw.details.get("outages", ()))),
                refusals.contents,
            )
    raise StaleInputError(
        f"raw_documents of refresh {deduped.header.refresh_id} is gone: materialize all assets"
    )


def embed_chunks(
    knowledge_base: KnowledgeBase,
    chunked: Artifact,
    deduped: Artifact,
    run_id: str,
    refusals: Refusals,
    usage: EmbeddingUsage,
    before_request: Callable[[], None],
) -> Iterator[tuple[str, Vector]]:
    """Yield (text hash, vector) of the chunks, then of those needed in place of refused ones.

    Args:
        refusals: receives the refusals.

    Raises:
        ConfigurationError: the model refuses nearly everything. Then no document is to blame.
    """
    embedder, ledger = knowledge_base.embedder, knowledge_base.ledger
    token_counts: dict[str, int] = {}

    def count_cached(text_hashes: Iterable[str]) -> None:
        usage.num_tokens_cached += sum(token_counts[text_hash] for text_hash in text_hashes)
        token_counts.clear()

    def counted_texts(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
        for row in rows:
            token_counts[row["text_hash"]] = row["token_count"]
            yield row["text_hash"], row["text"]

    def embedded(texts: Iterable[tuple[str, str]], total: int) -> Iterator[tuple[str, Vector]]:
        return embed_texts(
            texts,
            embedder,
            ledger,
            usage,
            total,
            before_request,
            refusals.texts,
            lambda: _text_in_production(knowledge_base),
            partial(knowledge_base.spend, "documents", embedder.model.model),
            count_cached,
        )

    rows = chunked.rows(["text_hash", "text", "token_count"])
    yield from embedded(counted_texts(rows), chunked.details["num_chunks"])
    if not refusals.texts:
        return
    require_same_refresh([deduped, chunked])
    refused_texts: dict[str, str] = {}
    texts: set[str] = set()
    contents: set[str] = set()
    for row in chunked.rows(["content_hash", "text_hash", "text"]):
        texts.add(row["text_hash"])
        contents.add(row["content_hash"])
        if row["text_hash"] in refusals.texts:
            refused_texts[row["text_hash"]] = row["text"]
            refusals.add_content(row["content_hash"], row["text_hash"])
    num_contents = len(contents)
    if knowledge_base.reusable_production() is None:
        _require_some_accepted(len(refusals.contents), num_contents)
    while True:
        changes = settled_changes(knowledge_base, deduped, refusals)
        plan = plan_staging(knowledge_base, deduped, run_id, target_documents(changes))
        new = [it.content_hash for it in plan.changes if not it.was_held and it.content_hash not in contents]
        if not new:
            break
        refusals.additional += new
        contents.update(new)
        chunks = list(chunk_contents(new, plan.text_of, knowledge_base.chunker))
        fresh = {
            chunk.text_hash: {
                "text_hash": chunk.text_hash,
                "text": chunk.text,
                "token_count": chunk.token_count,
            }
            for chunk in chunks
            if chunk.text_hash not in texts
        }
        texts.update(fresh)
        yield from embedded(counted_texts(fresh.values()), len(fresh))
        for chunk in chunks:
            if chunk.text_hash in refusals.texts:
                refused_texts[chunk.text_hash] = chunk.text
                refusals.add_content(chunk.content_hash, chunk.text_hash)
    remember_refusals(refused_texts.values(), embedder.model, ledger)


def plan_around(
    knowledge_base: KnowledgeBase, deduped: Artifact, run_id: str, refusals: Refusals
) -> tuple[StagingPlan, list[DocumentChange]]:
    """Return the plan of staging, and the changes of documents that differ from the change set."""
    if not refusals.contents:
        return plan_staging(knowledge_base, deduped, run_id), []
    changes = settled_changes(knowledge_base, deduped, refusals)
    before = {change.document_id: change for change in map(change_from_row, deduped.rows())}
    plan = plan_staging(knowledge_base, deduped, run_id, target_documents(changes))
    return plan, [change for change in changes if change != before.get(change.document_id)]


def staged_chunks(
    knowledge_base: KnowledgeBase,
    plan: StagingPlan,
    chunked: Artifact,
    embedded: Artifact,
    refusals: Refusals,
) -> Iterator[tuple[Chunk, Vector]]:
    """Yield the chunks of all new contents of a plan, with their vectors."""
    repeated = repeated_text_hashes(chunked)
    chunks = (chunk_from_row(row) for row in chunked.rows())
    vectors = read_vectors(embedded)
    if not refusals.texts:
        yield from join_vectors(chunks, vectors, repeated)
        return
    additional = list(chunk_contents(refusals.additional, plan.text_of, knowledge_base.chunker))
    repeated |= {chunk.text_hash for chunk in additional}
    new = {change.content_hash for change in plan.changes if not change.was_held}
    accepted = (chunk for chunk in chain(chunks, additional) if chunk.text_hash not in refusals.texts)
    for chunk, vector in join_vectors(accepted, vectors, repeated):
        if chunk.content_hash in new:
            yield chunk, vector


def _require_some_accepted(num_refused: int, num_contents: int) -> None:
    """Blame the settings if the model refuses most texts of a whole knowledge base."""
    if num_refused == num_contents or num_refused > max(_MOST_REFUSED, num_contents / 2):
        raise ConfigurationError(
            f"the embedding model refuses parts of {num_refused:,} of {counted(num_contents, 'document text')}, so no "
            "document is to blame: check that RAG_CHUNK_SIZE is within the limit of the model, and OPENAI_BASE_URL"
        )


def _text_in_production(knowledge_base: KnowledgeBase) -> str | None:
    """Return a long text of production, if the same model embedded it in chunks of the same size."""
    base = knowledge_base.reusable_production()
    if base is None:
        return None
    reader = knowledge_base.vector_store.read(base.generation)
    try:
        points = next(iter(reader.scroll(_SAMPLE)), [])
        return max((str(point.payload["text"]) for point in points), key=len, default=None)
    finally:
        reader.close()
