"""Writing one candidate of the server store."""

import contextlib
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from rag_assets.backports import batched
from rag_assets.errors import GenerationDamaged, RefusedError, VectorStoreUnavailable
from rag_assets.records import GenerationManifest, Payload, Point
from rag_assets.text.wording import counted
from rag_assets.vector_stores.base import DENSE, SPARSE, ProgressCallback
from rag_assets.vector_stores.point_checks import check_payloads, check_point_ids, checked_points
from rag_assets.vector_stores.read_back import check_payloads_of, check_points
from rag_assets.vector_stores.reading import point_from
from rag_assets.vector_stores.server.aliases import Aliases
from rag_assets.vector_stores.server.check_values import CheckValues
from rag_assets.vector_stores.server.collections import Collections
from rag_assets.vector_stores.server.reader import ServerGenerationReader
from rag_assets.vector_stores.server.server_errors import Hiccup, server_errors
from rag_assets.vector_stores.write_checks import (
    check_base_dimensions,
    check_own_manifest,
    incomplete_copy,
    not_being_written,
    require_present,
)

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

T = TypeVar("T")

BATCH = 128
ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 60.0
_MOST_FIELDS = 100_000
"""Points with changed fields that are held in memory for the copy. Further ones are changed after it."""


class ServerGenerationWriter:
    """Writes one candidate into its own collection. See `GenerationWriter`."""

    def __init__(
        self,
        collections: Collections,
        aliases: Aliases,
        generation: str,
        dimensions: int,
        base: str | None,
        on_progress: ProgressCallback | None,
    ) -> None:
        self._collections = collections
        self._aliases = aliases
        self._generation = generation
        self._dimensions = dimensions
        self._base = base
        self._on_progress = on_progress
        self._begun = False
        self._open: tuple[QdrantClient, str] | None = None
        self._values = CheckValues(dimensions)
        self._batch = BATCH
        # The base, until it is copied, and what is known of the copy by then.
        self._source: ServerGenerationReader | None = None
        self._deleted: set[str] = set()
        self._fields: dict[str, Payload] = {}

    def __enter__(self) -> Self:
        if self._begun:
            raise RefusedError(
                f"the writer of generation {self._generation} was used before: a writer is used once"
            )
        reader = self._collections.open(self._base) if self._base is not None else None
        if reader is not None:
            check_base_dimensions(reader.generation, reader.dimensions, self._dimensions)
        self._aliases.bootstrap()
        self._collections.create(self._generation, self._dimensions)
        self._open = self._collections.client, self._collections.name_of(self._generation)
        self._batch = self._collections.limits(self._generation).batch(BATCH)
        self._begun = True
        self._source = reader
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._abandon()

    def upsert(self, points: Sequence[Point]) -> None:
        self._alive()
        vectors = checked_points(points, self._dimensions)
        self._copy_base()
        for first in range(0, len(points), self._batch):
            sent = points[first : first + self._batch]
            ids = [point.id for point in sent]
            self._values.subtract(self._read(ids))
            self._send(sent, vectors[first : first + self._batch])
            found = self._read(ids)
            with self._discarding():
                check_points(self._generation, sent, vectors[first : first + self._batch], found, exact=False)
            self._values.add(found)

    def delete(self, point_ids: Sequence[str]) -> None:
        from qdrant_client import models

        client, name = self._alive()
        check_point_ids(point_ids)
        if self._source is not None:
            self._deleted.update(point_ids)
            return
        for batch in batched(dict.fromkeys(point_ids), 1024):
            self._values.subtract(self._read(batch))
            selector = models.PointIdsList(points=list(batch))
            self._try("delete points", partial(client.delete, name, points_selector=selector, wait=True))

    def set_payload(self, payloads: Mapping[str, Payload]) -> None:
        from qdrant_client import models

        client, name = self._alive()
        check_payloads(payloads)
        if self._source is not None:
            self._keep_fields(self._source, payloads)
            return
        for batch in batched(payloads, BATCH):
            old = self._read(batch)
            there = {point.id: point.payload for point in old}
            require_present(batch, there, self._generation)
            # The server's own `set_payload` removes a field set to null.
            merged = {point_id: {**there[point_id], **payloads[point_id]} for point_id in batch}
            operations = [
                models.OverwritePayloadOperation(
                    overwrite_payload=models.SetPayload(payload=payload, points=[point_id])
                )
                for point_id, payload in merged.items()
            ]
            self._try(
                "write payloads",
                partial(client.batch_update_points, name, operations, wait=True),
            )
            with self._discarding():
                check_payloads_of(self._generation, merged, {point.id: point for point in self._read(batch)})
            self._values.replace_payloads(old, merged)

    def seal(self, manifest: GenerationManifest) -> None:
        self._alive()
        check_own_manifest(manifest, self._generation)
        try:
            self._copy_base()
            found = self._collections.count(self._generation)
            if found != manifest.points_count:
                raise GenerationDamaged(
                    f"generation {self._generation} has {counted(found, 'point')} but should have "
                    f"{manifest.points_count:,}. It was discarded: refresh again"
                )
            self._collections.wait_until_ready(self._generation)
            self._aliases.mark_sealed(self._generation)
            self._collections.finish(self._generation, manifest, self._values)
        except BaseException:
            self._abandon()
            raise
        self._open = None

    def _alive(self) -> tuple["QdrantClient", str]:
        if self._open is None:
            raise not_being_written(self._generation)
        return self._open

    def _abandon(self) -> None:
        self._open = None
        self._collections.drop(self._generation)

    def _keep_fields(self, source: ServerGenerationReader, payloads: Mapping[str, Payload]) -> None:
        for batch in batched(payloads, BATCH):
            there = {point.id: point.payload for point in source.retrieve(batch)}
            require_present(batch, there.keys() - self._deleted, self._generation)
            for point_id in batch:
                self._fields[point_id] = {**self._fields.get(point_id, {}), **payloads[point_id]}
        if len(self._fields) > _MOST_FIELDS:
            self._copy_base()

    def _copy_base(self) -> None:
        """Copy the base, without deleted points and with changed fields.

        A point that is deleted after it was written goes on counting in the document frequencies until the server cleans
        up, and so changes the ranking. So the copy waits for the deletions.
        """
        source, self._source = self._source, None
        if source is None:
            return
        try:
            self._copy(source)
        except BaseException:
            self._abandon()
            raise

    def _copy(self, source: ServerGenerationReader) -> None:
        total, done = source.count(), 0
        found = CheckValues(self._dimensions)
        for batch in source.scroll(batch_size=BATCH, with_vectors=True):
            found.add(batch)
            kept = [self._with_fields(point) for point in batch if point.id not in self._deleted]
            self._send(kept, [point.vector for point in kept if point.vector is not None])
            self._check_fields(kept)
            self._values.add(kept)
            done += len(batch)
            if self._on_progress is not None:
                self._on_progress(done, total)
        if done != total:
            raise incomplete_copy(self._base, done, total)
        sealed, _ = self._collections.check_values(source.generation)
        if sealed is not None and found.differing_groups(sealed):
            problem = (
                f"generation {source.generation} is damaged: while it was copied, points, payloads or vectors differed "
                "from what was sealed"
            )
            # The next refresh rebuilds instead of copying it.
            self._collections.mark_damaged(source.generation, problem)
            raise GenerationDamaged(problem)

    def _with_fields(self, point: Point) -> Point:
        fields = self._fields.get(point.id)
        return point if fields is None else replace(point, payload={**point.payload, **fields})

    def _check_fields(self, points: Sequence[Point]) -> None:
        """Read the points with changed fields back."""
        changed = {point.id: point.payload for point in points if point.id in self._fields}
        if changed:
            found = {point.id: point for point in self._read(list(changed))}
            check_payloads_of(self._generation, changed, found)

    def _read(self, point_ids: Sequence[str]) -> list[Point]:
        """Read points of the candidate, with their vectors."""
        client, name = self._alive()
        records = self._try(
            "read points",
            partial(client.retrieve, name, list(point_ids), with_payload=True, with_vectors=True),
        )
        return [point_from(record, with_vectors=True) for record in records]

    @contextlib.contextmanager
    def _discarding(self) -> Generator[None]:
        try:
            yield
        except GenerationDamaged:
            self._abandon()
            raise

    def _send(self, points: Sequence[Point], vectors: Any) -> None:
        from qdrant_client import models

        client, name = self._alive()
        for first in range(0, len(points), self._batch):
            batch: list[Any] = []
            for point, vector in zip(points[first : first + self._batch], vectors[first:], strict=False):
                named: dict[str, Any] = {DENSE: vector.tolist()}
                if point.sparse is not None and point.sparse.indices:
                    named[SPARSE] = models.SparseVector(
                        indices=list(point.sparse.indices), values=list(point.sparse.values)
                    )
                batch.append(models.PointStruct(id=point.id, vector=named, payload=point.payload))
            self._try("write points", partial(client.upsert, name, batch, wait=True))

    def _try(self, doing: str, call: Callable[[], T]) -> T:
        """Call the server. Retry after a hiccup: ids are deterministic, so a repetition has no effect.

        Discards the candidate if the call fails.
        """
        what = f"{doing} of generation {self._generation}"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with server_errors(self._collections.client, what, quote=False):
                    return call()
            except VectorStoreUnavailable as error:
                if attempt == ATTEMPTS or not isinstance(error, Hiccup):
                    self._abandon()
                    raise
                time.sleep(
                    min(
                        max(FIRST_PAUSE_SECONDS * 4 ** (attempt - 1), error.wait_seconds),
                        _LONGEST_WAIT_SECONDS,
                    )
                )
            except BaseException:
                self._abandon()
                raise
        raise AssertionError("unreachable")
