from typing import Any

import pytest

from rag_assets.errors import CallRefused
from rag_assets.serving.arguments import Arguments, DocumentArguments, SearchArguments
from rag_assets.serving.knowledge_base_tools import TOOLS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "query: expected text of 1 to 2,000 characters"),
        ({"query": ""}, "query: expected text of 1 to 2,000 characters"),
        ({"query": "x" * 2_001}, "query: expected text of 1 to 2,000 characters"),
        ({"query": 3}, "query: expected text of 1 to 2,000 characters"),
        ({"query": "half of a pair \ud800"}, "query: expected text of 1 to 2,000 characters"),
        ({"query": "x", "limit": 0}, "limit: expected a whole number from 1 to 20"),
        ({"query": "x", "limit": 21}, "limit: expected a whole number from 1 to 20"),
        ({"query": "x", "limit": True}, "limit: expected a whole number from 1 to 20"),
        ({"query": "x", "limit": 2.0}, "limit: expected a whole number from 1 to 20"),
        ({"query": "x", "limit": "5"}, "limit: expected a whole number from 1 to 20"),
        ({"query": "x", "filters": "a=b"}, "filters: expected a list of up to 10 texts"),
        ({"query": "x", "filters": ["a=b"] * 11}, "filters: expected a list of up to 10 texts"),
        ({"query": "x", "filters": ["a" * 501]}, "filters: expected a list of up to 10 texts"),
        ({"query": "x", "filters": [{"a": "b"}]}, "filters: expected a list of up to 10 texts"),
        ({"query": "x", "filter": ["a=b"]}, "unknown argument 'filter': search has query, filters, limit"),
        (
            {"query": 1, "limit": 0},
            "query: expected text of 1 to 2,000 characters; limit: expected a whole number",
        ),
        ({"query": "x", "": 1}, "unknown argument '': search has"),
    ],
)
def test_an_unusable_argument_is_named_with_its_form(given: dict[str, Any], message: str) -> None:
    with pytest.raises(CallRefused) as caught:
        SearchArguments.of("search", given)
    assert message in str(caught.value)


def test_an_error_repeats_no_long_text_of_the_caller() -> None:
    with pytest.raises(CallRefused) as caught:
        DocumentArguments.of(
            "get_document", {"document_id": ["long secret"] * 1_000, "x" * 9_000: "y" * 9_000}
        )
    assert len(str(caught.value)) < 400


def test_a_tool_without_arguments_says_so() -> None:
    with pytest.raises(CallRefused, match=r"^status takes no arguments$"):
        Arguments.of("status", {"verbose": True})


def test_schemas_name_every_argument_and_allow_no_other() -> None:
    schemas = {tool.name: tool.arguments.schema_for_callers() for tool in TOOLS}
    assert {name: sorted(schema["properties"]) for name, schema in schemas.items()} == {
        "search": ["filters", "limit", "query"],
        "get_document": ["document_id", "first_chunk"],
        "status": [],
    }
    for schema in schemas.values():
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert all(one["description"] and "form" not in one for one in schema["properties"].values())
    assert (schemas["search"]["required"], schemas["search"]["properties"]["limit"]["maximum"]) == (
        ["query"],
        20,
    )
