from typing import Any

import pytest

from rag_assets.errors import ConfigurationError
from rag_assets.records import Condition, SearchFilter
from rag_assets.vector_stores.filter_expressions import parse_filters
from rag_assets.vector_stores.filters import parse_filter


@pytest.mark.parametrize(
    ("expression", "key", "match", "value"),
    [
        ("source=filesystem", "source", "equals", "filesystem"),
        (" source = web ", "source", "equals", "web"),
        ("title=1 = 1", "title", "equals", "1 = 1"),
        ("chunk_index=3", "chunk_index", "equals", 3),
        ("source=s3, web", "source", "any_of", ["s3", "web"]),
        ("chunk_index=1,2", "chunk_index", "any_of", [1, 2]),
        ("path=hr/*", "path", "prefix", "hr/"),
        ("filename=2*3", "filename", "equals", "2*3"),
        ("token_count>=100", "token_count", "range", {"gte": 100.0}),
        ("token_count<100", "token_count", "range", {"lt": 100.0}),
        ("modified_at>2026-01-31", "modified_at", "range", {"gt": "2026-01-31"}),
        ("modified_at<=20260131", "modified_at", "range", {"lte": "20260131"}),
        (
            "indexed_at>=2026-01-31T08:00:00+02:00",
            "indexed_at",
            "range",
            {"gte": "2026-01-31T08:00:00+02:00"},
        ),
    ],
)
def test_an_expression_is_one_condition_for_every_store(
    expression: str, key: str, match: Any, value: Any
) -> None:
    found = parse_filters([expression])
    assert found == SearchFilter((Condition(key, match, value),))
    parse_filter(found)


def test_all_expressions_must_match_and_ranges_of_one_field_are_joined() -> None:
    found = parse_filters(["modified_at>=2026-01-01", "source=s3", "modified_at<2026-02-01"])
    assert found == SearchFilter(
        (
            Condition("source", "equals", "s3"),
            Condition("modified_at", "range", {"gte": "2026-01-01", "lt": "2026-02-01"}),
        )
    )


def test_no_expressions_are_no_filter() -> None:
    assert parse_filters([]) is None


@pytest.mark.parametrize(
    "expression",
    ["", "source", "source=", "source= ", "=x", "source:web", "a b=c", "chunk_index=x", "chunk_index=1,x"],
)
def test_an_invalid_expression_is_refused(expression: str) -> None:
    with pytest.raises(ConfigurationError, match="filter"):
        parse_filters([expression])


@pytest.mark.parametrize("expression", ["path=hr/*,it/*", "source=a,", "source=,a", "source=a,,b"])
def test_a_list_that_would_silently_match_nothing_is_refused(expression: str) -> None:
    with pytest.raises(ConfigurationError, match="a list cannot contain"):
        parse_filters([expression])


KINDS: dict[str, set[str] | None] = {
    "year": {"number"},
    "version": {"number", "text"},
    "status": {"text"},
    "reviewed": {"date"},
    "draft": {"boolean"},
    "missing": set(),
}


@pytest.mark.parametrize(
    ("expression", "match", "value"),
    [
        ("year=2024", "equals", 2024),
        ("year=2024.5", "equals", 2024.5),
        ("year=2023,2024", "any_of", [2023, 2024]),
        ("year>=2024", "range", {"gte": 2024}),
        ("year<-1.5", "range", {"lt": -1.5}),
        ("version=2", "any_of", ["2", 2]),
        ("version=beta", "equals", "beta"),
        ("version=2,beta", "any_of", ["2", 2, "beta", "2,beta"]),
        ("version=2*", "prefix", "2"),
        ("status=2024", "equals", "2024"),
        ("status=true", "equals", "true"),
        ("reviewed>=2024-01-01", "range", {"gte": "2024-01-01"}),
        ("reviewed=2024-01-31", "equals", "2024-01-31"),
        ("draft=True", "equals", True),
        ("unknown=2024", "any_of", ["2024", 2024]),
        ("unknown=false", "any_of", ["false", False]),
        ("unknown>2024", "range", {"gt": 2024}),
        ("unknown>2024-01-01", "range", {"gt": "2024-01-01"}),
        ("missing=7", "equals", "7"),
        ("Doc Type=memo", "equals", "memo"),
        ("größe = klein", "equals", "klein"),
    ],
)
def test_a_value_of_metadata_has_the_type_of_its_key(expression: str, match: Any, value: Any) -> None:
    found = parse_filters([f"metadata.{expression}"], KINDS.get)
    assert found is not None
    [condition] = found.conditions
    assert (condition.match, condition.value) == (match, value)
    assert repr(condition.value) == repr(value)
    parse_filter(found)


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("year=MMXX", "'MMXX' is not a number"),
        ("year=2024,MMXX", "'MMXX' is not a number"),
        ("year>=2024-01-01", "'2024-01-01' is not a number"),
        ("draft=maybe", "'maybe' is not a boolean"),
        ("draft=1", "'1' is not a boolean"),
    ],
)
def test_a_mistyped_value_of_metadata_is_refused(expression: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        parse_filters([f"metadata.{expression}"], KINDS.get)


def test_a_bound_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'many' is not a number"):
        parse_filters(["token_count>many"])
