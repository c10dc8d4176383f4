import logging
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from rag_assets.embedders.openai import MAX_REQUEST_BYTES, OpenAIEmbedder
from rag_assets.errors import ConfigurationError, EmbedderUnavailable, InvalidVectorError, RagAssetsError
from rag_assets.openai_endpoint import OPENAI_BASE_URL, normalize_base_url
from rag_assets.records import EmbeddingModel
from rag_assets_tests import fake_openai
from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI, cosine, status, vector_of

SECRET_TEXT = "the salary of Jane Roe"
TEXTS = ["hello world", SECRET_TEXT, "日本語 naïve \U0001f98b"]
SMALL = "text-embedding-3-small"


@pytest.fixture
def embedder(server: FakeOpenAI) -> Iterator[OpenAIEmbedder]:
    made = OpenAIEmbedder(SMALL, API_KEY, server.base_url, max_retries=0, timeout_seconds=5)
    yield made
    made.close()


def assert_tells_nothing(error: RagAssetsError):
    """The message holds neither the key nor the input. Dagster's record of the error does not either."""
    for shown in (str(error), repr(error), repr(error.args)):
        assert API_KEY not in shown
        assert SECRET_TEXT not in shown
        assert "Bearer" not in shown
    assert error.__cause__ is None
    assert error.__context__ is None


def test_vectors_come_in_order_with_the_tokens_that_were_billed(server: FakeOpenAI, embedder: OpenAIEmbedder):
    batch = embedder.embed_documents(TEXTS)
    expected = np.stack([vector_of(text, 1536) for text in TEXTS])
    np.testing.assert_allclose(batch.vectors, expected, atol=1e-6)
    assert batch.vectors.dtype == np.float32
    assert batch.tokens == server.tokens == 2 + 5 + 3
    assert server.texts == len(TEXTS)
    (request,) = server.requests
    assert request.body == {"model": SMALL, "input": TEXTS, "encoding_format": "base64"}
    assert request.headers["authorization"] == f"Bearer {API_KEY}"


def test_a_query_is_near_texts_with_its_words(embedder: OpenAIEmbedder):
    query = embedder.embed_query("hello there world")
    assert query.shape == (1536,)
    near, far = embedder.embed_documents(["hello world", "something else entirely"]).vectors
    assert cosine(query, near) > 0.6 > 0.3 > cosine(query, far)


def test_known_models_need_no_request_at_openais_own_address():
    for name, dimensions in [
        (SMALL, 1536),
        ("text-embedding-3-large", 3072),
        ("text-embedding-ada-002", 1536),
    ]:
        embedder = OpenAIEmbedder(name, API_KEY)
        assert embedder.model == EmbeddingModel("openai", name, dimensions, endpoint=OPENAI_BASE_URL)
        assert "_client" not in vars(embedder)


def test_the_dimension_of_an_unknown_model_is_found_by_one_request(server: FakeOpenAI):
    embedder = OpenAIEmbedder("tiny-embedding", API_KEY, server.base_url)
    threads = [threading.Thread(target=lambda: embedder.model) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert embedder.model.dimensions == 32
    assert len(server.requests) == 1
    assert embedder.embed_documents(TEXTS).vectors.shape == (3, 32)
    assert len(server.requests) == 2


def test_an_expected_dimension_needs_no_request(server: FakeOpenAI):
    embedder = OpenAIEmbedder("tiny-embedding", API_KEY, server.base_url)
    assert embedder.known_dimensions is None
    embedder.expect_dimensions(32)
    assert embedder.model.dimensions == embedder.known_dimensions == 32
    assert server.requests == []


def test_a_failed_probe_is_tried_again(server: FakeOpenAI):
    embedder = OpenAIEmbedder("tiny-embedding", API_KEY, server.base_url, max_retries=0)
    server.fail_next(status(503))
    with pytest.raises(EmbedderUnavailable):
        _ = embedder.model
    assert embedder.model.dimensions == 32


def test_shortened_vectors_are_requested_and_checked(server: FakeOpenAI):
    embedder = OpenAIEmbedder(SMALL, API_KEY, server.base_url, dimensions=256)
    assert embedder.model.dimensions == 256
    assert embedder.embed_documents(TEXTS).vectors.shape == (3, 256)
    assert server.requests[0].body["dimensions"] == 256
    np.testing.assert_allclose(np.linalg.norm(embedder.embed_query("x")), 1, atol=1e-6)


def test_the_order_is_restored_by_index(server: FakeOpenAI, embedder: OpenAIEmbedder):
    expected = embedder.embed_documents(TEXTS).vectors
    server.fail_next(fake_openai.reversed_order)
    np.testing.assert_array_equal(embedder.embed_documents(TEXTS).vectors, expected)


def test_numbers_instead_of_base64_are_understood(server: FakeOpenAI, embedder: OpenAIEmbedder):
    expected = embedder.embed_documents(TEXTS).vectors
    server.fail_next(fake_openai.floats_in_spite_of_base64)
    np.testing.assert_allclose(embedder.embed_documents(TEXTS).vectors, expected, atol=1e-7)


def test_a_response_without_token_counts_is_understood(server: FakeOpenAI, embedder: OpenAIEmbedder):
    server.fail_next(fake_openai.no_usage)
    assert embedder.embed_documents(TEXTS).tokens == 0


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (fake_openai.nan_component, "NaN or infinity for text 0 of 3"),
        (fake_openai.infinite_component, "NaN or infinity for text 0 of 3"),
        (fake_openai.zero_vector, "zero vector for text 0 of 3"),
        (fake_openai.all_wrong_dimensions, "vectors of 1535 dimensions, but 1536 were expected"),
        (fake_openai.one_wrong_dimension, "different dimensions"),
        (fake_openai.missing_item, "2 vectors for 3 texts"),
        (fake_openai.additional_item, "4 vectors for 3 texts"),
        (fake_openai.duplicate_index, "index does not run from 0 to 2"),
        (fake_openai.broken_base64, "not an index and base64"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_unusable_vectors_are_refused(
    server: FakeOpenAI, embedder: OpenAIEmbedder, fault: fake_openai.Fault, says: str
):
    embedder.expect_dimensions(1536)
    server.fail_next(fault)
    with pytest.raises(InvalidVectorError, match=says) as caught:
        embedder.embed_documents(TEXTS)
    assert_tells_nothing(caught.value)
    assert len(embedder.embed_documents(TEXTS).vectors) == 3


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (status(401), ConfigurationError, "OPENAI_API_KEY"),
        (status(403), ConfigurationError, "OPENAI_API_KEY"),
        (status(404), ConfigurationError, "RAG_EMBEDDING_MODEL"),
        (status(400), ConfigurationError, "RAG_CHUNK_SIZE"),
        (status(413), ConfigurationError, "RAG_CHUNK_SIZE"),
        (status(422), ConfigurationError, "RAG_EMBEDDING_MODEL"),
        (status(408), EmbedderUnavailable, "408"),
        (status(409), EmbedderUnavailable, "409"),
        (status(429), EmbedderUnavailable, "limits the rate"),
        (status(429, "insufficient_quota"), EmbedderUnavailable, "quota"),
        (status(500), EmbedderUnavailable, "500"),
        (status(503), EmbedderUnavailable, "503"),
        (fake_openai.drop_connection, EmbedderUnavailable, "closed the connection"),
        (fake_openai.not_json, EmbedderUnavailable, "not JSON"),
        (fake_openai.no_data, EmbedderUnavailable, "without embeddings"),
    ],
)
def test_each_failure_has_its_error_without_secrets(
    server: FakeOpenAI,
    embedder: OpenAIEmbedder,
    caplog: pytest.LogCaptureFixture,
    fault: fake_openai.Fault,
    error: type[RagAssetsError],
    says: str,
):
    caplog.set_level(logging.INFO)
    server.fail_next(fault)
    with pytest.raises(error, match=says) as caught:
        embedder.embed_documents(TEXTS)
    assert_tells_nothing(caught.value)
    assert len(server.requests) == 1
    assert SECRET_TEXT not in caplog.text
    assert API_KEY not in caplog.text
    assert len(embedder.embed_documents(TEXTS).vectors) == 3


def test_a_wrong_key_is_a_configuration_error(server: FakeOpenAI):
    embedder = OpenAIEmbedder(SMALL, "sk-wrong", server.base_url)
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY") as caught:
        embedder.embed_query(SECRET_TEXT)
    assert "sk-wrong" not in str(caught.value)
    assert len(server.requests) == 1


def test_transient_failures_are_retried(server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    embedder = OpenAIEmbedder(SMALL, API_KEY, server.base_url, max_retries=3)
    server.fail_next(status(429, retry_after_seconds=0.01), status(500, retry_after_seconds=0.01))
    server.fail_next(fake_openai.drop_connection)
    assert embedder.embed_documents(TEXTS).tokens == 10
    assert len(server.requests) == 4


def test_retries_end(server: FakeOpenAI):
    embedder = OpenAIEmbedder(SMALL, API_KEY, server.base_url, max_retries=2)
    server.fail_next(status(429, retry_after_seconds=0.01), times=5)
    with pytest.raises(EmbedderUnavailable, match="even after 2 retries"):
        embedder.embed_documents(TEXTS)
    assert len(server.requests) == 3


def test_a_slow_server_is_unavailable(server: FakeOpenAI):
    embedder = OpenAIEmbedder(SMALL, API_KEY, server.base_url, timeout_seconds=0.1, max_retries=0)
    server.delay_seconds = 3.0
    with pytest.raises(EmbedderUnavailable, match=r"did not answer within 0\.1 s") as caught:
        embedder.embed_documents(TEXTS)
    assert_tells_nothing(caught.value)


def test_an_absent_server_is_unavailable():
    with FakeOpenAI() as gone:
        base_url = gone.base_url
    embedder = OpenAIEmbedder(SMALL, API_KEY, base_url, max_retries=0)
    with pytest.raises(
        EmbedderUnavailable, match=r"at http://127.* refuses connections. Start its server"
    ) as caught:
        embedder.embed_documents(TEXTS)
    assert_tells_nothing(caught.value)


def test_empty_texts_and_lone_surrogates_do_not_fail_the_batch(server: FakeOpenAI, embedder: OpenAIEmbedder):
    vectors = embedder.embed_documents(["", "a\ud800b", "c"]).vectors
    assert vectors.shape == (3, 1536)
    assert server.requests[0].texts == [" ", "a?b", "c"]


def test_no_texts_send_no_request(server: FakeOpenAI, embedder: OpenAIEmbedder):
    batch = embedder.embed_documents([])
    assert batch.vectors.shape == (0, 1536)
    assert (batch.tokens, server.requests) == (0, [])


def test_long_texts_are_spread_over_requests(server: FakeOpenAI, embedder: OpenAIEmbedder):
    texts = [f"{number} " + "é" * 50_000 for number in range(7)]
    batch = embedder.embed_documents([*texts, "x" * (MAX_REQUEST_BYTES + 1), "last"])
    assert [len(request.texts) for request in server.requests] == [2, 2, 2, 1, 1, 1]
    for number, text in enumerate(texts):
        assert cosine(batch.vectors[number], vector_of(text, 1536)) == pytest.approx(1, abs=1e-5)
    assert batch.tokens == server.tokens


def test_threads_share_an_embedder(server: FakeOpenAI, embedder: OpenAIEmbedder):
    server.delay_seconds = 0.25
    wrong: list[str] = []

    def embed(number: int) -> None:
        text = f"text number {number}"
        if cosine(embedder.embed_query(text), vector_of(text, 1536)) < 0.9999:
            wrong.append(text)

    threads = [threading.Thread(target=embed, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert server.texts == 8


def test_a_price_is_known_for_openais_own_models_only(server: FakeOpenAI):
    prices = {
        name: OpenAIEmbedder(name, API_KEY).usd_per_million_tokens
        for name in (SMALL, "text-embedding-3-large", "text-embedding-ada-002", "another")
    }
    assert list(prices.values()) == [0.02, 0.13, 0.10, None]
    assert OpenAIEmbedder(SMALL, API_KEY, server.base_url).usd_per_million_tokens is None
    assert OpenAIEmbedder(SMALL, API_KEY, OPENAI_BASE_URL + "/").usd_per_million_tokens == 0.02


def test_the_environment_does_not_move_the_endpoint(monkeypatch: pytest.MonkeyPatch, server: FakeOpenAI):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/elsewhere")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    assert OpenAIEmbedder(SMALL, API_KEY).endpoint == OPENAI_BASE_URL
    assert OpenAIEmbedder(SMALL, API_KEY, server.base_url).embed_query("x").shape == (1536,)


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        (None, OPENAI_BASE_URL),
        ("", OPENAI_BASE_URL),
        ("HTTPS://API.OpenAI.com:443/v1/", OPENAI_BASE_URL),
        ("http://Localhost:8080/v1//", "http://localhost:8080/v1"),
        ("http://[::1]:80/V1", "http://[::1]/V1"),
        ("https://host", "https://host"),
    ],
)
def test_a_base_url_has_one_spelling(given: str | None, normal: str):
    assert normalize_base_url(given) == normal
    assert normalize_base_url(normal) == normal


@pytest.mark.parametrize(
    "given",
    [
        "localhost:8080/v1",
        "ftp://host/v1",
        "http://",
        "http://host:port/v1",
        "https://user:hunter2@host/v1",
        "https://hunter2@host/v1",
        "https://host/v1?api-key=hunter2",
        "https://host/v1#hunter2",
        "http://[hunter2/v1",
    ],
)
def test_a_base_url_that_is_invalid_or_holds_a_secret_is_refused_and_not_repeated(given: str):
    with pytest.raises(ConfigurationError, match="OPENAI_BASE_URL") as caught:
        OpenAIEmbedder(SMALL, API_KEY, given)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("key", ["", "  ", "sk-abc\nX-Header: 1", "sk abc", "sk-“abc”", "sk-abc\x00"])
def test_an_invalid_key_is_refused_and_not_repeated(key: str):
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY") as caught:
        OpenAIEmbedder(SMALL, key)
    assert "abc" not in str(caught.value)


def test_the_key_is_in_no_representation(embedder: OpenAIEmbedder):
    embedder.embed_query("x")
    assert API_KEY not in repr(embedder)
    assert API_KEY not in repr(embedder.model)


def test_invalid_names_and_dimensions_are_refused():
    with pytest.raises(ConfigurationError, match="RAG_EMBEDDING_MODEL"):
        OpenAIEmbedder(" ", API_KEY)
    with pytest.raises(ConfigurationError, match="dimensions"):
        OpenAIEmbedder(SMALL, API_KEY, dimensions=0)
