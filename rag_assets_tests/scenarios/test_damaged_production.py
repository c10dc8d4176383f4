"""Production damaged behind the back of its store: named, never copied, rebuilt from kept texts and vectors."""

import warnings

import pytest

from rag_assets.vector_stores.server.store import ServerVectorStore
from rag_assets_tests.alerting import AlertSensor
from rag_assets_tests.pipeline import Pipeline, assert_same_points, text_about
from rag_assets_tests.slack_receiver import SlackReceiver
from rag_assets_tests.stored_damage import damage


class _SharedClientStore(ServerVectorStore):
    def close(self) -> None: ...


@pytest.fixture(params=["embedded", "in_memory"])
def pipeline(request: pytest.FixtureRequest, empty: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Two promoted refreshes in either store."""
    if request.param == "in_memory":
        from qdrant_client import QdrantClient

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client = QdrantClient(":memory:")
        monkeypatch.setattr(
            "rag_assets.knowledge_base.build_vector_store",
            lambda settings: _SharedClientStore(client, settings.collection),
        )
    empty.refresh().checked()
    empty.write("topic03.md", text_about("second version"))
    empty.refresh().checked()
    return empty


def spoil(pipeline: Pipeline, which: str, kind: str = "two vectors swapped") -> str:
    with pipeline.knowledge_base() as knowledge_base:
        generation = getattr(knowledge_base.vector_store.production_state(), which)
        damage(knowledge_base.vector_store, generation, kind)
    return str(generation)


@pytest.mark.parametrize("change", ["none", "an edit"])
def test_the_next_refresh_builds_everything_from_what_is_kept(pipeline: Pipeline, change: str) -> None:
    before = pipeline.points()
    damaged = spoil(pipeline, "production")
    if change == "an edit":
        pipeline.write("topic05.md", text_about("third version"))
    run = pipeline.refresh().checked()
    assert run.metadata["deduped_documents"]["full_rebuild"] is True
    assert run.metadata["raw_documents"]["num_parsed"] == (change == "an edit")
    assert run.metadata["production_collection"]["outcome"] == "live"
    assert pipeline.production().previous == damaged
    assert pipeline.problems_of_production() == ()
    if change == "none":
        assert run.metadata["embeddings"]["num_embedded"] == 0
        assert_same_points(pipeline.points(), before)
    else:
        assert_same_points(pipeline.points(), pipeline.points_built_from_nothing())


@pytest.mark.parametrize("change", ["none", "an edit"])
def test_production_damaged_before_it_is_copied_fails_the_run_and_is_rebuilt_by_the_next(
    pipeline: Pipeline, change: str
) -> None:
    if change == "an edit":
        pipeline.write("topic05.md", text_about("third version"))
    pipeline.materialize("raw_documents", "deduped_documents", "chunks", "embeddings").checked()
    damaged = spoil(pipeline, "production")
    run = pipeline.materialize("staging_collection", "eval_report", "production_collection")
    assert damaged in run.message
    assert list(run.outcomes.values()) == ["failed"]
    assert pipeline.production().production == damaged
    assert pipeline.status()["production"]["problem"]
    assert pipeline.refresh().checked().metadata["deduped_documents"]["full_rebuild"] is True
    assert pipeline.production().previous == damaged
    assert pipeline.problems_of_production() == ()


def test_a_rollback_to_a_damaged_generation_is_refused_by_name(pipeline: Pipeline) -> None:
    before = pipeline.production()
    damaged = spoil(pipeline, "previous")
    code, _, errors = pipeline.command("rollback")
    assert code == 1
    assert damaged in errors
    assert pipeline.production() == before


def test_status_names_damaged_production(promoted: Pipeline) -> None:
    damaged = spoil(promoted, "production")
    assert damaged in promoted.status()["production"]["problem"]
    assert "DAMAGED" in promoted.succeed("status")


def test_a_rebuild_after_damage_is_alerted_once(promoted: Pipeline) -> None:
    with SlackReceiver() as slack:
        promoted.configure(SLACK_WEBHOOK_URL=slack.url)
        damaged = spoil(promoted, "production")
        sensor = AlertSensor(promoted, slack)
        promoted.refresh().checked()
        text = sensor.only()
        promoted.refresh().checked()
        assert sensor.tick() == []
    assert "Production was damaged" in text
    assert damaged in text
    assert str(promoted.production().production) in text


def test_a_search_in_production_known_as_damaged_warns(
    promoted: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = spoil(promoted, "production")
    promoted.write("topic05.md", text_about("a version that fails its gate"))
    promoted.materialize("raw_documents", "deduped_documents").checked()
    with promoted.knowledge_base() as knowledge_base, knowledge_base.retriever() as retriever:
        assert retriever.search("a question")
    [warning] = [
        record.getMessage() for record in caplog.records if "answers may be wrong" in record.getMessage()
    ]
    assert damaged in warning
