"""A vector store of dictionaries, for tests of the layers above a store. It records every change.

Payloads pass through JSON, as in a real store, and a search compares the query with every point.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np

from rag_assets.errors import (
    GenerationDamaged,
    HandleClosed,
    PromotionRefused,
    RefusedError,
    StaleInputError,
    SupersededError,
    VectorStoreUnavailable,
)
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
from rag_assets.vector_stores.base import Depth, ProgressCallback, RecordKind
from rag_assets.vector_stores.production_state import ProductionState
from rag_assets.vector_stores.promotion_rules import (
    check_exchanged,
    check_hold,
    check_readings,
    count_readings,
    expect_state,
    later_readings,
    next_reading,
    previous_of,
    rolled_back,
)


class InMemoryVectorStore:
    """See `rag_assets.vector_stores.base.VectorStore`.

    Attributes:
        calls: names of the changes, in order, with the generation.
        open_readers: readers not closed yet.
    """

    exact_vectors: bool = True

    def __init__(self) -> None:
        self.state = ProductionState()
        self.numbers = Readings()
        self.points: dict[str, dict[str, Point]] = {}
        self.manifests: dict[str, GenerationManifest] = {}
        self.reports: dict[str, str] = {}
        self.kept: dict[str, dict[str, str]] = {}
        self.calls: list[tuple[str, str]] = []
        self.open_readers: list[InMemoryReader] = []

    def knowledge_base_id(self, new: str = "") -> str:
        return "in-memory"

    def find_knowledge_base_id(self) -> str | None:
        return "in-memory"

    def set_aside_unreadable(self) -> str | None:
        return None

    def production_state(self) -> ProductionState:
        return self.state

    def begin_reading(self, above: int = 0) -> int:
        self.numbers = next_reading(self.numbers, above)
        return self.numbers.last

    def readings(self) -> Readings:
        return self.numbers

    def records(self, kind: RecordKind) -> dict[str, str]:
        return dict(self.kept.get(kind, {}))

    def put_records(self, kind: RecordKind, records: Mapping[str, str]) -> None:
        self.kept[kind] = self.kept.get(kind, {}) | dict(records)

    def generations(self) -> list[str]:
        return sorted(self.points)

    def manifest(self, generation: str) -> GenerationManifest | None:
        return self.manifests.get(generation)

    def write(
        self,
        generation: str,
        dimensions: int,
        base: str | None,
        on_progress: ProgressCallback | None = None,
    ) -> "InMemoryWriter":
        if generation in self.points:
            raise RefusedError(f"generation {generation} exists already")
        return InMemoryWriter(self, generation, dict(self.points[base]) if base else {})

    def read(self, generation: str) -> "InMemoryReader":
        if generation not in self.manifests:
            raise GenerationDamaged(f"generation {generation} does not exist or was never sealed")
        reader = InMemoryReader(self, generation)
        self.open_readers.append(reader)
        return reader

    def check_whole(self, generation: str) -> None:
        self.read(generation).close()

    def verify(self, generation: str, *, depth: Depth = "usual") -> bool:
        self.check_whole(generation)
        return False

    def mark_damaged(self, generation: str, problem: str) -> None:
        if generation in self.manifests:
            self.manifests[generation] = replace(self.manifests[generation], damaged=problem)

    def reject(self, generation: str, reason: str) -> None:
        self.calls.append(("reject", generation))
        if generation in self.manifests:
            self.manifests[generation] = replace(self.manifests[generation], rejected=reason)

    def record_report(self, generation: str, digest: str) -> None:
        if generation in self.manifests:
            self.reports[generation] = digest

    def report_digest(self, generation: str) -> str | None:
        return self.reports.get(generation)

    def add_missing_indexes(self, generation: str) -> tuple[str, ...]:
        return ()

    def discard(self, generation: str) -> None:
        if generation in (self.state.production, self.state.previous, self.state.held):
            raise RefusedError(f"generation {generation} is production, previous or held")
        self.calls.append(("discard", generation))
        self.vanish(generation)

    def vanish(self, generation: str) -> None:
        self.points.pop(generation, None)
        self.manifests.pop(generation, None)
        self.reports.pop(generation, None)

    def promote(
        self, generation: str, expected_production: str | None, readings: Mapping[str, int] | None = None
    ) -> ProductionState:
        check_hold(generation, self.state)
        if self.state.production != expected_production or generation not in self.points:
            raise SupersededError(f"production is {self.state.production}, no longer {expected_production}")
        manifest = self.manifests.get(generation)
        if manifest is None or manifest.rejected:
            raise PromotionRefused(f"generation {generation} is not sealed, or rejected")
        if readings is not None:
            check_readings(readings, self.numbers)
        self.numbers = count_readings(self.numbers, readings or {})
        if generation == self.state.production:
            return self.state
        self.calls.append(("promote", generation))
        self.state = ProductionState(generation, previous=self.state.production)
        return self.state

    def rollback(self, expected_production: str | None, *, by: str = "", reason: str = "") -> ProductionState:
        previous = previous_of(self.state, expected_production)
        self.state = rolled_back(self.state, previous, by, reason)
        return self.state

    def resume(self) -> ProductionState:
        self.state = replace(self.state, hold=None)
        return self.state

    def exchange(
        self, state: ProductionState, expected: ProductionState, readings: Readings | None = None
    ) -> ProductionState:
        expect_state(self.state, expected)
        check_exchanged(state, self.manifest)
        self.numbers = later_readings(self.numbers, readings)
        self.calls.append(("exchange", state.production or ""))
        self.state = state
        return self.state

    def close(self) -> None: ...


class InMemoryWriter:
    """See `GenerationWriter`."""

    def __init__(self, store: InMemoryVectorStore, generation: str, points: dict[str, Point]) -> None:
        self._store = store
        self._generation = generation
        self._points = points

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def upsert(self, points: Sequence[Point]) -> None:
        for point in points:
            self._points[point.id] = replace(point, payload=_through_json(point.payload))

    def delete(self, point_ids: Sequence[str]) -> None:
        for point_id in point_ids:
            self._points.pop(point_id, None)

    def set_payload(self, payloads: Mapping[str, Payload]) -> None:
        for point_id, fields in payloads.items():
            if point_id not in self._points:
                raise StaleInputError(f"point {point_id} is not there")
            point = self._points[point_id]
            self._points[point_id] = replace(point, payload=point.payload | _through_json(fields))

    def seal(self, manifest: GenerationManifest) -> None:
        if manifest.points_count != len(self._points):
            raise GenerationDamaged(f"holds {len(self._points)}, not {manifest.points_count}")
        self._store.calls.append(("seal", self._generation))
        self._store.points[self._generation] = self._points
        self._store.manifests[self._generation] = manifest


class InMemoryReader:
    """See `GenerationReader`."""

    def __init__(self, store: InMemoryVectorStore, generation: str) -> None:
        self.generation = generation
        self._store = store
        self._closed = False
        self._answers = True

    def close(self) -> None:
        self._closed = True
        if self in self._store.open_readers:
            self._store.open_readers.remove(self)

    def break_down(self) -> None:
        """Stop answering this reader."""
        self._answers = False

    def count(self) -> int:
        return len(self._points())

    def retrieve(self, point_ids: Sequence[str], *, with_vectors: bool = False) -> list[Point]:
        points = self._points()
        found = [points[point_id] for point_id in dict.fromkeys(point_ids) if point_id in points]
        return [_shown(point, with_vectors) for point in found]

    def scroll(
        self,
        batch_size: int = 512,
        *,
        search_filter: SearchFilter | None = None,
        with_vectors: bool = False,
    ) -> Iterator[list[Point]]:
        points = self._points()
        ids = sorted(points)
        for first in range(0, len(ids), batch_size):
            yield [_shown(points[point_id], with_vectors) for point_id in ids[first : first + batch_size]]

    def search(
        self,
        dense: Vector,
        sparse: SparseVector | None,
        limit: int,
        search_filter: SearchFilter | None = None,
        *,
        with_payload: bool = True,
    ) -> tuple[list[ScoredPoint], list[ScoredPoint]]:
        by_vector: list[ScoredPoint] = []
        by_words: list[ScoredPoint] = []
        for point in self._points().values():
            assert point.vector is not None
            by_vector.append(ScoredPoint(point.id, float(np.dot(dense, point.vector)), point.payload))
            if sparse is not None and point.sparse is not None:
                shared = set(sparse.indices) & set(point.sparse.indices)
                if shared:
                    by_words.append(ScoredPoint(point.id, float(len(shared)), point.payload))
        found = _best(by_vector, limit), _best(by_words, limit)
        if with_payload:
            return found
        without = ([replace(point, payload={}) for point in points] for points in found)
        return next(without), next(without)

    def _points(self) -> dict[str, Point]:
        if self._closed:
            raise HandleClosed(f"the reader of generation {self.generation} is closed")
        if not self._answers or self.generation not in self._store.manifests:
            raise VectorStoreUnavailable(f"generation {self.generation} does not answer")
        return self._store.points[self.generation]


def _best(found: list[ScoredPoint], limit: int) -> list[ScoredPoint]:
    return sorted(found, key=lambda point: (-point.score, point.id))[:limit]


def _shown(point: Point, with_vectors: bool) -> Point:
    payload = _through_json(point.payload)
    return replace(point, payload=payload) if with_vectors else Point(point.id, payload)


def _through_json(payload: Payload) -> Payload:
    shown: Payload = json.loads(json.dumps(payload))
    return shown
