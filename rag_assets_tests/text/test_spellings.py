"""Names from macOS have separate accents (NFD). People type them composed (NFC). Both mean the same document."""

import pytest

from rag_assets.errors import BenchmarkError
from rag_assets.evaluation.benchmark import DocumentNames, ids_named
from rag_assets.records import Condition, SearchFilter
from rag_assets.vector_stores.filters import conditions_of, parse_filter
from rag_assets_tests.documents import corpus

TYPED, STORED = "größe/a.md", "gro\u0308ße/a.md"


@pytest.mark.parametrize("name", [TYPED, f"filesystem:{TYPED}", STORED])
def test_a_typed_name_finds_a_document_from_macos(name: str) -> None:
    documents = corpus({STORED: "1", "b.md": "2"})
    assert ids_named(name, [state.location for state in documents]) == [f"filesystem:{STORED}"]
    [content] = [state.content_hash for state in documents if state.location.path == STORED]
    assert DocumentNames(documents).content_of(name) == content


def test_two_files_that_differ_only_so_stay_two() -> None:
    documents = corpus({STORED: "1", TYPED: "2"})
    locations = [state.location for state in documents]
    assert [ids_named(name, locations) for name in (STORED, TYPED)] == [
        [f"filesystem:{STORED}"],
        [f"filesystem:{TYPED}"],
    ]
    names = DocumentNames(documents)
    assert names.content_of(STORED) != names.content_of(TYPED)
    with pytest.raises(BenchmarkError, match="ambiguous"):
        DocumentNames(corpus({STORED + "o\u0308ü": "1", TYPED + "öu\u0308": "2"})).content_of(TYPED + "öü")


def test_filters_find_both_spellings() -> None:
    def shown(key: str, match: str, value: object) -> object:
        clauses = parse_filter(SearchFilter((Condition(key, match, value),)))  # type: ignore[arg-type]
        return conditions_of(clauses, lambda clause, _: clause.value, list, set)

    assert shown("path", "equals", TYPED) == [[TYPED, STORED]]
    assert shown("filename", "any_of", ["ö", "b"]) == [["ö", "o\u0308", "b"]]
    assert shown("path", "prefix", "grö") == [{"grö", "gro\u0308"}]
    assert shown("path", "prefix", "hr/") == ["hr/"]
    assert shown("access", "equals", "ö") == ["ö"]
