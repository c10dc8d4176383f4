"""A hit found by a filter shows only the locations that meet it. The others may be closed to its reader."""

from collections.abc import Iterator
from typing import Any

import pytest

from rag_assets.document_metadata.values import Metadata
from rag_assets.errors import GenerationDamaged
from rag_assets.records import Condition, SearchFilter, SearchHit
from rag_assets.retrieval import Retriever
from rag_assets_tests.documents import document, embedder_of, stage
from rag_assets_tests.in_memory_vector_store import InMemoryVectorStore
from rag_assets_tests.vector_stores.conftest import KINDS, open_backend

TEXT = "Everyone gets thirty days.\n"
CLOSED = document(
    "board/merger.md",
    TEXT,
    source="a-board",
    title="The merger",
    access=("board",),
    modified_at="2024-01-01T00:00:00Z",
    metadata=Metadata.of({"project": "Falcon", "year": 2024}),
)
OPEN = document(
    "hr/leave.md",
    TEXT,
    source="b-wiki",
    title="Leave",
    access=("staff", "board"),
    modified_at="2026-01-01T00:00:00Z",
    metadata=Metadata.of({"project": "Handbook", "year": 2026}),
)
PUBLIC = document("leave.md", TEXT, source="c-files", title="Leave, a copy", access=None)
SECRETS = ("merger", "Falcon", "a-board")


@pytest.fixture(scope="module", params=KINDS)
def retriever(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Retriever]:
    """One text at three places. By document id the closed one is the first."""
    with open_backend(request.param, tmp_path_factory.mktemp("places")) as backend:
        store = backend.open()
        stage(store, "g1", [CLOSED, OPEN, PUBLIC], [TEXT])
        store.promote("g1", None)
        with Retriever(store, embedder_of) as opened:
            yield opened


def hit_of(retriever: Retriever, *conditions: tuple[str, Any, Any]) -> SearchHit:
    wanted = SearchFilter(tuple(Condition(*condition) for condition in conditions))
    [hit] = retriever.search("How many days?", 5, wanted)
    return hit


def test_without_a_filter_a_hit_has_all_locations(retriever: Retriever) -> None:
    [hit] = retriever.search("How many days?", 5)
    assert hit.locations == (CLOSED.location, OPEN.location, PUBLIC.location)


@pytest.mark.parametrize(
    "conditions",
    [
        [("access", "any_of", ["staff"])],
        [("access", "equals", "staff")],
        [("access", "any_of", ["staff", "guests"]), ("path", "prefix", "hr/")],
        [("access", "any_of", ["board"]), ("metadata.year", "range", {"gte": 2025})],
        [("access", "any_of", ["staff"]), ("chunk_index", "equals", 0)],
        [("title", "equals", "Leave")],
        [("metadata.project", "equals", "Handbook")],
        [("metadata.year", "any_of", [2026, 2027])],
        [("modified_at", "range", {"gte": "2026-01-01"}), ("access", "any_of", ["board"])],
    ],
)
def test_a_closed_location_is_nowhere_in_the_hit(
    retriever: Retriever, conditions: list[tuple[str, Any, Any]]
) -> None:
    hit = hit_of(retriever, *conditions)
    assert hit.locations == (OPEN.location,)
    assert (hit.to_metadata()["path"], hit.to_metadata()["project"]) == ("hr/leave.md", "Handbook")
    shown = f"{hit} {hit.payload} {hit.to_metadata()}"
    assert [word for word in SECRETS if word in shown] == []


def test_all_locations_that_meet_the_filter_are_shown_in_their_order(retriever: Retriever) -> None:
    assert hit_of(retriever, ("access", "any_of", ["board"])).locations == (CLOSED.location, OPEN.location)
    named = hit_of(retriever, ("filename", "equals", "leave.md"))
    assert named.locations == (OPEN.location, PUBLIC.location)


def test_a_condition_on_the_chunk_leaves_all_locations(retriever: Retriever) -> None:
    hit = hit_of(retriever, ("chunk_index", "equals", 0))
    assert hit.locations == (CLOSED.location, OPEN.location, PUBLIC.location)


def test_a_location_without_access_lists_is_not_shown_to_a_filtered_reader(retriever: Retriever) -> None:
    shown = hit_of(retriever, ("access", "any_of", ["staff"])).to_metadata()
    assert [location["path"] for location in shown["locations"]] == ["hr/leave.md"]


def test_a_point_found_against_the_filter_is_an_error_and_not_an_answer() -> None:
    store = InMemoryVectorStore()  # it ignores filters, like an index that contradicts its points
    stage(store, "g1", [CLOSED], [TEXT])
    store.promote("g1", None)
    with pytest.raises(GenerationDamaged, match="none of its locations meets") as caught:
        hit_of(Retriever(store, embedder_of), ("access", "any_of", ["staff"]))
    assert [word for word in SECRETS if word in str(caught.value)] == []
