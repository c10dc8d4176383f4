"""A question with a filter on metadata: mistyped filters are errors, and everything else finds what it should."""

from typing import Any

import pytest

from rag_assets.document_metadata.values import Metadata
from rag_assets.errors import ConfigurationError
from rag_assets.records import Condition, SearchFilter
from rag_assets.retrieval import Retriever
from rag_assets_tests.documents import document, embedder_of, stage
from rag_assets_tests.vector_stores.conftest import in_memory_backend

TEXTS = {"a.md": "leave of twenty days", "b.md": "leave of thirty days", "c.md": "leave of no days"}
METADATA = {
    "a.md": {"year": 2024, "department": "HR", "reviewed": "2024-01-31T00:00:00Z", "draft": True},
    "b.md": {"year": 2023, "department": ("IT", "HR"), "version": "beta"},
    "c.md": {"version": 2, "due": 2024, "size": "2024-01-31T00:00:00Z"},
}


@pytest.fixture
def retriever() -> Retriever:
    store = in_memory_backend().open()
    documents = [document(path, text, metadata=Metadata.of(METADATA[path])) for path, text in TEXTS.items()]
    stage(store, "g1", documents, TEXTS.values())
    store.promote("g1", None)
    return Retriever(
        store, embedder_of, metadata_indexes={"team": "keyword", "due": "datetime", "size": "integer"}
    )


def found(retriever: Retriever, key: str, match: Any, value: Any) -> set[str]:
    hits = retriever.search("leave", 5, SearchFilter((Condition(key, match, value),)))
    return {hit.locations[0].path for hit in hits}


@pytest.mark.parametrize(
    ("key", "match", "value", "paths"),
    [
        ("metadata.year", "range", {"gte": 2024}, {"a.md"}),
        ("metadata.year", "equals", 2023, {"b.md"}),
        ("metadata.year", "equals", 1999, set()),
        ("metadata.department", "equals", "HR", {"a.md", "b.md"}),
        ("metadata.department", "any_of", ["IT", "Sales"], {"b.md"}),
        ("metadata.reviewed", "range", {"lt": "2025-01-01"}, {"a.md"}),
        ("metadata.reviewed", "prefix", "2024-", {"a.md"}),
        ("metadata.draft", "equals", True, {"a.md"}),
        ("metadata.version", "any_of", ["beta", 2], {"b.md", "c.md"}),
        # Named in RAG_METADATA_INDEXES, and in no document now.
        ("metadata.team", "equals", "x", set()),
        ("metadata.department", "equals", "2024-01-31", set()),
    ],
)
def test_filters_find_documents_by_their_metadata(
    retriever: Retriever, key: str, match: Any, value: Any, paths: set[str]
) -> None:
    assert found(retriever, key, match, value) == paths


@pytest.mark.parametrize(
    ("key", "match", "value", "problem"),
    [
        ("metadata.yaer", "equals", 2024, r"no document has metadata\.yaer: did you mean metadata\.year\?"),
        ("metadata.colour", "equals", "x", r"no document has metadata\.colour\. A key named"),
        ("metadata.year", "equals", "2024", r"metadata\.year by equals of texts: its values are numbers"),
        ("metadata.year", "any_of", [2024, "2023"], r"by any_of of texts: its values are numbers"),
        ("metadata.year", "prefix", "20", r"by prefix of dates and texts: its values are numbers"),
        ("metadata.year", "range", {"gte": "2024-01-01"}, r"by range of dates: its values are numbers"),
        ("metadata.department", "equals", 7, r"by equals of numbers: its values are texts"),
        ("metadata.department", "range", {"gte": 7}, r"by range of numbers: its values are texts"),
        ("metadata.reviewed", "range", {"gte": 2024}, r"by range of numbers: its values are dates"),
        ("metadata.draft", "equals", "true", r"by equals of texts: its values are booleans"),
        ("metadata.draft", "equals", 1, r"by equals of numbers: its values are booleans"),
        ("metadata.version", "equals", True, r"by equals of booleans: its values are numbers and texts"),
        # An index of dates compares a number as microseconds since 1970, an index of numbers a date.
        (
            "metadata.due",
            "range",
            {"lt": 2030},
            r"by range of numbers: RAG_METADATA_INDEXES has it as datetime",
        ),
        ("metadata.size", "range", {"lt": "2030-01-01"}, r"by range of dates: .* as integer"),
        ("metadata.team", "equals", 7, r"by equals of numbers: its values are texts"),
    ],
)
def test_a_mistyped_filter_is_an_error(
    retriever: Retriever, key: str, match: Any, value: Any, problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        found(retriever, key, match, value)


def test_the_keys_in_production_can_be_asked_for(retriever: Retriever) -> None:
    kinds = retriever.metadata_kinds()
    assert kinds is not None
    assert kinds["version"] == {"number", "text"}
    assert "team" not in kinds
