"""A whole cycle on the server's adapter has the same result as on the embedded engine."""

import secrets
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from rag_assets.vector_stores.server.store import ServerVectorStore
from rag_assets_tests.pipeline import THRESHOLD, Pipeline, assert_same_points, question_about, text_about
from rag_assets_tests.qdrant_nodes import real_server, real_servers_or_skip
from rag_assets_tests.vector_stores.conftest import short_deadlines
from rag_assets_tests.vector_stores.server.lagging_client import LaggingClient


class _SharedClientStore(ServerVectorStore):
    """Keeps its client open: the next knowledge base uses the same in-memory server."""

    def close(self) -> None: ...


@pytest.fixture(params=["in memory", "lagging"])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "lagging":
        with short_deadlines():
            yield LaggingClient()
        return
    from qdrant_client import QdrantClient

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = QdrantClient(":memory:")
    yield client
    client.close()


def test_a_whole_cycle_on_the_adapter_equals_the_embedded_one(
    empty: Pipeline, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            "rag_assets.knowledge_base.build_vector_store",
            lambda settings: _SharedClientStore(client, settings.collection),
        )
        on_server = _cycle(empty)
    assert_same_points(on_server, empty.points_built_from_nothing())


@pytest.mark.parametrize("name", real_servers_or_skip())
def test_a_whole_cycle_on_a_server_equals_the_embedded_one(empty: Pipeline, name: str) -> None:
    server = real_server(name)
    collection = f"cycle-{secrets.token_hex(4)}"
    with server.configured(empty, collection):
        on_server = _cycle(empty)
    assert_same_points(on_server, empty.points_built_from_nothing())


def _cycle(pipeline: Pipeline) -> dict[str, Any]:
    assert pipeline.refresh().checked().metadata["production_collection"]["outcome"] == "live"
    unchanged = pipeline.refresh().checked()
    assert unchanged.metadata["staging_collection"]["written"] is False
    assert pipeline.search(question_about(7))[0]["filename"] == "topic07.md"

    first = pipeline.export()
    pipeline.write("topic03.md", text_about("changed"))
    pipeline.write("new.md", text_about("new"))
    pipeline.write("copy.md", (pipeline.documents / "topic04.md").read_bytes())
    pipeline.remove("topic01.md")
    (pipeline.documents / "topic02.md").rename(pipeline.documents / "moved.md")

    pipeline.configure(RAG_EVAL_THRESHOLD="0.999")
    generations = pipeline.generations()
    assert pipeline.refresh().gate_passed is False
    assert pipeline.export() == first
    assert pipeline.generations() == generations
    assert "below the threshold" in pipeline.materialize("production_collection").message
    pipeline.configure(RAG_EVAL_THRESHOLD=THRESHOLD)

    pipeline.refresh().checked()
    second = pipeline.export()
    assert "filesystem:moved.md" in pipeline.served()
    assert pipeline.problems_of_production() == ()

    pipeline.succeed("rollback")
    assert pipeline.export() == first
    assert pipeline.refresh().checked().metadata["production_collection"]["outcome"] == "held"
    assert pipeline.export() == first
    pipeline.succeed("resume")
    pipeline.refresh().checked()
    assert pipeline.export() == second
    assert pipeline.succeed("doctor", "--deep")

    pipeline.configure(RAG_CHUNK_SIZE="48")
    assert pipeline.refresh().checked().metadata["deduped_documents"]["full_rebuild"] is True
    return pipeline.points()


def test_a_server_that_is_away_fails_the_run_with_one_sentence(empty: Pipeline) -> None:
    empty.configure(QDRANT_URL="http://127.0.0.1:9")
    run = empty.refresh()
    assert "refuses connections" in run.message
    engine = [one.message for one in empty.instance.all_logs(run.run_id) if "eardown" in one.message]
    assert engine == []
