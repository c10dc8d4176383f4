"""Servers that speak OpenAI's API in their own way. Their answers are in `compatible_servers`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from rag_assets.embedders.base import Embedder
from rag_assets.embedders.model_identity import identify
from rag_assets.embedders.openai import OpenAIEmbedder
from rag_assets.embedding import EmbeddingUsage, embed_texts
from rag_assets.errors import ConfigurationError, EmbedderUnavailable, InvalidVectorError, TextRefused
from rag_assets.ledgers.sqlite import SqliteLedger
from rag_assets.records import Vector
from rag_assets_tests import compatible_servers as servers
from rag_assets_tests import fake_openai
from rag_assets_tests.documents import hashed
from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI, vector_of

TEXTS = [f"text number {number}" for number in range(230)]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    found = SqliteLedger(tmp_path / "ledger.sqlite", "kb")
    yield found
    found.close()


@pytest.fixture
def embedder(server: FakeOpenAI) -> Iterator[OpenAIEmbedder]:
    made = OpenAIEmbedder("tiny-embedding", API_KEY, server.base_url, max_retries=0, timeout_seconds=5)
    yield made
    made.close()


def embed(embedder: Embedder, ledger: SqliteLedger, texts: Sequence[str] = TEXTS) -> dict[str, Vector]:
    pairs = [(hashed(text), text) for text in texts]
    return dict(embed_texts(pairs, embedder, ledger, EmbeddingUsage()))


def assert_right(vectors: dict[str, Vector], texts: Sequence[str] = TEXTS) -> None:
    assert list(vectors) == [hashed(text) for text in texts]
    for text in texts:
        np.testing.assert_allclose(vectors[hashed(text)], vector_of(text, 32), atol=1e-6)


@pytest.mark.parametrize("habits", [servers.TEI, servers.DASHSCOPE], ids=["TEI", "DashScope"])
def test_a_limit_of_texts_per_request_is_found_once(
    server: FakeOpenAI, embedder: OpenAIEmbedder, ledger: SqliteLedger, habits: tuple[fake_openai.Fault, ...]
) -> None:
    server.habits = list(habits)
    assert_right(embed(embedder, ledger))
    limit = 32 if habits is servers.TEI else 10
    assert embedder.batch_size == limit
    refused = [request for request in server.requests if len(request.texts) > limit]
    assert len(refused) <= 5
    sent = sum(len(request.texts) for request in server.requests) - sum(len(it.texts) for it in refused)
    assert sent <= len(TEXTS) + 4  # and the probes


@pytest.mark.parametrize("limit", [1, 2])
def test_a_server_may_accept_fewer_texts_than_the_probe_has(
    server: FakeOpenAI, embedder: OpenAIEmbedder, ledger: SqliteLedger, limit: int
) -> None:
    server.habits = [servers.at_most(limit)]
    identified = identify(embedder, None, ledger)
    assert identified.embedder.model.dimensions == 32
    assert_right(embed(identified.embedder, ledger, TEXTS[:9]), TEXTS[:9])
    assert embedder.batch_size == limit
    assert all(request.texts != ["dimension"] for request in server.requests)


def test_refused_texts_are_found_beside_a_limit_of_texts(
    server: FakeOpenAI, embedder: OpenAIEmbedder, ledger: SqliteLedger
) -> None:
    server.habits = [servers.at_most(10), servers.without("number (3|150|151)$")]
    refused: dict[str, str] = {}
    pairs = [(hashed(text), text) for text in TEXTS]
    vectors = dict(embed_texts(pairs, embedder, ledger, EmbeddingUsage(), refused=refused))
    bad = [TEXTS[number] for number in (3, 150, 151)]
    assert list(refused) == [hashed(text) for text in bad]
    assert_right(vectors, [text for text in TEXTS if text not in bad])
    assert embedder.batch_size == 10
    with pytest.raises(TextRefused, match=r"refused by the model tiny-embedding \(status 400\)"):
        embed(embedder, ledger)


def test_an_endpoint_that_begins_to_refuse_everything_is_at_fault(
    server: FakeOpenAI, embedder: OpenAIEmbedder, ledger: SqliteLedger
) -> None:
    embed(embedder, ledger, TEXTS[:150])
    server.habits = [servers.at_most(0, 400)]
    refused: dict[str, str] = {}
    pairs = [(hashed(text), text) for text in TEXTS]
    with pytest.raises(ConfigurationError, match="refused the request"):
        list(embed_texts(pairs, embedder, ledger, EmbeddingUsage(), refused=refused))
    assert refused == {}


def test_texts_that_are_all_too_long_are_not_blamed_one_by_one(
    server: FakeOpenAI, embedder: OpenAIEmbedder, ledger: SqliteLedger
) -> None:
    server.habits = [servers.without("text number")]
    pairs = [(hashed(text), text) for text in TEXTS]
    with pytest.raises(ConfigurationError, match="RAG_CHUNK_SIZE"):
        list(embed_texts(pairs, embedder, ledger, EmbeddingUsage(), refused={}))


def test_a_question_is_asked_in_the_form_that_the_server_accepts(
    server: FakeOpenAI, embedder: OpenAIEmbedder
) -> None:
    server.habits = [servers.no_base64(), *servers.TEI]
    np.testing.assert_allclose(embedder.embed_query("why?"), vector_of("why?", 32), atol=1e-6)
    with pytest.raises(TextRefused, match="the question is too long for the model tiny-embedding"):
        embedder.embed_query("why? " * 200)


@pytest.mark.parametrize("name", ["vLLM", "Ollama", "llama.cpp", "LM Studio"])
def test_servers_without_a_limit_of_texts_are_understood(
    server: FakeOpenAI, embedder: OpenAIEmbedder, ledger: SqliteLedger, name: str
) -> None:
    server.habits = list(servers.SERVERS[name])
    assert_right(embed(embedder, ledger))
    assert embedder.batch_size == 100


def test_an_error_500_that_disappears_for_fewer_texts_is_a_limit(
    server: FakeOpenAI, embedder: OpenAIEmbedder, ledger: SqliteLedger
) -> None:
    server.habits = [servers.at_most(16, 500, servers.llama_cpp_error)]
    assert_right(embed(embedder, ledger))
    assert embedder.batch_size == 16


def test_an_error_500_of_every_request_is_a_failure_of_the_server(
    server: FakeOpenAI, embedder: OpenAIEmbedder, ledger: SqliteLedger
) -> None:
    server.habits = [servers.at_most(0, 500, servers.llama_cpp_error)]
    embedder.expect_dimensions(32)
    with pytest.raises(EmbedderUnavailable, match="500"):
        embed(embedder, ledger)
    assert len(server.requests) <= 4


@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_server_that_refuses_base64_is_asked_for_numbers_from_then_on(
    server: FakeOpenAI, embedder: OpenAIEmbedder, ledger: SqliteLedger, status: int
) -> None:
    server.habits = [servers.no_base64(status)]
    assert_right(embed(embedder, ledger))
    formats = [request.body["encoding_format"] for request in server.requests]
    assert formats == ["base64", *["float"] * (len(formats) - 1)]


def test_a_server_may_refuse_base64_and_limit_the_texts(
    server: FakeOpenAI, embedder: OpenAIEmbedder, ledger: SqliteLedger
) -> None:
    server.habits = [servers.no_base64(), *servers.TEI]
    embedder.expect_dimensions(32)
    assert_right(embed(embedder, ledger))
    assert embedder.batch_size == 32


def test_a_refused_text_does_not_turn_base64_off(server: FakeOpenAI, embedder: OpenAIEmbedder) -> None:
    embedder.embed_documents(TEXTS[:2])
    server.fail_next(fake_openai.status(400))
    with pytest.raises(ConfigurationError):
        embedder.embed_documents(TEXTS[:2])
    embedder.embed_documents(TEXTS[:2])
    assert {request.body["encoding_format"] for request in server.requests} == {"base64"}


@pytest.mark.parametrize("habit", [servers.no_index_of_the_first, servers.no_index_at_all])
def test_a_missing_index_is_understood(
    server: FakeOpenAI, embedder: OpenAIEmbedder, ledger: SqliteLedger, habit: fake_openai.Fault
) -> None:
    server.habits = [habit]
    assert_right(embed(embedder, ledger))


def test_the_first_text_is_found_by_its_missing_index_in_any_order(
    server: FakeOpenAI, embedder: OpenAIEmbedder, ledger: SqliteLedger
) -> None:
    server.habits = [fake_openai.reversed_order, servers.no_index_of_the_first]
    assert_right(embed(embedder, ledger))


@pytest.mark.parametrize("missing", [(1,), (0, 2)])
def test_an_index_missing_elsewhere_is_refused(
    server: FakeOpenAI, embedder: OpenAIEmbedder, missing: tuple[int, ...]
) -> None:
    _ = embedder.model

    def fault(request: fake_openai.Request, reply: fake_openai.Reply) -> None:
        for number in missing:
            del reply.body["data"][number]["index"]

    server.fail_next(fault)
    with pytest.raises(InvalidVectorError, match="index"):
        embedder.embed_documents(TEXTS[:4])


def test_a_requested_length_that_does_not_come_back_is_an_error_with_both_lengths(server: FakeOpenAI) -> None:
    server.habits = [servers.dimensions_ignored(48)]
    embedder = OpenAIEmbedder("tiny-embedding", API_KEY, server.base_url, dimensions=16, max_retries=0)
    with pytest.raises(ConfigurationError, match=r"48.*16.*leave .*dimensions.* out"):
        embedder.embed_documents(TEXTS[:2])


@pytest.mark.parametrize("name", ["text-embedding-3-small", "tiny-embedding"])
def test_elsewhere_the_first_answer_decides_the_dimension(server: FakeOpenAI, name: str) -> None:
    server.habits = [servers.dimensions_ignored(48)]
    embedder = OpenAIEmbedder(name, API_KEY, server.base_url, max_retries=0)
    assert embedder.model.dimensions == 48
    server.habits = [servers.dimensions_ignored(96)]
    with pytest.raises(InvalidVectorError, match=rf"{name} at {server.base_url} .* 96 .* 48"):
        embedder.embed_documents(TEXTS[:2])


@pytest.mark.parametrize("length", [768, 3072])
def test_at_openais_own_address_another_dimension_is_refused_by_name(
    server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr("rag_assets.embedders.openai.OPENAI_BASE_URL", server.base_url)
    server.habits = [servers.dimensions_ignored(length)]
    embedder = OpenAIEmbedder("text-embedding-3-small", API_KEY, server.base_url, max_retries=0)
    assert embedder.model.dimensions == 1536
    with pytest.raises(InvalidVectorError, match=rf"text-embedding-3-small at .* {length} .* 1536"):
        embedder.embed_documents(TEXTS[:2])
