"""Checked filters, before their conversion for an engine."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from rag_assets.errors import ConfigurationError
from rag_assets.records import Condition, SearchFilter
from rag_assets.vector_stores.filters import Clauses, parse_filter


def test_a_date_without_a_time_zone_is_in_utc() -> None:
    wanted = SearchFilter(
        (Condition("modified_at", "range", {"gte": "2026-01-31", "lt": datetime(2026, 2, 1)}),)
    )
    (clause,) = parse_filter(wanted).of_location
    assert clause.value == {"gte": datetime(2026, 1, 31, tzinfo=UTC), "lt": datetime(2026, 2, 1, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("key", "match", "value"),
    [
        ("chunk_index", "equals", 10**25),
        ("chunk_index", "any_of", [1, -(2**63) - 1]),
        ("chunk_index", "range", {"gte": float("inf")}),
        ("path", "equals", "\udcff"),
        ("path", "prefix", "\udcff"),
        ("modified_at", "range", {"gte": "0001-01-01T00:00:00+14:00"}),
        ("modified_at", "range", {"lt": "9999-12-31T23:00:00-14:00"}),
    ],
)
def test_values_that_no_engine_can_store_are_refused(key: str, match: Any, value: object) -> None:
    with pytest.raises(ConfigurationError, match=key):
        parse_filter(SearchFilter((Condition(key, match, value),)))


def test_any_of_no_values_matches_nothing() -> None:
    assert parse_filter(SearchFilter((Condition("access", "any_of", []),))).nothing
    assert not parse_filter(SearchFilter((Condition("access", "any_of", ["staff"]),))).nothing
    assert parse_filter(None) == Clauses()


def test_conditions_on_locations_and_on_points_are_separated() -> None:
    clauses = parse_filter(
        SearchFilter((Condition("source", "equals", "wiki"), Condition("chunk_index", "any_of", (1, 2))))
    )
    assert [clause.key for clause in clauses.of_location] == ["source"]
    assert [(clause.key, clause.value) for clause in clauses.of_point] == [("chunk_index", [1, 2])]


@pytest.mark.parametrize("match", ["equals", "any_of", "range"])
@pytest.mark.parametrize("key", ["metadata.year", "token_count"])
def test_a_number_beyond_the_limits_is_named(key: str, match: str) -> None:
    value = {"equals": 2**70, "any_of": [1, 2**70], "range": {"gte": 2**70}}[match]
    with pytest.raises(ConfigurationError) as error:
        parse_filter(SearchFilter((Condition(key, cast(Any, match), value),)))
    if (key, match) != ("token_count", "any_of"):
        assert str(2**70) in str(error.value)
    assert "below 2^" in str(error.value) or "64 bits" in str(error.value)
