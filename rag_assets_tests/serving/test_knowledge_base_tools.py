"""The tools on small generations with access lists, without a server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_assets.document_metadata.values import Metadata
from rag_assets.errors import CallRefused, ConfigurationError, EmbedderUnavailable, ModelChanged
from rag_assets.retrieval import Retriever
from rag_assets.serving.access import AccessFilter
from rag_assets.serving.knowledge_base_tools import KnowledgeBaseTools
from rag_assets.serving.rate_limit import RateLimit
from rag_assets.vector_stores.base import VectorStore
from rag_assets.vector_stores.embedded.store import EmbeddedVectorStore
from rag_assets_tests.documents import document, embedder_of, stage
from rag_assets_tests.in_memory_vector_store import InMemoryVectorStore

TEXT = "Everyone gets thirty days.\n"
MERGER_TEXT = "The merger happens in spring.\n"
CLOSED = document(
    "board/leave.md",
    TEXT,
    source="a-board",
    title="The merger",
    access=("board",),
    metadata=Metadata.of({"project": "Falcon", "year": 2024}),
)
MERGER = document("board/merger.md", MERGER_TEXT, source="a-board", access=("board",))
OPEN = document(
    "hr/leave.md",
    TEXT,
    source="b-wiki",
    title="Leave",
    access=("staff", "board"),
    metadata=Metadata.of({"year": 2026}),
)
COPY = document("old/leave.md", TEXT, source="b-wiki", access=("staff",))
SECRETS = ("merger", "Falcon", "a-board", "board", "project", "2024")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> VectorStore:
    store = EmbeddedVectorStore(tmp_path_factory.mktemp("tools"), "kb")
    stage(store, "g1", [CLOSED, MERGER, OPEN, COPY], [TEXT, MERGER_TEXT])
    store.promote("g1", None)
    return store


def tools_on(
    store: VectorStore, access: str = "", embedder: Callable[..., Any] = embedder_of
) -> KnowledgeBaseTools:
    return KnowledgeBaseTools("kb", Retriever(store, embedder), AccessFilter.of(access), RateLimit(1_000))


def refusal(tools: KnowledgeBaseTools, name: str, **arguments: Any) -> str:
    with pytest.raises(CallRefused) as caught:
        tools.call(name, arguments)
    return str(caught.value)


def test_a_closed_location_of_a_readable_text_is_not_shown(store: VectorStore) -> None:
    tools = tools_on(store, "access=staff")
    [hit] = tools.call("search", {"query": "How many days?"})["hits"]
    assert (hit["document_id"], hit["title"]) == ("b-wiki:hr/leave.md", "Leave")
    assert [other["document_id"] for other in hit["other_locations"]] == ["b-wiki:old/leave.md"]
    read = tools.call("get_document", {"document_id": "b-wiki:hr/leave.md"})
    status = tools.call("status", {})
    shown = f"{hit} {read} {status}"
    assert [word for word in SECRETS if word in shown] == []


def test_without_a_filter_all_locations_are_shown(store: VectorStore) -> None:
    hits = tools_on(store).call("search", {"query": "How many days?"})["hits"]
    [hit] = [hit for hit in hits if "thirty" in hit["text"]]
    assert hit["metadata"] == {"project": "Falcon", "year": 2024}
    assert len(hit["other_locations"]) == 2


def test_a_hit_without_a_title_has_the_name_of_its_file(store: VectorStore) -> None:
    read = tools_on(store).call("get_document", {"document_id": "b-wiki:old/leave.md"})
    assert read["title"] == "leave.md"


@pytest.mark.parametrize("key", ["project", "year", "projekt", "never"])
def test_no_error_tells_whether_a_hidden_document_has_a_metadata_key(store: VectorStore, key: str) -> None:
    tools = tools_on(store, "access=nobody")
    for expression in (f"metadata.{key}=Falcon", f"metadata.{key}>=2000", f"metadata.{key}=2024"):
        assert tools.call("search", {"query": "days", "filters": [expression]})["hits"] == []
    with pytest.raises(CallRefused) as caught:
        tools_on(store).call("search", {"query": "days", "filters": ["metadata.projekt=Falcon"]})
    assert "did you mean metadata.project?" in str(caught.value)


def test_conditions_of_a_caller_hold_for_a_readable_location(store: VectorStore) -> None:
    tools = tools_on(store, "access=staff")

    def found(*filters: str) -> list[str]:
        hits = tools.call("search", {"query": "days", "filters": list(filters)})["hits"]
        return [hit["document_id"] for hit in hits]

    assert found("title=Leave") == ["b-wiki:hr/leave.md"]
    assert found("title=The merger") == found("source=a-board") == found("metadata.year=2024") == []
    assert found("metadata.year=2026") == ["b-wiki:hr/leave.md"]


@pytest.mark.parametrize("expression", ["access=board", "access=staff,board", "access=b*", " access =staff"])
def test_no_caller_may_try_out_names_in_access_lists(store: VectorStore, expression: str) -> None:
    for access in ("", "access=staff"):
        said = refusal(tools_on(store, access), "search", query="days", filters=[expression])
        assert said == "cannot filter by access: the server has one access filter for all callers"


def test_a_closed_document_and_one_that_never_was_give_equal_answers(store: VectorStore) -> None:
    tools = tools_on(store, "access=staff")
    names = ("a-board:board/merger.md", "a-board:board/leave.md", "a-board:never.md")
    assert {refusal(tools, "get_document", document_id=name) for name in names} == {
        "no readable document has this id"
    }
    assert len({refusal(tools, "get_document", document_id=name, first_chunk=1) for name in names}) == 1


def test_only_a_reader_of_every_document_gets_numbers_of_documents(store: VectorStore) -> None:
    status = tools_on(store).call("status", {})
    assert (status["num_documents"], status["num_chunks"], status["is_filtered"]) == (4, 2, False)
    assert status["metadata"] == {"project": ["text"], "year": ["number"]}
    assert set(tools_on(store, "access=staff").call("status", {})) == {
        *("knowledge_base", "generation", "sealed_at", "age", "is_filtered"),
    }


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (EmbedderUnavailable("http://models.intern/v1 says: merger"), "retry in a minute"),
        (ModelChanged("another model than Falcon answers"), "the server cannot answer"),
        (ConfigurationError("the endpoint http://models.intern is another one"), "the server cannot answer"),
        (ValueError("board/merger.md"), "the server cannot answer"),
    ],
)
def test_an_error_of_the_server_is_in_its_log_and_not_in_the_answer(
    store: VectorStore, caplog: pytest.LogCaptureFixture, error: Exception, said: str
) -> None:
    def broken(_: Any) -> Any:
        raise error

    for tool, arguments in (
        ("search", {"query": "days"}),
        ("status", {}),
        ("get_document", {"document_id": "x"}),
    ):
        message = refusal(tools_on(store, "access=staff", broken), tool, **arguments)
        assert said in message
        assert not any(word in message for word in (*SECRETS, "intern"))
    assert str(error) in caplog.text


def test_before_the_first_promotion_every_tool_says_so() -> None:
    tools = tools_on(InMemoryVectorStore())
    for tool, arguments in (
        ("search", {"query": "days"}),
        ("status", {}),
        ("get_document", {"document_id": "x"}),
    ):
        assert refusal(tools, tool, **arguments).startswith("nothing is in production yet")


def test_a_filter_that_fits_no_metadata_stops_the_server_and_hides_everything(store: VectorStore) -> None:
    tools = tools_on(store, "metadata.departement=HR")
    with pytest.raises(ConfigurationError, match=r"RAG_MCP_FILTER: no document has metadata.departement"):
        tools.check_access()
    for tool, arguments in (
        ("search", {"query": "days"}),
        ("status", {}),
        ("get_document", {"document_id": "x"}),
    ):
        assert "departement" not in refusal(tools, tool, **arguments)
    tools_on(store, "metadata.year>=2025").check_access()
    tools_on(InMemoryVectorStore(), "metadata.departement=HR").check_access()


@pytest.mark.parametrize(
    "text", ["acess=staff", "staff", ";", " ", "access=staff;", "path=a*,b*", "modified_at=2026", "access>=3"]
)
def test_an_access_filter_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^RAG_MCP_FILTER: "):
        AccessFilter.of(text)


def test_several_conditions_of_an_access_filter_hold_together(store: VectorStore) -> None:
    tools = tools_on(store, "access=staff; path=hr/*")
    [hit] = tools.call("search", {"query": "days"})["hits"]
    assert (hit["path"], hit["other_locations"]) == ("hr/leave.md", [])
    assert tools_on(store, "access=staff;path=board/*").call("search", {"query": "days"})["hits"] == []


def test_white_space_is_no_question(store: VectorStore) -> None:
    assert "white space" in refusal(tools_on(store), "search", query=" \n\t")


def test_too_many_calls_are_refused_before_they_cost_anything(store: VectorStore) -> None:
    asked: list[str] = []

    def counting(manifest: Any) -> Any:
        asked.append(manifest.generation)
        return embedder_of(manifest)

    tools = KnowledgeBaseTools("kb", Retriever(store, counting), AccessFilter(), RateLimit(2))
    tools.call("search", {"query": "days"})
    tools.call("status", {})
    assert "at most 2 per minute" in refusal(tools, "search", query="days")
    assert len(asked) == 1


def test_a_state_folder_that_is_a_file_is_an_error_of_the_operator(tmp_path: Path) -> None:
    (tmp_path / "kb").write_text("no folder")
    tools = tools_on(EmbeddedVectorStore(tmp_path, "kb"))
    assert str(tmp_path) not in refusal(tools, "status")
