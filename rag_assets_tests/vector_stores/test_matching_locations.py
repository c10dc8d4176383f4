"""The locations of a hit are decided in Python, its point by an engine: both must agree on every filter."""

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from rag_assets.document_metadata.normalization import normalized
from rag_assets.document_metadata.policy import MetadataIndexes
from rag_assets.records import Condition, SearchFilter
from rag_assets.vector_stores.base import GenerationReader
from rag_assets.vector_stores.filters import parse_filter
from rag_assets.vector_stores.matching_locations import matching_locations
from rag_assets_tests.vector_stores.conftest import ALL_INDEXES, open_backend
from rag_assets_tests.vector_stores.samples import location, point, point_id, stage, unit_vector

NUM_POINTS = 60
NUM_FILTERS = 300
INDEXES: MetadataIndexes = {
    "year": "integer",
    "share": "float",
    "department": "keyword",
    "reviewed": "datetime",
    "draft": "bool",
}
DATES = [
    *("2026-01-01T00:00:00Z", "2026-01-01", "2026-01-01T02:00:00+02:00", "2026-06-30T12:00:00.500000Z"),
    *("2026-06-30 12:00:00", "2025-12-31T23:59:59+00:00", "1969-07-20T20:17:00Z"),
]
TEXTS: dict[str, list[Any]] = {
    "source": ["wiki", "files"],
    "path": ["hr/leave.md", "hr/Bu\u0308ro.md", "hr/Büro.md", "hr_old/a.md", "HR/leave.md", ""],
    "title": ["Leave", "Büro", "Bu\u0308ro", ""],
    "access": [None, [], ["staff"], ["board"], ["staff", "board"]],
    "modified_at": [None, *DATES],
}
METADATA: dict[str, list[Any]] = {
    "year": [2023, 2024, "2024", -1, 2**53 - 1, None],
    "share": [0.5, 2, 2.0, -0.1, 1e17, None],
    "department": ["HR", "hr", ["HR", "IT"], ["IT"], "2024", True, None],
    "reviewed": [*DATES, "20260101", "2026", "soon", None],
    "draft": [True, False, "true", 1, 0, None],
    "größe": ["klein", "groß", "gro\u00df und klein", None],
}
FIELDS = [*TEXTS, *(f"metadata.{key}" for key in METADATA)]


def random_location(random: Random, number: int) -> dict[str, Any]:
    fields = {key: random.choice(values) for key, values in TEXTS.items()}
    metadata = {key: random.choice(values) for key, values in METADATA.items()}
    return location(number, metadata=normalized(metadata).to_json(), **fields)


def random_condition(random: Random) -> Condition:
    key = random.choice(FIELDS)
    pool = [one for one in (TEXTS.get(key) or METADATA[key.removeprefix("metadata.")]) if one is not None]
    values: list[Any] = [part for one in pool for part in (one if isinstance(one, list) else [one])]
    if key == "modified_at":
        return Condition(key, "range", random_range(random, values))
    numbers = [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    texts = [one for one in values if isinstance(one, str)]
    match random.choice(
        ["equals", "any_of", "prefix", "range"] if key.startswith("meta") else ["e", "any_of", "p"]
    ):
        case "any_of":
            return Condition(key, "any_of", random.sample(values, random.randint(1, 2)))
        case "prefix" | "p" if texts:
            text = random.choice(texts)
            return Condition(key, "prefix", text[: random.randint(0, len(text))])
        case "range" if numbers:  # not of numbers and dates: `check_metadata_types` refuses that
            bounds = [one for one in numbers if abs(one) < 10**15]
            return Condition(key, "range", random_range(random, [*bounds, 2023.5]))
        case "range":
            return Condition(key, "range", random_range(random, DATES))
        case _:
            return Condition(key, "equals", random.choice(values))


def random_range(random: Random, values: list[Any]) -> dict[str, Any]:
    bounds = random.sample(["gt", "gte", "lt", "lte"], random.randint(1, 2))
    return {bound: random.choice(values) for bound in bounds}


LOCATIONS = {
    number: [random_location(Random(number * 10 + place), number) for place in range(1 + number % 3)]
    for number in range(NUM_POINTS)
}


@pytest.fixture(scope="module", params=[{}, INDEXES], ids=["no index", "indexes"])
def indexes(request: pytest.FixtureRequest) -> MetadataIndexes:
    return request.param


@pytest.fixture(scope="module", params=ALL_INDEXES)
def placed(
    request: pytest.FixtureRequest, indexes: MetadataIndexes, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GenerationReader]:
    with open_backend(request.param, tmp_path_factory.mktemp("placed")) as backend:
        store = backend.open(indexes)
        stage(store, "g1", [point(number, locations=LOCATIONS[number]) for number in LOCATIONS])
        reader = store.read("g1")
        yield reader
        reader.close()


def test_a_point_is_found_exactly_if_a_location_of_it_matches(
    placed: GenerationReader, indexes: MetadataIndexes
) -> None:
    random = Random(1)
    numbers = {point_id(number): number for number in LOCATIONS}
    num_found = 0
    for _ in range(NUM_FILTERS):
        wanted = SearchFilter(tuple(random_condition(random) for _ in range(random.randint(1, 3))))
        clauses = parse_filter(wanted)
        found, _words = placed.search(unit_vector(1), None, NUM_POINTS, wanted, with_payload=False)
        expected = {number for number in LOCATIONS if matching_locations(LOCATIONS[number], clauses)}
        points = {numbers[one.id] for one in found}
        # An index of one kind does not hold values of another kind, so less is found. Never more.
        assert points <= expected if indexes else points == expected, wanted
        num_found += bool(expected)
    assert num_found > NUM_FILTERS / 4, "the filters find too little to show anything"


def test_locations_keep_their_order() -> None:
    places = [location(number, access=["staff"] if number % 2 else ["board"]) for number in range(5)]
    clauses = parse_filter(SearchFilter((Condition("access", "any_of", ["staff"]),)))
    assert matching_locations(places, clauses) == [places[1], places[3]]
    assert matching_locations(places, parse_filter(None)) == places
