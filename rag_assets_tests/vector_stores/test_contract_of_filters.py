"""The contract of every store: filters."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_assets.errors import (
    ConfigurationError,
)
from rag_assets.records import Condition, SearchFilter, SparseVector
from rag_assets.vector_stores.base import GenerationReader, VectorStore
from rag_assets_tests.vector_stores.conftest import ALL_INDEXES, Backend, open_backend
from rag_assets_tests.vector_stores.samples import (
    DIMENSIONS,
    location,
    manifest,
    point,
    point_id,
    stage,
    unit_vector,
)

LOCATIONS = {
    1: [
        location(
            1, source="wiki", path="hr/leave.md", access=["staff"], modified_at="2026-01-01T00:00:00+00:00"
        )
    ],
    2: [
        location(2, source="files", path="hr/leave.pdf", access=["board"], modified_at="2026-03-01T00:00:00Z")
    ],
    3: [
        location(3, source="wiki", path="legal/terms.md", access=None, modified_at=None),
        location(
            3,
            source="files",
            path="hr/terms.pdf",
            access=["staff", "board"],
            modified_at="2026-06-01T10:00:00+02:00",
        ),
    ],
    4: [location(4, source="wiki", path="hr_old/leave.md", filename="leave.md", title="Urlaub für Eltern")],
    5: [],
}


@pytest.fixture(params=ALL_INDEXES)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with open_backend(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module", params=ALL_INDEXES)
def placed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GenerationReader]:
    """Five points in `LOCATIONS`, written once for all filters, because filters only read."""
    with open_backend(request.param, tmp_path_factory.mktemp("placed")) as backend:
        store = backend.open()
        stage(store, "g1", [point(n, locations=LOCATIONS[n]) for n in LOCATIONS])
        reader = store.read("g1")
        yield reader
        reader.close()


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([("source", "equals", "wiki")], {1, 3, 4}),
        ([("source", "equals", "nowhere")], set()),
        ([("source", "any_of", ["wiki", "files"])], {1, 2, 3, 4}),
        ([("source", "any_of", [])], set()),
        ([("path", "prefix", "hr/")], {1, 2, 3}),
        ([("title", "equals", "Urlaub fu\u0308r Eltern")], {4}),
        ([("title", "any_of", ["Urlaub fu\u0308r Eltern"])], {4}),
        ([("title", "prefix", "Urlaub fu\u0308r")], {4}),
        ([("source", "equals", "wiki"), ("title", "prefix", "Urlaub fu\u0308r")], {4}),
        ([("path", "prefix", "hr")], {1, 2, 3, 4}),
        ([("path", "equals", "hr")], set()),
        ([("path", "prefix", "")], {1, 2, 3, 4}),
        ([("title", "equals", "Urlaub für Eltern")], {4}),
        ([("filename", "any_of", ["leave.md"])], {4}),
        ([("access", "any_of", ["staff"])], {1, 3}),
        ([("access", "equals", "board")], {2, 3}),
        # One point has a wiki location and a location under hr/, but they are two.
        ([("source", "equals", "wiki"), ("path", "prefix", "hr/")], {1}),
        ([("source", "equals", "files"), ("path", "prefix", "hr/")], {2, 3}),
        ([("source", "equals", "wiki"), ("access", "any_of", ["staff"])], {1}),
        ([("source", "equals", "files"), ("access", "any_of", ["staff"]), ("path", "prefix", "hr/")], {3}),
        ([("source", "equals", "wiki"), ("source", "equals", "files")], set()),
        ([("modified_at", "range", {"gte": "2026-03-01"})], {2, 3}),
        ([("modified_at", "range", {"gt": "2026-03-01T00:00:00Z"})], {3}),
        ([("modified_at", "range", {"gte": "2026-01-01T00:00:00+00:00", "lt": "2026-02-01"})], {1, 4}),
        ([("modified_at", "range", {"lte": "2026-06-01T08:00:00Z"})], {1, 2, 3, 4}),
        ([("modified_at", "range", {"lt": "2026-06-01T08:00:00Z"})], {1, 2, 4}),
        ([("modified_at", "range", {"gte": "2026-03-01"}), ("source", "equals", "wiki")], set()),
        # The engine looks at one of two lower or two upper bounds only.
        ([("modified_at", "range", {"gte": "2026-03-01", "gt": "2025-01-01"})], {2, 3}),
        ([("modified_at", "range", {"gt": "2026-03-01", "gte": "2025-01-01"})], {3}),
        ([("modified_at", "range", {"lte": "2026-01-01", "lt": "2026-05-01"})], {1}),
        ([("modified_at", "range", {"lt": "2026-01-01", "lte": "2026-05-01"})], set()),
        ([("token_count", "range", {"gt": 99, "gte": 103, "lt": 105, "lte": 103})], {3}),
        ([("chunk_index", "range", {"gte": 3, "gt": 1})], {3, 4}),
        ([("chunk_index", "range", {"gte": 3, "gt": 3})], {4}),
        ([("chunk_index", "equals", 3)], {3}),
        ([("chunk_index", "any_of", [1, 2])], {1, 2}),
        ([("token_count", "range", {"gt": 101, "lte": 103})], {2, 3}),
        ([("indexed_at", "range", {"gte": "2026-02-01"})], {1, 2, 3, 4, 5}),
        ([("indexed_at", "range", {"lt": "2026-02-01"})], set()),
        ([("heading_path", "equals", "Parental leave")], {1, 2, 3, 4, 5}),
        ([("heading_path", "prefix", "Pare")], {1, 2, 3, 4, 5}),
        ([("flags", "equals", "instructions")], {2}),
        ([("embedding_model", "equals", "wordllama"), ("path", "prefix", "legal/")], {3}),
        ([("content_hash", "equals", f"{2:064x}"), ("source", "equals", "files")], {2}),
        ([], {1, 2, 3, 4, 5}),
    ],
)
def test_filters(
    placed: GenerationReader, conditions: list[tuple[str, Any, Any]], expected: set[int]
) -> None:
    wanted = SearchFilter(tuple(Condition(*condition) for condition in conditions))
    words = SparseVector(tuple(range(40)), (1.0,) * 40)
    for found in placed.search(unit_vector(1), words, 10, wanted):
        assert {p.id for p in found} == {point_id(n) for n in expected}
    scrolled = [p.id for batch in placed.scroll(2, search_filter=wanted) for p in batch]
    assert scrolled == sorted(point_id(n) for n in expected)


def test_filters_see_changed_payloads_and_deleted_points(store: VectorStore) -> None:
    stage(store, "g1", [point(n) for n in range(6)])
    with store.write("g2", DIMENSIONS, "g1") as writer:
        writer.delete([point_id(0)])
        writer.set_payload({point_id(1): {"locations": [location(1, source="wiki")]}})
        writer.upsert([point(2, version=1, locations=[location(2, source="wiki"), location(2)])])
        writer.seal(manifest("g2", 5))

    def with_source(source: str) -> set[str]:
        wanted = SearchFilter((Condition("source", "equals", source), Condition("path", "prefix", "hr/")))
        return {p.id for p in store.read("g2").search(unit_vector(1), None, 10, wanted)[0]}

    assert with_source("wiki") == {point_id(1), point_id(2)}
    assert with_source("filesystem") == {point_id(2), point_id(3), point_id(4), point_id(5)}


@pytest.mark.parametrize(
    "condition",
    [
        ("colour", "equals", "red"),
        ("locations", "equals", "x"),
        ("chunk_text", "prefix", "x"),
        ("chunk_index", "equals", "3"),
        ("chunk_index", "equals", True),
        ("chunk_index", "prefix", "3"),
        ("source", "equals", 3),
        ("source", "range", {"gt": 3}),
        ("source", "any_of", "wiki"),
        ("source", "any_of", [1]),
        ("modified_at", "equals", "2026-01-01"),
        ("modified_at", "range", {"gte": "yesterday"}),
        ("modified_at", "range", {"since": "2026-01-01"}),
        ("modified_at", "range", {}),
        ("token_count", "range", {"gte": "7"}),
        ("token_count", "range", {"gte": math.nan}),
        ("source", "contains", "x"),
    ],
)
def test_a_filter_that_could_silently_match_nothing_is_refused(
    placed: GenerationReader, condition: Any
) -> None:
    with pytest.raises(ConfigurationError):
        placed.search(unit_vector(1), None, 5, SearchFilter((Condition(*condition),)))
    with pytest.raises(ConfigurationError):
        next(placed.scroll(search_filter=SearchFilter((Condition(*condition),))))
