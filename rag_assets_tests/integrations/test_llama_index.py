import threading
from typing import TYPE_CHECKING, Any

import pytest

from rag_assets.errors import ConfigurationError
from rag_assets.records import Condition, SearchFilter, SearchHit
from rag_assets.retrieval import Retriever
from rag_assets_tests.documents import MODEL, FakeEmbedder, embedder_of
from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI
from rag_assets_tests.integrations.event_loop import in_thread
from rag_assets_tests.integrations.small_store import FIRST, OTHER_MODEL, QUESTION, SECOND, SmallStore
from rag_assets_tests.optional_packages import require

if TYPE_CHECKING:
    from rag_assets.integrations.llama_index import KnowledgeBaseRetriever

# The import alone takes a second.
pytestmark = pytest.mark.slow

IN_HR = SearchFilter((Condition("path", "prefix", "hr/"),))


@pytest.fixture(scope="module", autouse=True)
def _packages_are_installed() -> None:
    """Importing LlamaIndex takes seconds, so it is left to the tests: collection and other tests do not pay."""
    require("llama_index.vector_stores.qdrant", "llama_index.embeddings.openai")


@pytest.fixture
def store() -> SmallStore:
    return SmallStore()


@pytest.fixture
def adapter(store: SmallStore) -> "KnowledgeBaseRetriever":
    from rag_assets.integrations.llama_index import KnowledgeBaseRetriever

    return KnowledgeBaseRetriever(store.retriever(), similarity_top_k=1)


# The adapter


def test_a_node_has_its_locations_and_score(store: SmallStore, adapter: "KnowledgeBaseRetriever") -> None:
    from llama_index.core.schema import TextNode

    [found] = adapter.retrieve(QUESTION)
    [hit] = store.retriever().search(QUESTION, 1)
    assert isinstance(found.node, TextNode)
    assert found.node.text == QUESTION
    assert (found.node.node_id, found.score) == (hit.point_id, hit.score)
    assert (found.node.start_char_idx, found.node.end_char_idx) == (hit.payload["start"], hit.payload["end"])
    assert found.node.ref_doc_id == "filesystem:it/passwords.md"
    assert found.node.metadata["locations"] == hit.payload["locations"]


def test_a_prompt_gets_the_title_and_the_path_but_no_hashes(adapter: "KnowledgeBaseRetriever") -> None:
    from llama_index.core.schema import MetadataMode

    [found] = adapter.retrieve(QUESTION)
    head, _, text = found.node.get_content(MetadataMode.LLM).partition("\n\n")
    assert sorted(head.split("\n")) == ["path: it/passwords.md", "title: IT/PASSWORDS.MD"]
    assert text.strip() == QUESTION.strip()


def test_number_and_filter_reach_the_search(store: SmallStore) -> None:
    from rag_assets.integrations.llama_index import KnowledgeBaseRetriever

    both = KnowledgeBaseRetriever(store.retriever(), similarity_top_k=2).retrieve(QUESTION)
    assert [node.metadata["path"] for node in both] == ["it/passwords.md", "hr/leave.md"]
    only_hr = KnowledgeBaseRetriever(store.retriever(), search_filter=IN_HR).retrieve(QUESTION)
    assert [node.metadata["path"] for node in only_hr] == ["hr/leave.md"]


def test_a_copy_of_the_text_that_the_filter_excludes_is_in_no_part_of_a_node(store: SmallStore) -> None:
    from rag_assets.integrations.llama_index import KnowledgeBaseRetriever

    store.promote("g2", {"board/secret.md": QUESTION, "hr/leave.md": QUESTION})
    [found] = KnowledgeBaseRetriever(store.retriever(), search_filter=IN_HR).retrieve(QUESTION)
    assert (found.metadata["path"], found.metadata["year"]) == ("hr/leave.md", 2023)
    assert found.node.ref_doc_id == "filesystem:hr/leave.md"
    assert "secret" not in found.model_dump_json().lower()


def test_metadata_of_the_document_are_flat_and_stay_out_of_the_prompt(
    adapter: "KnowledgeBaseRetriever",
) -> None:
    from llama_index.core.schema import MetadataMode

    [found] = adapter.retrieve(QUESTION)
    assert (found.metadata["year"], found.metadata["tags"]) == (2024, ["it", "security"])
    assert found.metadata["title"] == "IT/PASSWORDS.MD", "a field of ours wins"
    assert "2024" not in found.node.get_content(MetadataMode.LLM)


FILTERS = [
    (("year", 2023, "=="), {"hr/leave.md"}),
    (("metadata.year", 2024, ">="), {"it/passwords.md"}),
    (("year", 2024, "<"), {"hr/leave.md"}),
    (("year", [2023, 2024], "in"), {"it/passwords.md", "hr/leave.md"}),
    (("tags", "security", "contains"), {"it/passwords.md"}),
    (("tags", ["security", "x"], "any"), {"it/passwords.md"}),
    (("path", "hr/leave.md", "=="), {"hr/leave.md"}),
]


@pytest.mark.parametrize(("own", "paths"), FILTERS)
def test_filters_of_llama_index_are_filters_of_ours(
    store: SmallStore, own: tuple[str, Any, str], paths: set[str]
) -> None:
    from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters

    from rag_assets.integrations.llama_index import KnowledgeBaseRetriever

    key, value, operator = own
    filters = MetadataFilters(
        filters=[
            MetadataFilter(key=key, value=value, operator=FilterOperator(operator)),
            MetadataFilters(filters=[MetadataFilter(key="year", value=2000, operator=FilterOperator.GT)]),
        ]
    )
    adapter = KnowledgeBaseRetriever(store.retriever(), 5, filters=filters)
    assert {node.metadata["path"] for node in adapter.retrieve(QUESTION)} == paths
    both = KnowledgeBaseRetriever(store.retriever(), 5, IN_HR, filters)
    assert {node.metadata["path"] for node in both.retrieve(QUESTION)} == paths & {"hr/leave.md"}


def test_a_filter_of_llama_index_without_a_counterpart_is_refused(store: SmallStore) -> None:
    from llama_index.core.vector_stores import (
        FilterCondition,
        FilterOperator,
        MetadataFilter,
        MetadataFilters,
    )

    from rag_assets.integrations.llama_index import KnowledgeBaseRetriever

    one = MetadataFilter(key="year", value=2024)
    for filters in (
        MetadataFilters(filters=[one, one], condition=FilterCondition.OR),
        MetadataFilters(filters=[MetadataFilter(key="year", value=2024, operator=FilterOperator.NE)]),
    ):
        with pytest.raises(ConfigurationError, match="cannot filter"):
            KnowledgeBaseRetriever(store.retriever(), filters=filters)


def test_asynchronous_callers_are_not_blocked(store: SmallStore) -> None:
    from rag_assets.integrations.llama_index import KnowledgeBaseRetriever

    threads: list[int] = []

    class Noting(Retriever):
        def search(
            self, query: str, limit: int = 5, search_filter: SearchFilter | None = None
        ) -> list[SearchHit]:
            threads.append(threading.get_ident())
            return store.retriever().search(query, limit, search_filter)

    noting = Noting(None, embedder_of)  # pyright: ignore[reportArgumentType]
    [found] = in_thread(KnowledgeBaseRetriever(noting, 1).aretrieve(QUESTION))
    assert found.node.get_content() == QUESTION
    assert threads != [threading.get_ident()]


def test_the_adapter_follows_a_promotion_and_a_change_of_the_model(
    store: SmallStore, adapter: "KnowledgeBaseRetriever"
) -> None:
    store.promote("g2", SECOND)
    assert [node.get_content() for node in adapter.retrieve(QUESTION)] == list(SECOND.values())
    store.promote("g3", FIRST, OTHER_MODEL)
    [found] = adapter.retrieve(QUESTION)
    assert found.get_content() == QUESTION
    assert found.metadata["embedding_model"] == OTHER_MODEL.model


# LlamaIndex's own vector store, over the alias


def test_its_own_store_follows_a_promotion(store: SmallStore) -> None:
    from rag_assets_tests.integrations.llama_index_objects import ask, own_retriever

    own = own_retriever(store, FakeEmbedder())
    assert ask(own) == [QUESTION]
    store.promote("g2", SECOND)
    assert ask(own) == list(SECOND.values())


def test_a_condition_on_the_model_finds_nothing_after_the_model_has_changed(store: SmallStore) -> None:
    from qdrant_client import models

    from rag_assets_tests.integrations.llama_index_objects import ask, own_retriever

    match = models.MatchValue(value=MODEL.model)
    same_model = models.Filter(must=[models.FieldCondition(key="embedding_model", match=match)])
    careless = own_retriever(store, FakeEmbedder())
    careful = own_retriever(store, FakeEmbedder(), vector_store_kwargs={"qdrant_filters": same_model})
    assert ask(careful) == [QUESTION]
    store.promote("g2", FIRST, OTHER_MODEL)
    assert ask(careless) != []
    assert ask(careful) == []


def test_its_own_class_for_openai_embeds_a_question_like_ours() -> None:
    from llama_index.embeddings.openai import OpenAIEmbedding

    from rag_assets.embedders.openai import OpenAIEmbedder

    with FakeOpenAI() as server:
        ours = OpenAIEmbedder("text-embedding-3-small", API_KEY, server.base_url)
        theirs = OpenAIEmbedding(
            model_name=ours.model.model, api_base=ours.model.endpoint, api_key=API_KEY, max_retries=0
        )
        question = "how do I reset a password?"
        assert theirs.get_query_embedding(question) == pytest.approx(ours.embed_query(question).tolist())
