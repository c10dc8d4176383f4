"""Another model or chunk size causes a full rebuild, while the old generation serves."""

from collections.abc import Iterator
from typing import Any

import pytest

from rag_assets.embedders.probe import PROBE_TEXTS
from rag_assets.generations.staging import Staging
from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI
from rag_assets_tests.pipeline import (
    NUM_DOCUMENTS,
    Pipeline,
    assert_same_points,
    question_about,
    text_about,
    token_in,
)

MODEL = "text-embedding-3-small"


@pytest.fixture
def openai() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as server:
        yield server


def _use(pipeline: Pipeline, server: FakeOpenAI) -> None:
    pipeline.configure(
        OPENAI_API_KEY=API_KEY,
        OPENAI_BASE_URL=server.base_url,
        RAG_EMBEDDING_MODEL=MODEL,
        RAG_TOKENIZER="wordllama",
    )


def test_search_uses_the_old_generation_during_a_rebuild(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = promoted.points()
    found_meanwhile: list[str] = []
    run_staging = Staging.run

    def search_around(self: Staging, *arguments: Any, **options: Any) -> Any:
        found_meanwhile.append(promoted.search(question_about(7))[0]["id"])
        staged = run_staging(self, *arguments, **options)
        found_meanwhile.append(promoted.search(question_about(7))[0]["id"])
        return staged

    monkeypatch.setattr(Staging, "run", search_around)
    promoted.configure(RAG_CHUNK_SIZE="48")
    run = promoted.refresh().checked()

    assert run.metadata["raw_documents"]["num_parsed"] == 0
    assert run.metadata["deduped_documents"]["num_contents_changed"] == NUM_DOCUMENTS
    assert len(found_meanwhile) == 2
    assert set(found_meanwhile) <= old.keys()
    new = promoted.points()
    assert new.keys().isdisjoint(old)
    assert promoted.search(question_about(7))[0]["id"] in new
    monkeypatch.setattr(Staging, "run", run_staging)
    assert_same_points(new, promoted.points_built_from_nothing())


def test_only_new_texts_are_sent_to_the_embedding_endpoint(empty: Pipeline, openai: FakeOpenAI) -> None:
    _use(empty, openai)
    empty.refresh().checked()
    texts = {point.payload["text"] for point in empty.points().values()}
    asked = {text for request in openai.requests for text in request.texts} - set(PROBE_TEXTS)
    assert texts <= asked
    questions = asked - texts
    assert openai.texts == len(texts) + len(questions)
    assert len(questions) <= NUM_DOCUMENTS + 1

    sent = openai.texts
    empty.write("new.md", text_about("new"))
    (empty.documents / "topic02.md").rename(empty.documents / "moved.md")
    empty.write("copy.md", (empty.documents / "topic04.md").read_bytes())
    empty.remove("topic01.md")
    run = empty.refresh().checked()
    new_texts = {point.payload["text"] for point in empty.points().values()} - texts
    assert openai.texts - sent == len(new_texts) == run.metadata["embeddings"]["num_embedded"]

    sent, probes = openai.texts, openai.probes
    empty.refresh().checked()
    assert (openai.texts, openai.probes) == (sent, probes + 1)


def test_a_rejected_candidate_is_paid_for_once(empty: Pipeline, openai: FakeOpenAI) -> None:
    _use(empty, openai)
    empty.configure(RAG_EVAL_THRESHOLD="0.999")
    assert empty.refresh().gate_passed is False
    assert empty.production().production is None
    sent = openai.texts
    empty.configure(RAG_EVAL_THRESHOLD="0.5")
    empty.refresh().checked()
    assert openai.texts == sent


def test_each_generation_is_searched_with_its_own_model(promoted: Pipeline, openai: FakeOpenAI) -> None:
    question, old = question_about(7), promoted.points()
    _use(promoted, openai)
    refused = promoted.refresh()
    assert "embedding_model changed since production was built" in refused.message
    assert openai.texts == 0
    promoted.succeed("approve", token_in(refused.message))
    promoted.refresh().checked()
    new = promoted.points()
    assert {point.payload["embedding_model"] for point in new.values()} == {MODEL}
    assert {point.vector.shape for point in new.values() if point.vector is not None} == {(1536,)}
    assert promoted.search(question)[0]["filename"] == "topic07.md"
    assert openai.requests[-1].texts == [question]

    promoted.succeed("rollback")
    sent = openai.texts
    assert promoted.search(question)[0]["id"] in old
    assert openai.texts == sent  # embedded with the recorded model of the generation
    assert promoted.refresh().checked().metadata["production_collection"]["outcome"] == "held"


def test_the_recorded_model_is_kept_and_a_missing_key_is_an_error(
    empty: Pipeline, openai: FakeOpenAI
) -> None:
    _use(empty, openai)
    empty.refresh().checked()
    export = empty.export()
    empty.unset("RAG_EMBEDDING_MODEL")
    empty.write("topic04.md", text_about("changed"))
    assert empty.refresh().checked().metadata["embeddings"]["embedding_model"] == MODEL
    changed = empty.export()
    assert changed != export

    empty.unset("OPENAI_API_KEY")
    empty.write("topic04.md", text_about("changed again"))
    run = empty.refresh()
    assert not run.success
    assert "OPENAI_API_KEY is not set" in run.message
    assert empty.export() == changed


def test_a_key_that_appears_later_does_not_change_the_model(promoted: Pipeline, openai: FakeOpenAI) -> None:
    promoted.configure(OPENAI_API_KEY=API_KEY, OPENAI_BASE_URL=openai.base_url)
    run = promoted.refresh().checked()
    assert run.metadata["embeddings"]["embedding_model"] == "l2_supercat_256"
    assert run.metadata["staging_collection"]["written"] is False
    assert openai.requests == []


def test_a_failing_embedding_endpoint_leaves_production_unchanged(
    empty: Pipeline, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rag_assets_tests import fake_openai

    _use(empty, openai)
    empty.refresh().checked()
    export = empty.export()
    empty.write("new.md", text_about("new"))
    openai.fail_next(fake_openai.status(401), times=50)
    run = empty.refresh()
    assert list(run.failures) == ["embeddings"]
    assert API_KEY not in run.message
    assert empty.export() == export


PARTIAL = ("chunks", "embeddings", "staging_collection", "eval_report", "production_collection")


@pytest.mark.parametrize("asset", PARTIAL)
def test_a_partial_run_with_different_settings_is_refused(promoted: Pipeline, asset: str) -> None:
    """The Launchpad sets another chunk size for a refresh, and the refresh is stopped before `asset`."""
    export = promoted.export()
    upstream = ("raw_documents", "deduped_documents", *PARTIAL[: PARTIAL.index(asset)])
    promoted.materialize(*upstream, launchpad={"chunk_size": 48}).checked()
    refused = promoted.materialize(asset)
    assert "different settings (chunk_size)" in refused.failures[asset]
    assert "deduped_documents and everything after it" in refused.failures[asset]
    assert promoted.export() == export
    promoted.materialize(asset, launchpad={"chunk_size": 48}).checked()
