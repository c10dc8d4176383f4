"""The nouns of the pipeline: frozen records that its steps hand to one another.

Here belongs what two or more modules exchange. No logic beyond trivial conversions, no I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
"""One dense vector, float32, shape (dim,)."""
Vectors = npt.NDArray[np.float32]
"""Dense vectors, float32, shape (n, dim)."""

Payload = dict[str, Any]

PAYLOAD_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One document as a source lists it, before anything of it is read.

    Attributes:
        document_id: `<source name>:<path>`, unique over all sources.
        source: name of the source, for example `filesystem`.
        uri: where a person can open it, for example `file:///…/hr/handbook.pdf`.
        path: relative to the root of the source, with forward slashes.
        version_token: changes whenever the bytes may have changed (size and mtime, ETag …).
        modified_at: ISO 8601 in UTC, or None if the source does not tell.
        access: principals that may read it; None if the source has no access lists.
    """

    document_id: str
    source: str
    uri: str
    path: str
    filename: str
    version_token: str
    size_bytes: int
    modified_at: str | None = None
    access: tuple[str, ...] | None = None

    def location(self, title: str = "") -> "Location":
        return Location(
            document_id=self.document_id,
            source=self.source,
            source_uri=self.uri,
            path=self.path,
            filename=self.filename,
            title=title,
            modified_at=self.modified_at,
            access=self.access,
        )


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """What a parser makes of a document's bytes.

    Attributes:
        text: plain text; headings are lines that start with `#` to `######`, as in Markdown.
        title: from the document itself, or "" if it has none.
    """

    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Location:
    """One place where a content lives. Stored in the payload of each of its points."""

    document_id: str
    source: str
    source_uri: str
    path: str
    filename: str
    title: str
    modified_at: str | None
    access: tuple[str, ...] | None = None

    def to_payload(self) -> Payload:
        return {
            "document_id": self.document_id,
            "source": self.source,
            "source_uri": self.source_uri,
            "path": self.path,
            "filename": self.filename,
            "title": self.title,
            "modified_at": self.modified_at,
            "access": list(self.access) if self.access is not None else None,
        }

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> "Location":
        access = payload.get("access")
        return cls(
            document_id=payload["document_id"],
            source=payload["source"],
            source_uri=payload["source_uri"],
            path=payload["path"],
            filename=payload["filename"],
            title=payload["title"],
            modified_at=payload.get("modified_at"),
            access=tuple(access) if access is not None else None,
        )


@dataclass(frozen=True, slots=True)
class DocumentState:
    """A document as production holds it, or as its source holds it now.

    Attributes:
        content_hash: of its extracted, normalised text; None while it is quarantined.
        quarantine_reason: why there is no text; "" if there is.
    """

    location: Location
    content_hash: str | None
    quarantine_reason: str = ""
    quarantine_detail: str = ""

    @property
    def document_id(self) -> str:
        return self.location.document_id


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """A chunk as positions in its document: text is `document[start:end]`, exactly.

    Attributes:
        start, end: character offsets.
        token_count: tokens of that slice, counted by the chunker's tokenizer.
        heading_path: titles of the headings above the start of the chunk, outermost first.
    """

    start: int
    end: int
    token_count: int
    heading_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of one content, with its text.

    Attributes:
        flags: what there is to know about its text, see `rag_assets.text.instruction_patterns`.
    """

    content_hash: str
    chunk_index: int
    total_chunks: int
    start: int
    end: int
    token_count: int
    heading_path: tuple[str, ...]
    text: str
    text_hash: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """Everything that determines a vector, apart from the text.

    Attributes:
        provider: `openai` or `wordllama`.
        endpoint: base URL of the API, "" for a local model.
        revision: of the weights where it is known, else "".
        query_prefix, document_prefix: put before a text when it is embedded.
    """

    provider: str
    model: str
    dimensions: int
    endpoint: str = ""
    revision: str = ""
    query_prefix: str = ""
    document_prefix: str = ""


@dataclass(frozen=True, slots=True)
class SparseVector:
    """A sparse vector: ascending unique indices and their weights."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One point as sent to, or read from, a vector store.

    Attributes:
        id: a UUID in its canonical text form.
        vector: float32, shape (dim,), unit length; None where it was not asked for.
        sparse: BM25 weights; None where it was not asked for.
    """

    id: str
    payload: Payload
    vector: Vector | None = None
    sparse: SparseVector | None = None


@dataclass(frozen=True, slots=True)
class ScoredPoint:
    """One result of one search list (dense or sparse); its payload is empty where it was not asked for."""

    id: str
    score: float
    payload: Payload


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a payload field.

    Attributes:
        key: `source`, `path`, `filename`, `title`, `document_id`, `source_uri`, `modified_at`,
            `access` (fields of a location), or a field of the point itself such as
            `content_hash`, `chunk_index`, `embedding_model`, `flags`.
        match: `equals`, `any_of` (values), `prefix` (text), or `range` (a mapping with any of
            gt, gte, lt, lte; numbers, or ISO 8601 dates for `modified_at`).
    """

    key: str
    match: Literal["equals", "any_of", "prefix", "range"]
    value: Any


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """All conditions must hold; those on location fields must hold for one and the same location."""

    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One chunk that answers a query."""

    point_id: str
    score: float
    text: str
    content_hash: str
    chunk_index: int
    locations: tuple[Location, ...]
    payload: Payload = field(repr=False)

    def to_metadata(self) -> Payload:
        """Return the payload but for the text, with the fields of the first location beside `locations`."""
        rest = {key: value for key, value in self.payload.items() if key != "text"}
        return {**rest, **self.locations[0].to_payload()}


@dataclass(frozen=True, slots=True)
class GenerationManifest:
    """What is known of a sealed generation. Stored beside its points, written last.

    Attributes:
        generation: its name, never used twice.
        base: the generation that was in production when it was staged; None for the first.
        fingerprint: the index fingerprint, as a flat mapping; see `rag_assets.fingerprint`.
        digest: hex, additive over the points; see `rag_assets.generations.digest`.
        documents_hash: of the documents that it holds, to tell whether a ledger remembers them rightly.
        rejected: why it failed its gate, "" if it did not.
        run_id: Dagster run that staged it; "" if that is not known.
    """

    generation: str
    refresh_id: str
    base: str | None
    fingerprint: dict[str, Any]
    digest: str
    points_count: int
    documents_count: int
    documents_hash: str
    sealed_at: str
    rejected: str = ""
    run_id: str = ""
    format_version: int = 1


@dataclass(frozen=True, slots=True)
class ProductionState:
    """What serves, what served before, and whether a person holds it there.

    Attributes:
        production: generation that serves; None before the first promotion.
        previous: generation that served before it and can be rolled back to.
        held: generation that a rollback took out of service and that is not yet resumed from.
    """

    production: str | None = None
    previous: str | None = None
    held: str | None = None
