from collections.abc import Iterator
from typing import Any

import pytest

from rag_assets.document_metadata.values import Metadata
from rag_assets.errors import ConfigurationError, GenerationDamaged
from rag_assets.records import Condition, Payload, SearchFilter
from rag_assets.retrieval import GenerationSearch, Retriever
from rag_assets_tests.documents import document, embedder_of, stage
from rag_assets_tests.in_memory_vector_store import InMemoryVectorStore
from rag_assets_tests.vector_stores.conftest import KINDS, open_backend

LINES = [f"Rule {number} of the house.\n" for number in range(12)]
TEXT = "".join(LINES)
CLOSED = document("board/rules.md", TEXT, access=("board",), metadata=Metadata.of({"project": "Falcon"}))
OPEN = document("hr/rules.md", TEXT, access=("staff",))
OTHER = document("hr/other.md", "Another text.\n", access=("staff",))
STAFF = SearchFilter((Condition("access", "any_of", ["staff"]),))
EVERYONE = SearchFilter()


@pytest.fixture(scope="module", params=KINDS)
def retriever(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Retriever]:
    with open_backend(request.param, tmp_path_factory.mktemp("chunks")) as backend:
        store = backend.open()
        stage(store, "g1", [CLOSED, OPEN, OTHER], [TEXT, "Another text.\n"])
        store.promote("g1", None)
        with Retriever(store, embedder_of) as opened:
            yield opened


def chunks(
    retriever: Retriever, document_id: str, wanted: range = range(100), by: SearchFilter = STAFF
) -> list[Payload]:
    return retriever.ask(lambda production: production.document_chunks(document_id, wanted, by))


def test_the_chunks_of_a_document_come_in_their_order(retriever: Retriever) -> None:
    assert [one["text"] for one in chunks(retriever, OPEN.document_id)] == LINES


def test_only_the_wanted_chunks_come(retriever: Retriever) -> None:
    assert [one["text"] for one in chunks(retriever, OPEN.document_id, range(3, 5))] == LINES[3:5]
    assert chunks(retriever, OPEN.document_id, range(12, 20)) == []
    assert chunks(retriever, OPEN.document_id, range(0)) == []


def test_a_document_is_only_at_its_own_location(retriever: Retriever) -> None:
    for payload in chunks(retriever, OPEN.document_id, by=EVERYONE):
        assert [one["document_id"] for one in payload["locations"]] == [OPEN.document_id]


def test_a_closed_document_reads_like_one_that_does_not_exist(retriever: Retriever) -> None:
    assert chunks(retriever, CLOSED.document_id) == chunks(retriever, "filesystem:never.md") == []
    assert len(chunks(retriever, CLOSED.document_id, by=EVERYONE)) == len(LINES)


def test_an_asked_generation_names_itself_and_its_time(retriever: Retriever) -> None:
    manifest = retriever.ask(lambda production: production.manifest)
    assert manifest is not None
    assert manifest.generation == "g1"
    assert manifest.sealed_at


def test_unknown_metadata_are_an_error_only_where_they_may_be_named(retriever: Retriever) -> None:
    def search(production: GenerationSearch, key: str, **options: Any) -> int:
        wanted = SearchFilter((*STAFF.conditions, Condition(f"metadata.{key}", "equals", 3)))
        return len(production.search("rules", 5, wanted, **options))

    with pytest.raises(ConfigurationError, match=r"did you mean metadata\.project"):
        retriever.ask(lambda production: search(production, "projekt"))
    for key in ("projekt", "project"):
        assert retriever.ask(lambda production, key=key: search(production, key, reveals_metadata=False)) == 0


def test_a_chunk_found_against_the_filter_is_an_error_and_not_an_answer() -> None:
    store = InMemoryVectorStore()  # it ignores filters, like an index that contradicts its points
    stage(store, "g1", [CLOSED], [TEXT])
    store.promote("g1", None)
    with pytest.raises(GenerationDamaged, match="none of its locations meets"):
        chunks(Retriever(store, embedder_of), CLOSED.document_id)


def test_a_question_is_asked_again_in_the_successor_of_a_vanished_generation() -> None:
    store = InMemoryVectorStore()
    stage(store, "g1", [OPEN], [TEXT])
    stage(store, "g2", [OPEN], [TEXT])
    store.promote("g1", None)
    asked: list[str] = []

    def question(production: GenerationSearch) -> str:
        asked.append(production.generation)
        if len(asked) == 1:
            store.promote("g2", "g1")
            store.open_readers[0].break_down()
        production.document_chunks(OPEN.document_id, range(1), EVERYONE)
        return production.generation

    assert Retriever(store, embedder_of).ask(question) == "g2"
    assert asked == ["g1", "g2"]
