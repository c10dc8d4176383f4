import json

from rag_assets.evaluation.benchmark import Benchmark, BenchmarkQuery, DocumentNames
from rag_assets.refresh.accepted_deletions import accept, accepted_names, missing_names
from rag_assets_tests.documents import document
from rag_assets_tests.in_memory_vector_store import InMemoryVectorStore

NAMES = DocumentNames([document("hr/a.md", "a")])
BENCHMARK = Benchmark(
    (
        BenchmarkQuery("1", ("hr/a.md",)),
        BenchmarkQuery("2", ("hr/gone.md",)),
        BenchmarkQuery("3", ("lost.md",)),
    )
)


def test_only_accepted_names_are_set_apart() -> None:
    store = InMemoryVectorStore()
    assert missing_names(BENCHMARK, NAMES) == ["hr/gone.md", "lost.md"]
    assert accepted_names(store, BENCHMARK, NAMES) == set()
    accept(store, ["lost.md"], "ana")
    assert accepted_names(store, BENCHMARK, NAMES) == {"lost.md"}


def test_a_document_that_came_back_counts_again() -> None:
    store = InMemoryVectorStore()
    accept(store, ["hr/a.md", "hr/gone.md"], "ana")
    assert accepted_names(store, BENCHMARK, NAMES) == {"hr/gone.md"}


def test_an_approved_deletion_is_accepted_by_each_name_of_the_document() -> None:
    approved = ["filesystem:hr/gone.md", "filesystem:x/lost.md"]
    assert accepted_names(InMemoryVectorStore(), BENCHMARK, NAMES, approved) == {"hr/gone.md", "lost.md"}


def test_the_vector_store_has_no_name_of_a_deleted_document() -> None:
    store = InMemoryVectorStore()
    accept(store, ["hr/gone.md"], "ana")
    accept(store, ["hr/gone.md"], "ben")
    [(key, text)] = store.records("accepted").items()
    assert "gone" not in key + text
    assert json.loads(text)["by"] == "ana"  # the first decision stays
