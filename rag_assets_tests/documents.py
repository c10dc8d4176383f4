"""Short builders of documents, contents and chunks, for the tests of the pure modules."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rag_assets.changes.content_changes import ContentChange, content_changes
from rag_assets.embedders.base import EmbeddedBatch
from rag_assets.embedders.model_identity import recorded_model
from rag_assets.fingerprint import index_fingerprint, short_hash
from rag_assets.generations.staging import StagedGeneration, Staging
from rag_assets.records import (
    Chunk,
    DocumentState,
    EmbeddingModel,
    GenerationManifest,
    Location,
    SparseVector,
    Vector,
)
from rag_assets.vector_stores.base import VectorStore

MODEL = EmbeddingModel("fake", "fake-8", 8)
FINGERPRINT: dict[str, Any] = index_fingerprint(
    MODEL,
    chunker="lines",
    chunker_version="1",
    chunk_size=512,
    chunk_overlap=50,
    tokenizer="words",
    sparse={"k": 1.2},
)
FINGERPRINT_HASH = short_hash(FINGERPRINT)
OTHER_FINGERPRINT: dict[str, Any] = FINGERPRINT | {"chunk_size": 256}


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def place(path: str, source: str = "filesystem", **fields: Any) -> Location:
    location = Location(
        document_id=f"{source}:{path}",
        source=source,
        source_uri=f"{source}:///docs/{path}",
        path=path,
        filename=path.rpartition("/")[2],
        title="",
        modified_at="2026-01-01T00:00:00Z",
    )
    return replace(location, **fields)


def document(path: str, text: str | None, source: str = "filesystem", **fields: Any) -> DocumentState:
    """Return a readable document, or a quarantined one without a text."""
    if text is None:
        return DocumentState(place(path, source, **fields), None, "corrupt", "It is torn.")
    return DocumentState(place(path, source, **fields), hashed(text))


def corpus(texts: Mapping[str, str], source: str = "filesystem") -> list[DocumentState]:
    return [document(path, text, source) for path, text in sorted(texts.items())]


def vector_of(text: str, dimensions: int = MODEL.dimensions) -> Vector:
    """Return a unit vector computed from the text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=dimensions)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def sparse_of(text: str) -> SparseVector:
    indices = sorted({int(hashed(word)[:6], 16) for word in text.split()})
    return SparseVector(tuple(indices), tuple(1.0 for _ in indices))


def chunks_of(text: str) -> list[Chunk]:
    """Return one chunk per line, with its line end. The chunks together are the text."""
    lines = text.splitlines(keepends=True)
    starts = [sum(len(line) for line in lines[:number]) for number in range(len(lines))]
    return [
        Chunk(
            content_hash=hashed(text),
            chunk_index=number,
            total_chunks=len(lines),
            start=start,
            end=start + len(line),
            token_count=len(line.split()),
            heading_path=("Title",),
            text=line,
            text_hash=hashed(line),
        )
        for number, (start, line) in enumerate(zip(starts, lines, strict=True))
    ]


def embedded_chunks(changes: Iterable[ContentChange], texts: Iterable[str]) -> Iterator[tuple[Chunk, Vector]]:
    """Yield the chunks and vectors of exactly the new contents, as the assets before staging do."""
    by_hash = {hashed(text): text for text in texts}
    for change in changes:
        if not change.was_held:
            for chunk in chunks_of(by_hash[change.content_hash]):
                yield chunk, vector_of(chunk.text)


def stage(
    store: VectorStore,
    generation: str,
    documents: Sequence[DocumentState],
    texts: Iterable[str],
    *,
    base: GenerationManifest | None = None,
    held: Sequence[DocumentState] = (),
    expected_production: str | None = None,
    fingerprint: dict[str, Any] = FINGERPRINT,
) -> StagedGeneration:
    """Stage `documents` on top of a base with the documents `held`."""
    changes = content_changes(held if base else (), documents)
    staging = Staging(
        store,
        generation=generation,
        refresh_id=f"refresh-of-{generation}",
        fingerprint=fingerprint,
        fingerprint_hash=short_hash(fingerprint),
        base=base,
        expected_production=expected_production,
        encode_sparse=sparse_of,
    )
    return staging.run(changes, embedded_chunks(changes, texts), documents=documents, total_chunks=0)


class FakeEmbedder:
    """Embeds by hashing, and records every batch."""

    def __init__(
        self,
        model: EmbeddingModel = MODEL,
        *,
        batch_size: int = 3,
        usd_per_million_tokens: float | None = 2.0,
        fail_after_batches: int | None = None,
        error: Exception | None = None,
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        self.usd_per_million_tokens = usd_per_million_tokens
        self.batches: list[list[str]] = []
        self._fail_after_batches = fail_after_batches
        self._error = error

    def embed_documents(self, texts: Sequence[str]) -> EmbeddedBatch:
        if self._error is not None and len(self.batches) == self._fail_after_batches:
            raise self._error
        self.batches.append(list(texts))
        vectors = np.stack([vector_of(text, self.model.dimensions) for text in texts])
        return EmbeddedBatch(vectors, tokens=sum(len(text.split()) for text in texts))

    def embed_query(self, text: str) -> Vector:
        return vector_of(text, self.model.dimensions)


def embedder_of(manifest: GenerationManifest) -> FakeEmbedder:
    """Return the embedder of a generation, for a retriever."""
    return FakeEmbedder(recorded_model(manifest))
