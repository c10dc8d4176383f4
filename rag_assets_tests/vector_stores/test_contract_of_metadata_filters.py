"""The contract of every store: filters on metadata, with and without indexes for them."""

import struct
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.policy import MetadataIndexes
from rag_assets.errors import ConfigurationError
from rag_assets.records import Condition, SearchFilter, SparseVector
from rag_assets.vector_stores.base import GenerationReader, VectorStore
from rag_assets_tests.vector_stores.conftest import ALL_INDEXES, open_backend
from rag_assets_tests.vector_stores.samples import (
    DIMENSIONS,
    location,
    manifest,
    point,
    point_id,
    stage,
    unit_vector,
)

INDEXES: MetadataIndexes = {
    "year": "integer",
    "share": "float",
    "department": "keyword",
    "reviewed": "datetime",
    "draft": "bool",
    "größe": "keyword",
}


def place(number: int, source: str = "filesystem", **metadata: Any) -> dict[str, Any]:
    return location(number, source=source, path=f"{number}.md", metadata=normalized(metadata).to_json())


LOCATIONS = {
    1: [
        place(
            1,
            year=2024,
            share=0.5,
            department="HR",
            tags=["leave", "pay"],
            draft=True,
            reviewed="2024-01-31",
            größe="klein",
        )
    ],
    2: [place(2, year=2023, share=2, department="HR", draft=False, reviewed="2023-06-30T12:00:00Z")],
    3: [place(3, "wiki", year=2024, department="IT"), place(33, "files", year=2020, department="HR")],
    4: [place(4, year="2024", department=["IT", "HR"], draft="true", größe="groß", **{"7": "seven"})],
    5: [place(5)],
    6: [],
}


@pytest.fixture(scope="module", params=["no index", "indexes", "indexes later"])
def indexing(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=ALL_INDEXES)
def placed(
    request: pytest.FixtureRequest, indexing: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GenerationReader]:
    """Points in `LOCATIONS`. `indexes later`: the keys were named after the first generation was written."""
    with open_backend(request.param, tmp_path_factory.mktemp("placed")) as backend:
        at_first, later = {
            "no index": ({}, {}),
            "indexes": (INDEXES, INDEXES),
            "indexes later": ({}, INDEXES),
        }[indexing]
        stage(backend.open(at_first), "g1", [point(n, locations=LOCATIONS[n]) for n in LOCATIONS])
        store = backend.open(later)
        with store.write("g2", DIMENSIONS, "g1") as writer:
            writer.seal(manifest("g2", len(LOCATIONS)))
        reader = store.read("g2")
        yield reader
        reader.close()


def found(reader: GenerationReader, *conditions: tuple[str, Any, Any]) -> set[int]:
    wanted = SearchFilter(tuple(Condition(*condition) for condition in conditions))
    words = SparseVector(tuple(range(40)), (1.0,) * 40)
    by_vector, by_words = reader.search(unit_vector(1), words, 10, wanted)
    assert {p.id for p in by_vector} == {p.id for p in by_words}
    ids = {point_id(number): number for number in LOCATIONS}
    return {ids[p.id] for p in by_vector}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([("metadata.year", "equals", 2024)], {1, 3}),
        ([("metadata.year", "equals", 2024.0)], {1, 3}),
        ([("metadata.year", "equals", "2024")], {4}),
        ([("metadata.year", "any_of", [2023, 2020])], {2, 3}),
        ([("metadata.year", "any_of", [2023, "2024"])], {2, 4}),
        ([("metadata.year", "any_of", [])], set()),
        ([("metadata.year", "range", {"gte": 2024})], {1, 3}),
        ([("metadata.year", "range", {"gt": 2020, "lt": 2024})], {2}),
        ([("metadata.year", "range", {"lte": 2020.5})], {3}),
        ([("metadata.share", "equals", 0.5)], {1}),
        ([("metadata.share", "equals", 2)], {2}),
        ([("metadata.share", "range", {"gt": 0.5})], {2}),
        ([("metadata.share", "any_of", [0.5, 2])], {1, 2}),
        ([("metadata.department", "equals", "HR")], {1, 2, 3, 4}),
        ([("metadata.Department", "equals", "HR")], {1, 2, 3, 4}),
        ([("metadata.department", "equals", "hr")], set()),
        ([("metadata.department", "any_of", ["IT", "Sales"])], {3, 4}),
        ([("metadata.department", "prefix", "H")], {1, 2, 3, 4}),
        ([("metadata.tags", "equals", "pay")], {1}),
        ([("metadata.tags", "prefix", "le")], {1}),
        ([("metadata.draft", "equals", True)], {1}),
        ([("metadata.draft", "equals", False)], {2}),
        ([("metadata.draft", "equals", 1)], set()),
        ([("metadata.draft", "equals", "true")], {4}),
        ([("metadata.draft", "any_of", [True, False])], {1, 2}),
        ([("metadata.reviewed", "range", {"gte": "2024-01-01"})], {1}),
        ([("metadata.reviewed", "range", {"lt": "2024-01-01", "gte": "2023-06-30T14:00:00+02:00"})], {2}),
        ([("metadata.reviewed", "equals", "2024-01-31")], {1}),
        ([("metadata.reviewed", "prefix", "2024-")], {1}),
        ([("metadata.größe", "equals", "klein")], {1}),
        ([("metadata.größe", "prefix", "gro")], {4}),
        ([("metadata.Gro\u0308ße", "prefix", "kl")], {1}),
        ([("metadata.7", "equals", "seven")], {4}),
        ([("metadata.nothing", "equals", "x")], set()),
        # One location of the third point is of 2024, another one of HR.
        ([("metadata.year", "equals", 2024), ("metadata.department", "equals", "HR")], {1}),
        ([("metadata.year", "range", {"gte": 2020}), ("metadata.department", "equals", "HR")], {1, 2, 3}),
        ([("metadata.year", "any_of", [2024, 2020]), ("source", "equals", "files")], {3}),
        ([("metadata.year", "equals", 2024), ("source", "equals", "files")], set()),
        ([("metadata.größe", "equals", "klein"), ("metadata.draft", "equals", True)], {1}),
        ([("metadata.year", "equals", 2024), ("chunk_index", "equals", 3)], {3}),
    ],
)
def test_filters_on_metadata(
    placed: GenerationReader, conditions: list[tuple[str, Any, Any]], expected: set[int]
) -> None:
    assert found(placed, *conditions) == expected


@pytest.mark.parametrize(
    "condition",
    [
        ("metadata.", "equals", "x"),
        ("metadata.!", "equals", "x"),
        ("metadata", "equals", "x"),
        ("metadata.year", "equals", None),
        ("metadata.year", "equals", ["x"]),
        ("metadata.year", "equals", 2**53),
        ("metadata.year", "equals", float("nan")),
        ("metadata.year", "any_of", "2024"),
        ("metadata.year", "range", {"gte": 10**15}),
        ("metadata.year", "any_of", [None]),
        ("metadata.year", "prefix", 2024),
        ("metadata.year", "range", {"gte": "yesterday"}),
        ("metadata.year", "range", {"gte": 2020, "lt": "2024"}),
        ("metadata.year", "range", {"gte": float("inf")}),
        ("metadata.year", "range", {"gte": True}),
        ("metadata.year", "range", {}),
        ("metadata.year", "range", 2024),
        ("metadata.year", "contains", "x"),
    ],
)
def test_a_condition_that_could_silently_match_nothing_is_refused(
    placed: GenerationReader, condition: Any
) -> None:
    with pytest.raises(ConfigurationError):
        found(placed, condition)


def test_a_changed_payload_is_found_by_its_new_metadata(tmp_path: Path) -> None:
    with open_backend("embedded", tmp_path) as backend:
        store: VectorStore = backend.open(INDEXES)
        stage(store, "g1", [point(n, locations=[place(n, year=2020 + n)]) for n in range(4)])
        with store.write("g2", DIMENSIONS, "g1") as writer:
            writer.set_payload({point_id(1): {"locations": [place(1, year=2030)]}})
            writer.seal(manifest("g2", 4))
        wanted = SearchFilter((Condition("metadata.year", "range", {"gte": 2023}),))
        points, _ = store.read("g2").search(unit_vector(1), None, 10, wanted)
        assert {p.id for p in points} == {point_id(1), point_id(3)}


VALUES = [
    *(0.1, -0.1, 1 / 3, 1e22, 2.5e-20, 123456789.12345679, 0, 2**53 - 1, -(2**53) + 1, True, False),
    *("\uffff", "\U0010ffff", "é", '"\\', "👩‍👩‍👧", "a" * 500),
]


@pytest.mark.parametrize("kind", ALL_INDEXES)
def test_every_value_is_read_back_as_it_was_sent(kind: str, tmp_path: Path) -> None:
    metadata = normalized({f"key{number}": value for number, value in enumerate(VALUES)}).to_json()
    assert len(metadata) == len(VALUES)
    with open_backend(kind, tmp_path) as backend:
        store = backend.open({"key0": "float", "key7": "integer"})
        stage(store, "g1", [point(1, locations=[location(1, metadata=metadata)])])
        [found_point] = store.read("g1").retrieve([point_id(1)])
        stored = found_point.payload["locations"][0]["metadata"]
        assert {key: repr(value) for key, value in stored.items()} == {
            key: repr(value) for key, value in metadata.items()
        }
        for key, value in metadata.items():
            wanted = SearchFilter((Condition(f"metadata.{key}", "equals", value),))
            points, _ = store.read("g1").search(unit_vector(1), None, 10, wanted)
            assert [p.id for p in points] == [point_id(1)], (key, value)


@pytest.mark.parametrize("kind", ALL_INDEXES)
def test_no_number_of_a_document_makes_its_points_look_damaged(kind: str, tmp_path: Path) -> None:
    """Qdrant reads some decimals back as their neighbors, and a writer compares what it has sent."""
    random = Random(1)
    numbers = [struct.unpack("d", random.randbytes(8))[0] for _ in range(1_000)]
    numbers += [random.uniform(-(10.0**size), 10.0**size) for size in range(-12, 18) for _ in range(60)]
    with open_backend(kind, tmp_path) as backend:
        store = backend.open()
        points = [
            point(first, locations=[place(first, **{f"key{n}": numbers[first + n] for n in range(50)})])
            for first in range(0, len(numbers), 50)
        ]
        stage(store, "g1", points)
        assert {p.id: p.payload for p in store.read("g1").retrieve([p.id for p in points])} == {
            p.id: p.payload for p in points
        }


def test_an_index_of_another_kind_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    with open_backend("embedded", tmp_path) as backend:
        texts: dict[int, Any] = {n: [place(n, year=f"{2020 + n}")] for n in range(4)}
        stage(backend.open({"year": "keyword"}), "g1", [point(n, locations=texts[n]) for n in texts])
        store = backend.open({"year": "integer"})
        with store.write("g2", DIMENSIONS, "g1") as writer:
            writer.set_payload({point_id(n): {"locations": [place(n, year=2020 + n)]} for n in texts})
            writer.seal(manifest("g2", 4))
        wanted = SearchFilter((Condition("metadata.year", "range", {"gte": 2022}),))
        points, _ = store.read("g2").search(unit_vector(1), None, 10, wanted)
        assert {p.id for p in points} == {point_id(2), point_id(3)}
        stays = SearchFilter((Condition("metadata.year", "equals", "2022"),))
        assert store.read("g2").search(unit_vector(1), None, 10, stays)[0] == []
        assert len(store.read("g1").search(unit_vector(1), None, 10, stays)[0]) == 1
