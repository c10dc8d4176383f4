"""The model behind a name: another one is noticed, and the same one at another address is recognized."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from rag_assets.embedders.base import EmbeddedBatch
from rag_assets.embedders.wordllama import WordLlamaEmbedder
from rag_assets.errors import ModelChanged
from rag_assets.generations.staging import Staging
from rag_assets.knowledge_base import open_retriever
from rag_assets_tests import fake_openai
from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI
from rag_assets_tests.pipeline import (
    NUM_DOCUMENTS,
    Pipeline,
    question_about,
    text_about,
    token_in,
)

MODEL = "text-embedding-3-small"


@pytest.fixture
def built(empty: Pipeline, server: FakeOpenAI) -> Pipeline:
    """A knowledge base with 20 right answers from the endpoint, and no keyword search to hide wrong vectors."""
    empty.configure(
        OPENAI_API_KEY=API_KEY,
        OPENAI_BASE_URL=server.base_url,
        RAG_EMBEDDING_MODEL=MODEL,
        RAG_TOKENIZER="wordllama",
        RAG_DENSE_WEIGHT="1",
    )
    empty.refresh().checked()
    assert right_answers() == NUM_DOCUMENTS
    return empty


@pytest.fixture
def elsewhere() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as running:
        yield running


def right_answers() -> int:
    """Ask every question of the benchmark in the way of an application."""
    with open_retriever() as retriever:
        return sum(
            retriever.search(question_about(number), 1)[0].locations[0].path == f"topic{number:02}.md"
            for number in range(NUM_DOCUMENTS)
        )


def test_other_weights_under_the_same_name_stop_the_refresh_and_the_search(
    built: Pipeline, server: FakeOpenAI
) -> None:
    """Before: Recall@5 stayed at 1.000, from cached question vectors, and 0 of 20 answers were right."""
    before = built.export()
    server.weights = "b"
    run = built.refresh()
    assert not run.success
    assert MODEL in run.message
    token_in(run.message)
    assert built.export() == before
    with open_retriever() as retriever, pytest.raises(ModelChanged, match=MODEL):
        retriever.search(question_about(7))
    assert built.command("search", question_about(7))[0] == 1


def test_an_approval_admits_one_rebuild_with_the_other_weights(built: Pipeline, server: FakeOpenAI) -> None:
    server.weights = "b"
    token = token_in(built.refresh().message)
    texts = {point.payload["text"] for point in built.points().values()}
    built.succeed("approve", token)
    run = built.refresh().checked()
    # Neither the documents nor the questions are answered from the vectors of the other weights.
    assert run.metadata["embeddings"]["num_embedded"] == len(texts)
    assert right_answers() == NUM_DOCUMENTS
    built.refresh().checked()

    server.weights = "c"
    assert token_in(built.refresh().message) != token


def test_the_same_model_at_another_address_embeds_nothing_again(
    built: Pipeline, server: FakeOpenAI, elsewhere: FakeOpenAI
) -> None:
    before = built.points()
    built.configure(OPENAI_BASE_URL=elsewhere.base_url)
    assert right_answers() == NUM_DOCUMENTS
    asked = len(server.requests)
    run = built.refresh().checked()
    assert run.metadata["deduped_documents"]["full_rebuild"] is False
    assert run.metadata["embeddings"]["num_texts"] == 0
    assert built.points().keys() == before.keys()
    built.write("new.md", text_about("new"))
    run = built.refresh().checked()
    texts = {point.payload["text"] for point in built.points().values()}
    assert (
        run.metadata["embeddings"]["num_embedded"]
        == len(texts) - len({point.payload["text"] for point in before.values()})
        > 0
    )
    assert len(server.requests) == asked
    assert right_answers() == NUM_DOCUMENTS


def test_an_endpoint_without_an_answer_is_named_in_status(built: Pipeline, server: FakeOpenAI) -> None:
    built.refresh().checked()
    assert "verified" not in built.succeed("status").lower()
    before = built.production()
    server.fail_next(fake_openai.status(401), times=50)
    run = built.refresh().checked()
    assert run.metadata["staging_collection"]["written"] is False
    assert built.production() == before
    assert "NOT VERIFIED" in built.succeed("status")
    check = built.status()["model_check"]
    assert check["outcome"] == "unverified"
    assert check["verified_at"]


def test_a_deletion_waits_for_an_answer_of_the_model(built: Pipeline, server: FakeOpenAI) -> None:
    """Nothing is embedded, but its gate would count cached question vectors."""
    before = built.production()
    built.remove("topic03.md")
    server.fail_next(fake_openai.status(401), times=50)
    run = built.refresh()
    assert list(run.failures) == ["staging_collection"]
    assert built.production() == before
    server.forget_faults()
    built.refresh().checked()
    assert "filesystem:topic03.md" not in built.served()


def test_weights_that_change_during_a_refresh_do_not_go_live(
    built: Pipeline, server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = built.production()
    run_staging = Staging.run

    def change_then_run(self: Staging, *arguments: Any, **options: Any) -> Any:
        server.weights = "b"
        return run_staging(self, *arguments, **options)

    monkeypatch.setattr(Staging, "run", change_then_run)
    built.write("new.md", text_about("new"))
    run = built.refresh()
    assert list(run.failures) == ["eval_report"]
    assert "does not give the vectors" in run.message
    assert built.production() == before


def test_a_plan_after_the_refusal_shows_the_rebuild_and_its_token(
    built: Pipeline, server: FakeOpenAI
) -> None:
    server.weights = "b"
    token = token_in(built.refresh().message)
    asked = len(server.requests)
    planned = built.json("plan", "--json")
    assert planned["deduped_documents"]["full_rebuild"] is True
    assert planned["deduped_documents"]["rebuild_refused"]["token"] == token
    assert planned["embeddings"]["num_embedded"] == planned["embeddings"]["num_texts"] > 0
    assert token in built.succeed("plan")
    assert "MODEL CHANGED" in built.succeed("status")
    assert len(server.requests) == asked


def test_a_free_local_model_is_rebuilt_without_asking(
    promoted: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed = WordLlamaEmbedder.embed_documents

    def turned(self: WordLlamaEmbedder, texts: Sequence[str]) -> EmbeddedBatch:
        embedded = embed(self, texts)
        return EmbeddedBatch(np.roll(embedded.vectors, 1, axis=1), embedded.tokens)

    before = promoted.points()
    monkeypatch.setattr(WordLlamaEmbedder, "embed_documents", turned)
    with open_retriever() as retriever, pytest.raises(ModelChanged):
        retriever.search(question_about(7))
    run = promoted.refresh().checked()
    assert run.metadata["deduped_documents"]["full_rebuild"] is True
    assert run.metadata["embeddings"]["num_cached"] == 0
    assert promoted.points().keys().isdisjoint(before)
    assert "gives other vectors than production was built with" in promoted.succeed("status")
    assert promoted.search(question_about(7))[0]["filename"] == "topic07.md"
    run = promoted.refresh().checked()
    assert run.metadata["staging_collection"]["written"] is False
    assert "other vectors" not in promoted.succeed("status")
