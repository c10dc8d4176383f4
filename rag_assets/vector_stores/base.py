"""The interface of every vector store: immutable generations, and one of them in production.

A generation is written once, sealed, and from then on only read. The store records the generation in production,
the previous one, and the one taken out of service by a rollback (held). These three change together, atomically, or
not at all.

Names of generations and collections consist of letters, digits, `-`, `_` and `.`, begin with a letter or digit, and
contain no `--`. A name is used once: `write` refuses an existing one. Point ids are UUIDs in canonical text form.
Dense vectors and sparse weights are kept as float32. A sparse vector without indices is read back as it was sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, Protocol, Self, runtime_checkable

from rag_assets.records import (
    GenerationManifest,
    Payload,
    Point,
    Readings,
    ScoredPoint,
    SearchFilter,
    SparseVector,
    Vector,
)
from rag_assets.vector_stores.production_state import ProductionState

DENSE = "dense"
SPARSE = "bm25"

RecordKind = Literal["purged", "measured", "accepted"]
"""Purged documents, measurements to compare with, and accepted deletions of expected documents."""

Depth = Literal["quick", "usual", "every point"]
"""Share of a generation compared by `VectorStore.verify`."""


class GenerationWriter(Protocol):
    """Writes one candidate. Leaving the `with` block without `seal` discards it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points, each with its dense and its sparse vector.

        Everything is checked before anything is sent, and read back afterwards. An id may occur only once per call.

        Raises:
            GenerationDamaged: the store holds something else than was sent. The candidate is discarded.
            InvalidVectorError: an unusable vector, an id other than a UUID, or a payload other than JSON. Nothing of
                this call was written.
        """
        ...

    def delete(self, point_ids: Sequence[str]) -> None:
        """Delete points. Unknown ids are ignored."""
        ...

    def set_payload(self, payloads: Mapping[str, Payload]) -> None:
        """Set the given fields in the payload of each point (id -> fields). Other fields are unchanged.

        A field set to None is stored as null, as in `upsert`.

        Raises:
            StaleInputError: a point does not exist: the changes were made for another base.
            GenerationDamaged: as in `upsert`.
        """
        ...

    def seal(self, manifest: GenerationManifest) -> None:
        """Make the points durable, then write the manifest. Afterwards the writer refuses every call.

        Raises:
            GenerationDamaged: the number of stored points differs from `manifest.points_count`.
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
        """Return the existing points among these ids, in any order."""
        ...

    def scroll(
        self,
        batch_size: int = 512,
        *,
        search_filter: SearchFilter | None = None,
        with_vectors: bool = False,
    ) -> Iterator[list[Point]]:
        """Yield every point that meets the filter once, in batches, in ascending id order."""
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

        Both lists come from one request. Without `sparse`, or with an empty one, the second list is empty.
        Payloads are most of the work: search without them, then `retrieve` those of the few points needed.

        Raises:
            VectorStoreUnavailable: the generation was deleted, or the store does not answer.
        """
        ...


class VectorStore(Protocol):
    """A family of generations of one knowledge base."""

    exact_vectors: bool
    """Whether a unit vector is read back bit for bit."""

    def knowledge_base_id(self, new: str = "") -> str:
        """Return the random id of this knowledge base. The first call creates and stores it.

        Args:
            new: the id to create instead of a random one. An existing id stays.
        """
        ...

    def find_knowledge_base_id(self) -> str | None:
        """Return the id, None if it was not created yet. Changes nothing."""
        ...

    def set_aside_unreadable(self) -> str | None:
        """Move unreadable state out of the way, so that a refresh can rebuild. Deletes nothing.

        Returns:
            The new path of the old state. None if everything is readable. State on a server is never moved, because
            it may belong to another program. Using it raises an error.
        """
        ...

    def production_state(self) -> ProductionState: ...

    def begin_reading(self, above: int = 0) -> int:
        """Return the number of a new reading of the sources, higher than that of all earlier ones.

        Args:
            above: the highest number known outside the store, which may be an empty one in place of another.

        Raises:
            VectorStoreUnavailable, DiskUnusable: the number could not be stored.
        """
        ...

    def readings(self) -> Readings: ...

    def records(self, kind: RecordKind) -> dict[str, str]:
        """Return key -> text of all records of one kind.

        Raises:
            StateFormatError: they are damaged, or written by a version with another format.
            VectorStoreUnavailable: the store does not answer.
        """
        ...

    def put_records(self, kind: RecordKind, records: Mapping[str, str]) -> None:
        """Keep records durably, as long as the id of the knowledge base. They outlive generations.

        Args:
            records: key of letters and digits -> text. It replaces an earlier one of this key. A store cannot delete one.

        Raises:
            VectorStoreUnavailable, DiskUnusable: they could not be stored.
        """
        ...

    def generations(self) -> list[str]:
        """Return the names of all generations and of unsealed leftovers, sorted."""
        ...

    def manifest(self, generation: str) -> GenerationManifest | None:
        """Return the manifest, None if the generation does not exist or was never sealed.

        Raises:
            StateFormatError: it was written by a version with another format.
        """
        ...

    def write(
        self,
        generation: str,
        dimensions: int,
        base: str | None,
        on_progress: "ProgressCallback | None" = None,
    ) -> AbstractContextManager[GenerationWriter]:
        """Begin a candidate: a copy of `base` (same model, same dimensions), or an empty one without a base.

        The work begins on entering the `with` block. `on_progress` counts the copied points of the base. A store may
        copy it later, with the first new point or when it is sealed, and without what was deleted until then.

        Raises:
            GenerationDamaged: `base` does not exist, or does not hold the points it was sealed with.
            VectorStoreUnavailable: the store does not answer.
            DiskUnusable: too little space is free.
            RefusedError: the generation exists already.
            ConfigurationError: the name is unusable, or `base` has other dimensions.
        """
        ...

    def read(self, generation: str) -> GenerationReader:
        """Open a sealed generation.

        Raises:
            GenerationDamaged: it does not exist, is not sealed, or is incomplete.
            StateFormatError: it was written by a version with another format.
        """
        ...

    def check_whole(self, generation: str) -> None:
        """Check that `read` can open a generation. Raises the errors of `read`."""
        ...

    def verify(self, generation: str, *, depth: Depth = "usual") -> bool:
        """Compare a sealed generation with the record made when it was sealed.

        The embedded store compares the hash of every file, at every depth. A server compares points, payloads and
        vectors. `usual`: all up to 20,000, above those added by its refresh and a random 5,000. `quick`: a random 500.

        Returns:
            False if an earlier version sealed it, without such a record. Compare its points with the digest.

        Raises:
            GenerationDamaged: it differs, it does not exist, or it is not sealed.
            StateFormatError: it was written by a version with another format.
            VectorStoreUnavailable: the store does not answer.
        """
        ...

    def mark_damaged(self, generation: str, problem: str) -> None:
        """Record in the manifest that the generation differs from its seal. Then it is neither promoted nor copied.

        Does nothing if it does not exist, was never sealed, or its manifest cannot be read.
        """
        ...

    def reject(self, generation: str, reason: str) -> None:
        """Record in the manifest that the generation failed its gate. It can never be promoted.

        Does nothing if it does not exist or was never sealed: then it cannot be promoted either. A rejected
        generation in production stays there, and a rollback may return to it.
        """
        ...

    def record_report(self, generation: str, digest: str) -> None:
        """Keep the digest of the last report on a generation, beside its seal. The seal stays as it is.

        Does nothing if the generation does not exist or was never sealed.
        """
        ...

    def report_digest(self, generation: str) -> str | None:
        """Return the digest of the last report on a generation, or None if there is none, or it cannot be read."""
        ...

    def discard(self, generation: str) -> None:
        """Delete a generation and leftovers of its name. Does nothing if there are none.

        Raises:
            RefusedError: it is production, previous or held.
        """
        ...

    def promote(
        self, generation: str, expected_production: str | None, readings: Mapping[str, int] | None = None
    ) -> ProductionState:
        """Put a sealed generation into production, atomically, if production is still as expected.

        The old production becomes previous. During a hold the store refuses. Promoting the generation in production
        changes nothing, but its readings count.

        Args:
            readings: source -> number of the reading behind the candidate. They are checked and counted together with
                the switch. Empty for a reading without a number, older than all others. None: no check.

        Raises:
            SupersededError: production has changed, the candidate was deleted, or a source was read before a reading
                that counted. Nothing was changed.
            ProductionHeld: a person holds production.
            PromotionRefused: the generation is not sealed, or rejected.
            GenerationDamaged: it is incomplete.
            VectorStoreUnavailable: the store does not answer.
        """
        ...

    def rollback(self, expected_production: str | None, *, by: str = "", reason: str = "") -> ProductionState:
        """Put the previous generation back into production and hold it there. The old production becomes held.

        The hold stands until `resume`, even if the held generation is deleted by hand.
        Afterwards there is no previous generation.

        Args:
            by: name of the person, stored with the hold and the time.
            reason: stored too.

        Raises:
            RefusedError: there is no previous generation, or production is held already.
            SupersededError: production has changed.
        """
        ...

    def resume(self) -> ProductionState:
        """Lift the hold, if there is one."""
        ...

    def exchange(
        self, state: ProductionState, expected: ProductionState, readings: Readings | None = None
    ) -> ProductionState:
        """Replace production, previous and hold together, atomically, if they are still as expected.

        For a restore and a purge: a hold neither stops it nor ends by it, unless the new state says so.

        Args:
            state: its generations must be sealed. Only the held one may be missing, as after a deletion by hand.
            readings: counted together with the exchange, as by `promote`. A reading in progress with a lower number
                is older than the exchange, and its candidate cannot be promoted.

        Raises:
            SupersededError: the state has changed, or a generation was deleted. Nothing was changed.
            GenerationDamaged: a generation is incomplete or marked as damaged.
            VectorStoreUnavailable: the store does not answer.
        """
        ...

    def add_missing_indexes(self, generation: str) -> tuple[str, ...]:
        """Create the payload indexes that a generation lacks, for keys named since it was written.

        Points, payloads and vectors stay as they were sealed. The embedded store creates none: it scans fields without
        an index, and its sealed files never change.

        Returns:
            The fields with a new index.

        Raises:
            VectorStoreUnavailable: the store does not answer.
        """
        ...

    def close(self) -> None: ...


class ProgressCallback(Protocol):
    """Called at intervals during long work."""

    def __call__(self, done: int, total: int) -> None: ...


@runtime_checkable
class KeepsSnapshots(Protocol):
    """A store with snapshots of generations, which outlive them."""

    def remove_snapshots(self, generations: Sequence[str]) -> list[str]:
        """Delete all snapshots of these generations. Return the snapshots that may hold them and stay, as clauses.

        Raises:
            VectorStoreUnavailable: the store does not answer.
        """
        ...


@runtime_checkable
class DescribesServer(Protocol):
    """A store on a server."""

    def describe_server(self) -> list[str]:
        """Return what a person has to know of the server: version, nodes, copies, limits, and what will not do.

        Raises:
            ConfigurationError, VectorStoreUnavailable: the server does not answer.
        """
        ...
