from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from rag_assets.errors import ConfigurationError
from rag_assets.records import Condition, SearchFilter
from rag_assets_tests.documents import MODEL, FakeEmbedder
from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI
from rag_assets_tests.integrations.event_loop import in_thread
from rag_assets_tests.integrations.small_store import FIRST, OTHER_MODEL, QUESTION, SECOND, SmallStore
from rag_assets_tests.optional_packages import require

if TYPE_CHECKING:
    from rag_assets.integrations.langchain import KnowledgeBaseRetriever

# The import alone takes a second.
pytestmark = pytest.mark.slow

IN_HR = SearchFilter((Condition("path", "prefix", "hr/"),))


@pytest.fixture(scope="module", autouse=True)
def _packages_are_installed() -> None:
    """Importing LangChain takes seconds, so it is left to the tests: collection and other tests do not pay."""
    require("langchain_core", "langchain_qdrant", "langchain_openai")


@pytest.fixture
def store() -> SmallStore:
    return SmallStore()


@pytest.fixture
def adapter(store: SmallStore) -> "KnowledgeBaseRetriever":
    from rag_assets.integrations.langchain import KnowledgeBaseRetriever

    return KnowledgeBaseRetriever(retriever=store.retriever(), k=1)


# The adapter


def test_a_document_has_its_locations_and_score(store: SmallStore, adapter: "KnowledgeBaseRetriever") -> None:
    [document] = adapter.invoke(QUESTION)
    [hit] = store.retriever().search(QUESTION, 1)
    assert document.page_content == QUESTION
    assert document.id == hit.point_id
    assert document.metadata["path"] == "it/passwords.md"
    assert document.metadata["score"] == hit.score
    assert document.metadata["locations"] == hit.payload["locations"]
    assert "text" not in document.metadata


def test_number_and_filter_can_be_set_per_retriever_or_question(
    store: SmallStore, adapter: "KnowledgeBaseRetriever"
) -> None:
    from langchain_core.runnables import RunnableLambda

    from rag_assets.integrations.langchain import KnowledgeBaseRetriever

    def paths(documents: list[Any]) -> list[str]:
        return [document.metadata["path"] for document in documents]

    assert paths(adapter.invoke(QUESTION)) == ["it/passwords.md"]
    assert paths(adapter.invoke(QUESTION, k=2)) == ["it/passwords.md", "hr/leave.md"]
    assert paths(adapter.invoke(QUESTION, search_filter=IN_HR)) == ["hr/leave.md"]
    chain = adapter.bind(search_filter=IN_HR) | RunnableLambda(paths)
    assert chain.invoke(QUESTION) == ["hr/leave.md"]
    only_hr = KnowledgeBaseRetriever(retriever=store.retriever(), search_filter=IN_HR)
    assert paths(only_hr.invoke(QUESTION)) == ["hr/leave.md"]


def test_a_copy_of_the_text_that_the_filter_excludes_is_in_no_part_of_a_document(
    store: SmallStore, adapter: "KnowledgeBaseRetriever"
) -> None:
    store.promote("g2", {"board/secret.md": QUESTION, "hr/leave.md": QUESTION})
    [document] = adapter.invoke(QUESTION, search_filter=IN_HR)
    assert (document.metadata["path"], document.metadata["year"]) == ("hr/leave.md", 2023)
    assert "secret" not in document.model_dump_json().lower()


def test_metadata_of_the_document_are_flat_and_can_be_filtered(
    store: SmallStore, adapter: "KnowledgeBaseRetriever"
) -> None:
    [document] = adapter.invoke(QUESTION)
    own = {"year": 2024, "tags": ["it", "security"], "title": "Another", "draft": True}
    assert document.metadata["metadata"] == own
    assert (document.metadata["year"], document.metadata["tags"]) == (2024, ["it", "security"])
    assert document.metadata["title"] == "IT/PASSWORDS.MD", "a field of ours wins"
    of_2023 = SearchFilter((Condition("metadata.year", "equals", 2023),))
    assert [one.metadata["path"] for one in adapter.invoke(QUESTION, search_filter=of_2023)] == [
        "hr/leave.md"
    ]


def test_a_misspelled_filter_is_an_error(
    adapter: "KnowledgeBaseRetriever",
) -> None:
    with pytest.raises(TypeError, match="filter"):
        adapter.invoke(QUESTION, filter=IN_HR)


def test_zero_documents_is_not_replaced_by_the_default(adapter: "KnowledgeBaseRetriever") -> None:
    with pytest.raises(ConfigurationError, match="limit"):
        adapter.invoke(QUESTION, k=0)


def test_it_answers_asynchronous_callers(adapter: "KnowledgeBaseRetriever") -> None:
    [document] = in_thread(adapter.ainvoke(QUESTION))
    assert document.page_content == QUESTION


def test_the_adapter_follows_a_promotion_and_a_change_of_the_model(
    store: SmallStore, adapter: "KnowledgeBaseRetriever"
) -> None:
    store.promote("g2", SECOND)
    assert [document.page_content for document in adapter.invoke(QUESTION)] == list(SECOND.values())
    store.promote("g3", FIRST, OTHER_MODEL)
    [document] = adapter.invoke(QUESTION)
    assert document.page_content == QUESTION
    assert document.metadata["embedding_model"] == OTHER_MODEL.model


# LangChain's own vector store, over the alias


def test_its_own_store_follows_a_promotion(store: SmallStore) -> None:
    from rag_assets_tests.integrations.langchain_objects import own_store

    own = own_store(store, FakeEmbedder())
    assert [document.page_content for document in own.similarity_search(QUESTION, k=1)] == [QUESTION]
    store.promote("g2", SECOND)
    store.promote("g3", SECOND | {"new.md": "a new one\n"})
    assert own.similarity_search(QUESTION, k=5) != []
    assert [document.page_content for document in own.similarity_search("a new one\n", k=1)] == [
        "a new one\n"
    ]


def test_a_condition_on_the_model_finds_nothing_after_the_model_has_changed(store: SmallStore) -> None:
    from qdrant_client import models

    from rag_assets_tests.integrations.langchain_objects import own_store

    own = own_store(store, FakeEmbedder())
    match = models.MatchValue(value=MODEL.model)
    same_model = models.Filter(must=[models.FieldCondition(key="embedding_model", match=match)])
    assert own.similarity_search(QUESTION, filter=same_model) != []
    store.promote("g2", FIRST, OTHER_MODEL)
    assert own.similarity_search(QUESTION) != []
    assert own.similarity_search(QUESTION, filter=same_model) == []


def test_its_own_store_refuses_other_dimensions(store: SmallStore) -> None:
    from langchain_qdrant.qdrant import QdrantVectorStoreError

    from rag_assets_tests.integrations.langchain_objects import own_store

    with pytest.raises(QdrantVectorStoreError, match="dimensions"):
        own_store(store, FakeEmbedder(replace(MODEL, dimensions=16)))


def test_its_own_class_for_openai_embeds_a_question_like_ours() -> None:
    from langchain_openai import OpenAIEmbeddings

    from rag_assets.embedders.openai import OpenAIEmbedder

    with FakeOpenAI() as server:
        ours = OpenAIEmbedder("text-embedding-3-small", API_KEY, server.base_url)
        theirs = OpenAIEmbeddings(
            model=ours.model.model,
            base_url=ours.model.endpoint,
            api_key=API_KEY,  # pyright: ignore[reportArgumentType]
            check_embedding_ctx_length=False,
        )
        assert theirs.embed_query(QUESTION) == pytest.approx(ours.embed_query(QUESTION).tolist())
