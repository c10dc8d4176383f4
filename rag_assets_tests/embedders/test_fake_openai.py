"""The fake is the ground truth of tests, so it is checked with the decoding of the official client."""

import base64

import numpy as np
import pytest

from rag_assets_tests.fake_openai import API_KEY, FakeOpenAI, vector_of


def test_the_official_client_reads_both_formats_and_one_text(server: FakeOpenAI):
    from openai import OpenAI

    with OpenAI(api_key=API_KEY, base_url=server.base_url) as client:
        default = client.embeddings.create(model="tiny-embedding", input=["a b", "c"])
        floats = client.embeddings.create(model="tiny-embedding", input="a b", encoding_format="float")
    np.testing.assert_allclose(default.data[0].embedding, vector_of("a b", 32), atol=1e-7)
    np.testing.assert_allclose(floats.data[0].embedding, vector_of("a b", 32), atol=1e-7)
    assert default.usage.prompt_tokens == 3
    assert (server.texts, server.tokens) == (3, 5)


def test_the_official_client_reads_transcriptions_and_descriptions(server: FakeOpenAI):
    from openai import BadRequestError, OpenAI

    sound, picture = b"RIFF\r\n\0\xff\r\n", b"\x89PNG\r\n"
    server.holds = {sound: "What was said.", picture: "What is seen."}
    url = "data:image/png;base64," + base64.b64encode(picture).decode()
    with OpenAI(api_key=API_KEY, base_url=server.base_url) as client:
        said = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound))
        seen = client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}],
        )
        with pytest.raises(BadRequestError):
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"another"))
    assert (said.text, seen.choices[0].message.content) == ("What was said.", "What is seen.")
    assert said.usage is not None
    assert said.usage.type == "duration"
    assert seen.usage is not None
    assert seen.usage.total_tokens == 1200


def test_empty_texts_are_refused_as_the_api_does(server: FakeOpenAI):
    from openai import BadRequestError, OpenAI

    with OpenAI(api_key=API_KEY, base_url=server.base_url) as client, pytest.raises(BadRequestError):
        client.embeddings.create(model="tiny-embedding", input=["a", ""])
    assert (server.texts, len(server.requests)) == (0, 1)
