"""The fake is a test's ground truth, so it is checked with the official client's own decoding."""

import numpy as np
import pytest
from openai import BadRequestError, OpenAI

from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI, vector_of


def test_the_official_client_reads_both_formats_and_one_text(server: FakeOpenAI):
    with OpenAI(api_key=API_KEY, base_url=server.base_url) as client:
        default = client.embeddings.create(model="tiny-embedding", input=["a b", "c"])
        floats = client.embeddings.create(model="tiny-embedding", input="a b", encoding_format="float")
    np.testing.assert_allclose(default.data[0].embedding, vector_of("a b", 32), atol=1e-7)
    np.testing.assert_allclose(floats.data[0].embedding, vector_of("a b", 32), atol=1e-7)
    assert default.usage.prompt_tokens == 3
    assert (server.texts, server.tokens) == (3, 5)


def test_empty_texts_are_refused_as_the_api_does(server: FakeOpenAI):
    with OpenAI(api_key=API_KEY, base_url=server.base_url) as client, pytest.raises(BadRequestError):
        client.embeddings.create(model="tiny-embedding", input=["a", ""])
    assert (server.texts, len(server.requests)) == (0, 1)
