"""What every vector store offers: immutable generations, and one of them in production.

A generation is written once, sealed, and from then on only read. The store knows which one serves
(production), which one served before (previous) and which one a rollback took out of service
(held); these three change together, atomically, or not at all.

Names of generations and collections are made of letters, digits, `-`, `_` and `.`, begin with a letter or
digit, and hold no `--`. A name is used once: `write` refuses one that exists. Point ids are UUIDs in
canonical text form. Dense vectors and sparse weights are kept as float32; a sparse vector without indices
comes back as it was sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from rag_assets.records import (
    GenerationManifest,
    Payload,
    Point,
    ProductionState,
    ScoredPoint,
    SearchFilter,
    SparseVector,
    Vector,
)

DENSE = "dense"
SPARSE = "bm25"

KEYWORD_FIELDS = ("content_hash", "embedding_model", "flags", "heading_path", "refresh_id")
"""Payload fields of a point that are filtered as keywords."""
INTEGER_FIELDS = ("chunk_index", "total_chunks", "token_count")
"""Payload fields of a point that are filtered as integers."""
DATETIME_FIELDS = ("indexed_at",)
"""Payload fields of a point that are filtered as dates."""
LOCATION_KEYWORD_FIELDS = ("document_id", "source", "source_uri", "path", "filename", "title", "access")
"""Fields of `locations[]` that are filtered as keywords, by prefix too."""
LOCATION_DATETIME_FIELDS = ("modified_at",)
"""Fields of `locations[]` that are filtered as dates."""


class GenerationWriter(Protocol):
    """Writes one candidate. Leaving the `with` block without `seal` discards it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points with vectors; every point's vector and sparse vector must be present.

        Everything is checked before anything is sent. An id may stand once in a call.

        Raises:
            InvalidVectorError: a vector that must not be stored, an id that is no UUID, or a payload that is
                not JSON. Nothing of this call was written.
        """
        ...

    def delete(self, point_ids: Sequence[str]) -> None:
        """Delete points; ids that are not there are ignored."""
        ...

    def set_payload(self, payloads: Mapping[str, Payload]) -> None:
        """Set the given fields of the payload of each point (id -> fields); other fields stay.

        A field set to None is stored as null, as `upsert` would.

        Raises:
            StaleInputError: a point is not there: the changes were made for another base.
        """
        ...

    def seal(self, manifest: GenerationManifest) -> None:
        """Make everything durable, then the manifest, last. Nothing can be written after it.

        Raises:
            GenerationDamaged: the store holds another number of points than `manifest.points_count`.
            VectorStoreUnavailable, DiskUnusable: the points could not be made durable.

        After any of them the candidate is discarded.
        """
        ...


class GenerationReader(Protocol):
    """Reads one sealed generation. Safe to keep open while the generation is discarded."""

    generation: str

    def close(self) -> None: ...

    def count(self) -> int:
        """Return the exact number of points."""
        ...

    def retrieve(self, point_ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
        """Return the points among these ids that exist, in any order."""
        ...

    def scroll(self, batch_size: int = 512, *, with_vectors: bool = False) -> Iterator[list[Point]]:
        """Yield every point once, in batches, in ascending id order."""
        ...

    def search(
        self,
        dense: Vector,
        sparse: SparseVector | None,
        limit: int,
        search_filter: SearchFilter | None = None,
        *,
        with_payload: bool = True,
    ) -> tuple[list[ScoredPoint], list[ScoredPoint]]:
        """Return the nearest points by cosine similarity and by BM25, best first, ties by id.

        Both lists come from one request. `sparse` None, or empty, gives an empty second list.
        Without payloads, which are most of the work, those of the few that are wanted can be had by `retrieve`.

        Raises:
            VectorStoreUnavailable: the generation is gone, or the store does not answer.
        """
        ...


class VectorStore(Protocol):
    """A family of generations of one knowledge base."""

    exact_vectors: bool
    """Whether a unit vector is read back bit for bit as it was sent."""

    def knowledge_base_id(self) -> str:
        """Return the id that was drawn when this knowledge base was first written, made now if need be."""
        ...

    def find_knowledge_base_id(self) -> str | None:
        """Return the id if it was drawn already; changes nothing."""
        ...

    def set_aside_unreadable(self) -> str | None:
        """Make room for a new beginning where the pointer to production cannot be read. Deletes nothing.

        Returns:
            Where the old state is kept now; None if all can be read. A server is never moved: what cannot be
            read there may be somebody else's, and raises when it is used.
        """
        ...

    def production_state(self) -> ProductionState: ...

    def generations(self) -> list[str]:
        """Return the names of all generations and of unsealed leftovers, sorted."""
        ...

    def manifest(self, generation: str) -> GenerationManifest | None:
        """Return the manifest; None if the generation does not exist or was never sealed.

        Raises:
            StateFormatError: it was written by a version that this one cannot read.
        """
        ...

    def write(
        self,
        generation: str,
        dimensions: int,
        base: str | None,
        on_progress: "ProgressCallback | None" = None,
    ) -> AbstractContextManager[GenerationWriter]:
        """Begin a candidate: a copy of `base` (same model, same dimensions), or empty if that is None.

        The work begins when the `with` block is entered. `on_progress` counts points of the base copied.

        Raises:
            GenerationDamaged: `base` is gone, or does not hold what was sealed.
            VectorStoreUnavailable: the store does not answer.
            DiskUnusable: too little space is free.
            RefusedError: the generation exists already.
            ConfigurationError: the name cannot be used, or `base` has other dimensions.
        """
        ...

    def read(self, generation: str) -> GenerationReader:
        """Open a sealed generation.

        Raises:
            GenerationDamaged: it does not exist, is not sealed, or is not whole.
            StateFormatError: it was written by a version that this one cannot read.
        """
        ...

    def check_whole(self, generation: str) -> None:
        """See that `read` would open a generation, without opening it; raises as `read`."""
        ...

    def reject(self, generation: str, reason: str) -> None:
        """Record in the manifest that the generation failed its gate. It can never be promoted.

        No error if it is gone or was never sealed: then it cannot be promoted either. What already serves
        goes on serving, and a rollback may return to it.
        """
        ...

    def discard(self, generation: str) -> None:
        """Delete a generation, and leftovers of its name; no error if it is not there.

        Raises:
            RefusedError: it is production, previous or held.
        """
        ...

    def promote(
        self, generation: str, expected_production: str | None, *, lift_hold: bool = False
    ) -> ProductionState:
        """Put a sealed generation into production, atomically, if production is still as expected.

        The old production becomes previous. Whether a hold permits a promotion is decided by the caller, who
        passes `lift_hold` if it does; the store refuses otherwise, so that a rollback between the caller's
        look and this call still holds. Promoting what serves already changes nothing.

        Raises:
            SupersededError: production has moved on, or the candidate is gone. Nothing was changed.
            PromotionRefused: the generation is not sealed, or rejected, or a hold stands.
            GenerationDamaged: it is incomplete.
            VectorStoreUnavailable: the store does not answer.
        """
        ...

    def rollback(self, expected_production: str | None) -> ProductionState:
        """Put `previous` back into production and hold it there: held becomes the old production.

        Afterwards there is no previous generation.

        Raises:
            RefusedError: there is no previous generation.
            SupersededError: production has moved on.
        """
        ...

    def resume(self) -> ProductionState:
        """Lift the hold, if there is one."""
        ...

    def close(self) -> None: ...


class ProgressCallback(Protocol):
    """Called now and then during long work."""

    def __call__(self, done: int, total: int) -> None: ...
