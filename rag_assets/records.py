"""The nouns of the pipeline: frozen records passed between its steps.

A record exchanged by two or more modules belongs here. No logic beyond trivial conversions, no I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rag_assets.document_metadata.values import NO_METADATA, Metadata

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = npt.NDArray[np.float32]
    """One dense vector, float32, shape (dim,)."""
    Vectors = npt.NDArray[np.float32]
    """Dense vectors, float32, shape (n, dim)."""
else:
    # A parsing process needs no numpy, and importing it takes a third of its start.
    Vector = Vectors = Any

Payload = dict[str, Any]

PAYLOAD_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One document as a source lists it, before it is read.

    Attributes:
        document_id: `<source name>:<path>`, unique over all sources.
        source: name of the source, for example `filesystem`.
        uri: address for opening it in a browser or editor, for example `file:///…/hr/handbook.pdf`.
        path: relative to the root of the source, with forward slashes.
        version_token: changes whenever the bytes may have changed (size and mtime, ETag …).
        modified_at: ISO 8601 in UTC. None if the source does not report it.
        access: principals with read access. None if the source has no access lists.
        metadata: further fields of the source, known from the listing.
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
    metadata: Metadata = NO_METADATA

    def location(self, title: str = "", metadata: Metadata = NO_METADATA) -> "Location":
        return Location(
            document_id=self.document_id,
            source=self.source,
            source_uri=self.uri,
            path=self.path,
            filename=self.filename,
            title=title,
            modified_at=self.modified_at,
            access=self.access,
            metadata=metadata,
        )


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """The text of a document, extracted by a parser.

    Attributes:
        text: plain text. Headings are lines starting with `#` to `######`, as in Markdown.
        title: from the document itself, "" if it has none.
        metadata: from the document itself, with keys and values of any type. Normalized later.
    """

    text: str
    title: str = ""
    metadata: Mapping[str, Any] = NO_METADATA


@dataclass(frozen=True, slots=True)
class Location:
    """One place of a content. Stored in the payload of each of its points, without `metadata` if they are empty."""

    document_id: str
    source: str
    source_uri: str
    path: str
    filename: str
    title: str
    modified_at: str | None
    access: tuple[str, ...] | None = None
    metadata: Metadata = NO_METADATA

    def to_payload(self) -> Payload:
        payload: Payload = {
            "document_id": self.document_id,
            "source": self.source,
            "source_uri": self.source_uri,
            "path": self.path,
            "filename": self.filename,
            "title": self.title,
            "modified_at": self.modified_at,
            "access": list(self.access) if self.access is not None else None,
        }
        if self.metadata.pairs:  # absent otherwise, as in payloads of earlier versions
            payload["metadata"] = self.metadata.to_json()
        return payload

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
            metadata=Metadata.from_json(payload.get("metadata")),
        )


@dataclass(frozen=True, slots=True)
class DocumentState:
    """A document as production holds it, or as its source holds it now.

    Attributes:
        content_hash: SHA-256 of its extracted, normalized text. None while it is quarantined.
        quarantine_reason: reason for the missing text, "" if there is text.
    """

    location: Location
    content_hash: str | None
    quarantine_reason: str = ""
    quarantine_detail: str = ""

    @property
    def document_id(self) -> str:
        return self.location.document_id


@dataclass(frozen=True, slots=True)
class Outage:
    """A part of a source that could not be read, or whose answers cannot be true. It deletes nothing.

    Attributes:
        place: the failed part, for people: a folder, a sitemap, a site. Without secrets.
        problem: a clause about it.
        below: prefix of the paths in this part, such as `handbook/`, or None. Its documents stay if they are not listed.
        paths: single paths in this part. Their documents stay if they are not listed.
        withholds: whether the documents of `paths` stay as they are in production, even if they were read.
        is_quiet: whether the part failed only if it keeps a document of `paths`: an empty sitemap may be meant.
        num_kept: number of documents in production kept by this outage alone.
        token: admits their loss, "" if there is none.
        is_admitted: whether a person has admitted it. Then nothing is kept.
    """

    source: str
    place: str
    problem: str
    below: str | None = None
    paths: frozenset[str] = frozenset()
    withholds: bool = False
    is_quiet: bool = False
    num_kept: int = 0
    token: str = ""
    is_admitted: bool = False


RefusalKind = Literal["deletion", "outage", "rebuild"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A set of documents, or a rebuild, that waits for an approval.

    Attributes:
        token: hash of exactly this set or this rebuild.
        subject: a noun phrase, such as `the deletion of 12 of 20 documents`.
        sources: of the documents, sorted. Empty for a rebuild.
        examples: ids of some of the documents.
        refused_at: ISO 8601 in UTC, "" before a refresh has refused it.
    """

    token: str
    kind: RefusalKind
    subject: str
    sources: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    refused_at: str = ""


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """A chunk as positions in its document: text is `document[start:end]`, exactly.

    Attributes:
        start, end: character offsets.
        token_count: tokens of the slice, counted by the chunker's tokenizer.
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
        flags: findings about its text, see `rag_assets.text.instruction_patterns`.
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
    """All settings of a model with an effect on its vectors.

    Attributes:
        provider: `openai` or `wordllama`.
        endpoint: base URL of the API, "" for a local model.
        revision: revision of the weights, "" if unknown.
        query_prefix, document_prefix: added before a text when it is embedded.
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
        vector: float32, shape (dim,), unit length. None if it was not requested.
        sparse: BM25 weights. None if they were not requested.
    """

    id: str
    payload: Payload
    vector: Vector | None = None
    sparse: SparseVector | None = None


@dataclass(frozen=True, slots=True)
class ScoredPoint:
    """One result of one search list (dense or sparse). Its payload is empty if it was not requested."""

    id: str
    score: float
    payload: Payload


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a payload field.

    Attributes:
        key: a field of a location such as `source`, `path` or `access`, `metadata.KEY`, or a field of the point such as
            `content_hash`, `chunk_index` or `flags`. See docs/payload.md.
        match: `equals`, `any_of` (values), `prefix` (text), or `range` (gt, gte, lt, lte -> number or ISO 8601 date).
    """

    key: str
    match: Literal["equals", "any_of", "prefix", "range"]
    value: Any


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """All conditions must hold. Those on location fields must hold for one and the same location."""

    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One chunk in the answer to a query. Its locations, in the payload too, are only those that meet the filter."""

    point_id: str
    score: float
    text: str
    content_hash: str
    chunk_index: int
    locations: tuple[Location, ...]
    payload: Payload = field(repr=False)

    def to_metadata(self) -> Payload:
        """Return the payload without the text, with the fields of the first location and its metadata beside them.

        A field of ours wins over metadata of the same name, which is also in `metadata`.
        """
        first = self.locations[0]
        rest = {key: value for key, value in self.payload.items() if key != "text"}
        return {**first.metadata.to_json(), **rest, **first.to_payload()}


@dataclass(frozen=True, slots=True)
class GenerationManifest:
    """The description of a sealed generation. Stored beside its points, written last.

    Attributes:
        generation: its name, never used twice.
        base: the generation in production when it was staged. None for the first.
        fingerprint: the index fingerprint, as a flat mapping. See `rag_assets.fingerprint`.
        digest: hex, additive over the points. See `rag_assets.generations.digest`.
        documents_hash: hash of its documents, to check the record of them in the ledger.
        rejected: reason for failing its gate, "" if it did not fail.
        damaged: difference found between its points and its seal, "" if none was found.
        run_id: Dagster run of its staging, "" if unknown.
        probe: vectors of the probe texts, base64 of float32, "" from an earlier version. See
            `rag_assets.embedders.probe`.
        deletions: the deletions of the last hours that led to it, "" for none. See `rag_assets.changes.deletion_history`.
        metadata_kinds: kinds of the values of each metadata key, "" from an earlier version. See
            `rag_assets.document_metadata.kinds`.
        chunk_sizes: number of chunks by size, "" from an earlier version. See `rag_assets.generations.chunk_sizes`.
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
    damaged: str = ""
    format_version: int = 1
    probe: str = ""
    deletions: str = ""
    metadata_kinds: str = ""
    chunk_sizes: str = ""


@dataclass(frozen=True, slots=True)
class Readings:
    """The numbers of the readings of the sources. They alone decide which of two readings is later, never a clock.

    Attributes:
        last: number of the last reading begun. 0 before the first.
        counted: source -> number of its last reading that counted, by a promotion or a refresh without changes.
    """

    last: int = 0
    counted: Mapping[str, int] = field(default_factory=dict[str, int])
