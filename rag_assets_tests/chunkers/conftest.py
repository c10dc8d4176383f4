"""The tokenizers under test, and the skip for machines that cannot load tiktoken's vocabulary."""

import os

import pytest

from rag_assets.chunkers.base import Tokenizer
from rag_assets.chunkers.tokenizers import TiktokenTokenizer, wordllama_tokenizer
from rag_assets.errors import EmbedderUnavailable


@pytest.fixture(scope="session", params=["tiktoken", "wordllama"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    if request.param == "wordllama":
        return wordllama_tokenizer()
    return request.getfixturevalue("tiktoken_tokenizer")


@pytest.fixture(scope="session")
def tiktoken_tokenizer() -> TiktokenTokenizer:
    cl100k = TiktokenTokenizer("cl100k_base")
    try:
        cl100k.count(["x"])
    except EmbedderUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return cl100k
