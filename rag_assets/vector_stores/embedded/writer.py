"""Writing one candidate of the embedded store."""

import contextlib
import os
import shutil
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from rag_assets.backports import batched
from rag_assets.disk.durability import fsync_tree
from rag_assets.disk.sparse_copy import allocated_bytes, copy_sparse
from rag_assets.disk.state_files import FORMAT_VERSION, disk_errors, require_free_space, write_json
from rag_assets.document_metadata.policy import MetadataIndexes
from rag_assets.errors import GenerationDamaged, HandleClosed, RefusedError
from rag_assets.records import GenerationManifest, Payload, Point, Vector
from rag_assets.text.wording import counted
from rag_assets.vector_stores.base import ProgressCallback
from rag_assets.vector_stores.embedded.engine import (
    count_points,
    create_metadata_indexes,
    create_shard,
    engine_errors,
    engine_points,
    is_as_sent,
    load_shard,
)
from rag_assets.vector_stores.embedded.folders import GenerationFolders
from rag_assets.vector_stores.embedded.reader import EmbeddedGenerationReader
from rag_assets.vector_stores.embedded.seal_comparison import (
    check_files,
    check_hashes,
    file_hashes,
    file_sizes,
)
from rag_assets.vector_stores.manifest_format import manifest_to_json
from rag_assets.vector_stores.point_checks import check_payloads, check_point_ids, checked_points
from rag_assets.vector_stores.read_back import check_payloads_of, check_points
from rag_assets.vector_stores.reading import point_from
from rag_assets.vector_stores.write_checks import (
    check_base_dimensions,
    check_own_manifest,
    incomplete_copy,
    not_being_written,
    require_present,
)

if TYPE_CHECKING:
    import qdrant_edge

UPSERT_BATCH = 128
REBUILD_MIN_TOMBSTONES = 1000
REBUILD_TOMBSTONE_SHARE = 0.25
"""A base with more deleted slots than both limits is read into a new shard instead of being copied."""
FREE_BYTES_TO_BEGIN = 256 * 2**20
FREE_BYTES_TO_GO_ON = 64 * 2**20
COPY_HEADROOM = 1.2


class EmbeddedGenerationWriter:
    """Writes one candidate into a folder unknown to others. See `GenerationWriter`."""

    def __init__(
        self,
        folders: GenerationFolders,
        generation: str,
        dimensions: int,
        base: str | None,
        on_progress: ProgressCallback | None,
        metadata_indexes: MetadataIndexes,
    ) -> None:
        self._folders = folders
        self._metadata_indexes = metadata_indexes
        self._generation = generation
        self._dimensions = dimensions
        self._base = base
        self._on_progress = on_progress
        self._staging: Path | None = None
        self._shard: qdrant_edge.EdgeShard | None = None
        self._pid = 0
        self._tombstones = 0

    def __enter__(self) -> Self:
        if self._staging is not None:
            raise RefusedError(
                f"the writer of generation {self._generation} was used before: a writer is used once"
            )
        base = self._folders.complete(self._base) if self._base is not None else None
        if base is not None:
            check_base_dimensions(base[0].name, base[1]["dimensions"], self._dimensions)
        self._pid = os.getpid()
        self._staging = self._folders.begin_staging(self._generation)
        try:
            with disk_errors(self._staging):
                require_free_space(self._staging, FREE_BYTES_TO_BEGIN)
                if base is None:
                    self._shard = self._fresh()
                elif is_worn(base[1]):
                    self._shard = self._rebuilt_from(*base)
                else:
                    self._shard = self._copied_from(*base)
                self._report(base[1]["points"] if base else 0, base[1]["points"] if base else 0)
        except BaseException:
            self._abandon()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._abandon()

    def upsert(self, points: Sequence[Point]) -> None:
        shard = self._alive()
        vectors = checked_points(points, self._dimensions)
        with self._engine("write points"):
            self._send(shard, points, vectors)

    def delete(self, point_ids: Sequence[str]) -> None:
        import qdrant_edge as edge

        shard = self._alive()
        check_point_ids(point_ids)
        with self._engine("delete points"):
            for batch in batched(dict.fromkeys(point_ids), 1024):
                there = [str(record.id) for record in shard.retrieve(list(batch), False, False)]
                if there:
                    shard.update(edge.UpdateOperation.delete_points(list(there)))
                # A deleted point leaves its slot empty, a rewritten one reuses it.
                self._tombstones += len(there)

    def set_payload(self, payloads: Mapping[str, Payload]) -> None:
        import qdrant_edge as edge

        shard = self._alive()
        check_payloads(payloads)
        for batch in batched(payloads, 512):
            with self._engine("read points"):
                there = {
                    str(record.id): record.payload or {}
                    for record in shard.retrieve(list(batch), True, False)
                }
            require_present(batch, there, self._generation)
            with self._engine("write payloads"):
                self._require_space()
                # The engine's own `set_payload` removes a field set to null.
                merged = {point_id: {**there[point_id], **payloads[point_id]} for point_id in batch}
                for point_id, payload in merged.items():
                    shard.update(edge.UpdateOperation.overwrite_payload([point_id], payload))
                records = shard.retrieve(list(batch), True, False)
                found = (point_from(record, with_vectors=False) for record in records)
                check_payloads_of(self._generation, merged, {point.id: point for point in found})

    def seal(self, manifest: GenerationManifest) -> None:
        shard = self._alive()
        check_own_manifest(manifest, self._generation)
        staging = self._staging
        assert staging is not None  # noqa: S101 - checked by `_alive`
        with self._engine("make the points durable"):
            self._require_space()
            shard.flush()
            counts = [count_points(shard)]
            shard.close()
            self._shard = None
            # The count for readers, not the one in the writer's memory.
            shard = load_shard(staging / "shard")
            counts.append(count_points(shard))
            shard.close()
        if counts != [manifest.points_count] * 2:
            self._abandon()
            raise GenerationDamaged(
                f"generation {self._generation} has {counted(counts[0], 'point')}, {counts[1]:,} after opening it "
                f"again, but should have {manifest.points_count:,}. It was discarded: refresh again"
            )
        try:
            with disk_errors(staging):
                with ThreadPoolExecutor(1) as beside:
                    durable = beside.submit(fsync_tree, staging / "shard")
                    hashes = file_hashes(staging / "shard")  # while the disk is busy
                    durable.result()
                write_json(
                    staging / "manifest.json",
                    {
                        "format_version": FORMAT_VERSION,
                        "manifest": manifest_to_json(manifest),
                        "points": counts[0],
                        "dimensions": self._dimensions,
                        "tombstones": self._tombstones,
                        "files": file_sizes(staging / "shard"),
                        "hashes": hashes,
                    },
                )
                self._folders.publish(staging, self._generation)
        except BaseException:
            self._abandon()
            raise

    def _alive(self) -> "qdrant_edge.EdgeShard":
        if self._shard is None:
            raise not_being_written(self._generation)
        if self._pid != os.getpid():
            raise HandleClosed(
                f"generation {self._generation} is written by process {self._pid}: a writer cannot be used after a fork"
            )
        return self._shard

    @contextlib.contextmanager
    def _engine(self, doing: str) -> Generator[None]:
        """Discard the candidate after any error of the engine: the effects of the failed call are unknown."""
        try:
            with engine_errors(f"cannot {doing} of generation {self._generation}"):
                yield
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        shard, self._shard = self._shard, None
        if self._pid != os.getpid():
            return
        if shard is not None:
            with contextlib.suppress(Exception):
                shard.close()
        if self._staging is not None:
            shutil.rmtree(self._staging, ignore_errors=True)

    def _require_space(self) -> None:
        if self._staging is not None:
            require_free_space(self._staging, FREE_BYTES_TO_GO_ON)

    def _report(self, done: int, total: int) -> None:
        if self._on_progress is not None and total:
            self._on_progress(done, total)

    def _send(
        self, shard: "qdrant_edge.EdgeShard", points: Sequence[Point], vectors: Iterable[Vector]
    ) -> None:
        import qdrant_edge as edge

        rows = list(vectors)
        for first in range(0, len(points), UPSERT_BATCH):
            self._require_space()
            batch, vectors_sent = points[first : first + UPSERT_BATCH], rows[first : first + UPSERT_BATCH]
            lists = [vector.tolist() for vector in vectors_sent]
            shard.update(edge.UpdateOperation.upsert_points(engine_points(batch, lists)))
            self._read_back(shard, batch, vectors_sent, lists)

    def _read_back(
        self,
        shard: "qdrant_edge.EdgeShard",
        sent: Sequence[Point],
        vectors: Sequence[Vector],
        lists: Sequence[list[float]],
    ) -> None:
        stored = {str(record.id): record for record in shard.retrieve([p.id for p in sent], True, True)}
        # Comparing lists takes half the time of making arrays, and nearly every point is stored exactly as sent.
        other = [
            (point, vector)
            for point, vector, row in zip(sent, vectors, lists, strict=True)
            if not is_as_sent(stored.get(point.id), point, row)
        ]
        if other:
            points = [point for point, _ in other]
            found = (
                point_from(stored[point.id], with_vectors=True) for point in points if point.id in stored
            )
            check_points(
                self._generation, points, np.stack([vector for _, vector in other]), found, exact=True
            )

    def _fresh(self) -> "qdrant_edge.EdgeShard":
        assert self._staging is not None  # noqa: S101 - set by `__enter__`
        folder = self._staging / "shard"
        folder.mkdir(mode=0o700)
        with engine_errors(f"cannot begin generation {self._generation}"):
            return create_shard(folder, self._dimensions, self._metadata_indexes)

    def _copied_from(self, base: Path, stored: dict[str, Any]) -> "qdrant_edge.EdgeShard":
        assert self._staging is not None  # noqa: S101 - set by `__enter__`
        source, target = base / "shard", self._staging / "shard"
        points: int = stored["points"]
        sizes = {name: (source / name).stat().st_blocks * 512 for name in stored["files"]}
        total = sum(sizes.values())
        require_free_space(self._staging, int(total * COPY_HEADROOM) + FREE_BYTES_TO_BEGIN)
        target.mkdir(mode=0o700)
        done, reported = 0, 0
        # Only the sealed files: a reader opening the base at this moment may leave a temporary one there.
        for name, size in sizes.items():
            (target / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            copy_sparse(source / name, target / name)
            done += size
            if done - reported > 64 * 2**20:
                reported = done
                self._report(min(points, points * done // max(total, 1)), points)
        check_files(target, stored["files"])
        if stored.get("hashes") is not None:
            # The hashes of the copy prove the base too, and are read from memory.
            with self._damage_marked():
                check_hashes(target, stored["hashes"], base.name)
        self._tombstones = stored["tombstones"]
        with engine_errors(f"cannot open the copy of generation {self._base}"):
            shard = load_shard(target)
            self._require_points(count_points(shard), points)
            create_metadata_indexes(shard, self._metadata_indexes)
        return shard

    def _rebuilt_from(self, base: Path, stored: dict[str, Any]) -> "qdrant_edge.EdgeShard":
        points: int = stored["points"]
        require_free_space(base, int(allocated_bytes(base) * COPY_HEADROOM) + FREE_BYTES_TO_BEGIN)
        with self._damage_marked():
            self._folders.verify(base.name)
        shard = self._fresh()
        reader = EmbeddedGenerationReader(base.name, base, points, self._dimensions)
        done = 0
        try:
            for batch in reader.scroll(batch_size=1024, with_vectors=True):
                with engine_errors(f"cannot copy generation {self._base}"):
                    self._send(shard, batch, [p.vector for p in batch if p.vector is not None])
                done += len(batch)
                self._report(done, points)
            self._require_points(count_points(shard), points)
        finally:
            reader.close()
        return shard

    @contextlib.contextmanager
    def _damage_marked(self) -> Generator[None]:
        """Record damage of the base, so that the next refresh rebuilds instead of copying it."""
        try:
            yield
        except GenerationDamaged as error:
            if self._base is not None:
                self._folders.mark_damaged(self._base, str(error))
            raise

    def _require_points(self, found: int, expected: int) -> None:
        if found != expected:
            raise incomplete_copy(self._base, found, expected)


def is_worn(stored: dict[str, Any]) -> bool:
    """Return whether too many slots are deleted for a copy to be worthwhile."""
    return stored["tombstones"] > max(REBUILD_MIN_TOMBSTONES, REBUILD_TOMBSTONE_SHARE * stored["points"])
